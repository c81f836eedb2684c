"""Post-training quantisation: float models that become ternary ones, and what it costs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from tritloom.cli import main
from tritloom.errors import InputError
from tritloom.frontend import import_onnx
from tritloom.ptq import measure, quantise, write
from tritloom.ptq.ternary import METHODS, distance

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "frontend"))
from forms import FORMS, Lm, Weight, fake_quantised, lm
from onnx_models import VOCABULARY, WIDTH, Net
from skeleton import skeleton, weights


def float_masters(net: Net, x: str, w: Weight) -> str:
    """A product of codes and float weights: what training without a ternary quantiser leaves."""
    return net.add("Gemm", fake_quantised(net, x), net.const(w.name, w.masters), transB=1)


def float_everything(net: Net, x: str, w: Weight) -> str:
    return net.add("MatMul", x, net.const(w.name, np.ascontiguousarray(w.masters.T)))


def saved(linear: object, folder: Path) -> Path:
    path = folder / "float.onnx"
    onnx.save(Lm(linear, False).model(), str(path))  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("linear", [float_masters, float_everything])
def test_absmean_is_what_the_graph_would_compute(linear: object, tmp_path: Path) -> None:
    path = saved(linear, tmp_path)
    with pytest.raises(InputError):
        import_onnx(path)
    found = quantise(path, "absmean", activations=linear is float_everything)
    naive = tmp_path / "naive.onnx"
    onnx.save(lm("naive dynamo"), str(naive))
    known = import_onnx(naive)
    assert skeleton(found.imported) == skeleton(known)
    assert [op.scale for op in weights(found.imported)] == [op.scale for op in weights(known)]
    assert len(found.matrices) == 7
    assert len(found.products) == (7 if linear is float_everything else 0)


@pytest.mark.parametrize("linear", [float_masters, float_everything])
def test_what_is_written_is_what_was_imported(linear: object, tmp_path: Path) -> None:
    found = quantise(saved(linear, tmp_path), "twn", activations=True)
    path = tmp_path / "ternary.onnx"
    write(found.model, path, force=False)
    assert skeleton(import_onnx(path)) == skeleton(found.imported)
    ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert sorted(file.name for file in tmp_path.iterdir()) == ["float.onnx", "ternary.onnx"]


def test_twn() -> None:
    values = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    grid = METHODS["twn"](values)
    over = np.abs(values) > 0.7 * np.abs(values).mean(dtype=np.float64)
    assert np.array_equal(grid.trits(values), np.sign(values) * over)
    assert grid.scale == pytest.approx(np.abs(values)[over].mean(), rel=1e-6)
    near = grid.scale * grid.trits(values)
    assert distance(values, grid) == pytest.approx(np.linalg.norm(values - near) / np.linalg.norm(values), rel=1e-6)
    assert distance(values, grid) < distance(values, METHODS["absmean"](values))


@pytest.mark.parametrize("method", METHODS)
def test_ternary_values_stay_as_they_are(method: str) -> None:
    values = np.asarray([[0.5, -0.5, 0.0], [0.5, 0.5, -0.5]], np.float32)
    grid = METHODS[method](values)
    assert np.array_equal(grid.trits(values), np.sign(values))


def test_a_table_that_is_a_weight_too_stays_a_table(tmp_path: Path) -> None:
    """Tied embeddings: rows are gathered from the floats, the head gets the trits."""
    table = np.random.default_rng(2).normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
    net = Net()
    codes, step = net.quantize(net.token(table=table))
    net.output("y", net.add("Gemm", net.add("Div", codes, step), "table", transB=1), (1, VOCABULARY))
    found = quantise(net.save(tmp_path), "absmean", activations=False)
    assert np.array_equal(found.imported.store.table("table"), table)
    assert found.imported.store.trits("table_1").shape == (VOCABULARY, WIDTH)


def test_what_else_is_wrong_is_told(tmp_path: Path) -> None:
    net = Net()
    values = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    codes, step = net.quantize(net.add("Softplus", net.token()))
    net.output("y", net.add("Gemm", net.add("Div", codes, step), net.const("w", values), transB=1))
    with pytest.raises(InputError, match=r"^1 node is not supported:\n  Softplus"):
        quantise(net.save(tmp_path), "absmean", activations=True)


def test_activations_are_left_alone_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its activations are float"):
        quantise(saved(float_everything, tmp_path), "absmean", activations=False)


def test_cost(tmp_path: Path) -> None:
    path = saved(float_masters, tmp_path)
    found = quantise(path, "absmean", activations=False)
    quantised, data = tmp_path / "ternary.onnx", tmp_path / "tokens.npz"
    write(found.model, quantised, force=False)
    np.savez(data, tokens=np.random.default_rng(0).integers(0, 24, 65))
    cost = measure(path, quantised, found, data, None)
    assert cost.tokens == 64
    assert 0.01 < cost.rms < 0.5
    same = measure(path, path, found, data, None)
    assert (same.rms, same.agreement, same.bits) == (0.0, 1.0, same.original_bits)
    assert cost.original_bits == same.bits != cost.bits


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"x": np.zeros(3)}, "holds no integers"),
        ({"x": np.asarray([1, 99])}, "holds no sequence of two or more tokens from 0 to 23"),
        ({"x": np.asarray([1])}, "holds no sequence of two or more tokens from 0 to 23"),
    ],
)
def test_data_that_are_no_tokens(arrays: dict[str, np.ndarray], told: str, tmp_path: Path) -> None:
    path, data = saved(float_masters, tmp_path), tmp_path / "data.npz"
    np.savez(data, **arrays)
    with pytest.raises(InputError, match=told):
        measure(path, path, quantise(path, "absmean", activations=False), data, None)


def test_compile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, data, output = saved(float_everything, tmp_path), tmp_path / "tokens.npz", tmp_path / "build"
    np.savez(data, tokens=np.arange(20))
    options = ["--ternarise", "absmean", "--quantise-activations"]
    command = ["compile", str(path), "-b", "kv260", "-o", str(output), *options]
    assert main([*command, "--calibration", str(data)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Made ternary after training\n")
    assert "7 products got an absmax int8 quantiser in front." in out
    assert "Cost, measured on 19 tokens of tokens.npz: " in out
    assert main(["verify", str(output), "--tokens", "16"]) == 0
    assert "build.onnx is the file the bundle was compiled from" in capsys.readouterr().out
    assert main(command) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'build.onnx'} exists")
    assert main([*command, "--force"]) == 0
    assert "What this costs in accuracy is unknown: --calibration FILE measures it." in capsys.readouterr().out


def test_a_compilation_that_fails_leaves_no_model(tmp_path: Path) -> None:
    path = saved(float_masters, tmp_path)
    assert (
        main(["compile", str(path), "-b", "kv260", "-o", str(tmp_path / "b"), "--ternarise", "twn", "--lanes", "3"])
        != 0
    )
    assert not (tmp_path / "b.onnx").exists()


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(float_masters, tmp_path)
    assert main(["inspect", str(path), "--ternarise", "twn", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["supported"]
    assert len(found["quantised"]["matrices"]) == 7
    assert found["model"] == str(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["float.onnx"]


def test_data_without_anything_to_measure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(FORMS["int8 Gemm"], tmp_path)
    assert main(["inspect", str(path), "--calibration", str(path)]) == 2
    assert "--calibration measures what quantisation costs, and none is asked for" in capsys.readouterr().err


def test_large_models_have_external_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.ptq.rewrite._EXTERNAL_OVER", 100)
    found = quantise(saved(float_masters, tmp_path), "absmean", activations=False)
    path = tmp_path / "ternary.onnx"
    write(found.model, path, force=False)
    assert skeleton(import_onnx(path)) == skeleton(found.imported)
    assert (tmp_path / "ternary.onnx.data").is_file()
    with pytest.raises(InputError, match="exists"):
        write(found.model, path, force=False)


def float_gate(net: Net) -> Net:
    """A float net of one vector, whose weights are not ternary."""
    random = np.random.default_rng(4)
    masters = [net.const(name, random.normal(size=(WIDTH, WIDTH)).astype(np.float32)) for name in ("up", "down")]
    x = net.input("x", ("batch", WIDTH))
    net.output("y", net.add("MatMul", net.add("Relu", net.add("MatMul", x, masters[0])), masters[1]), ("batch", WIDTH))
    return net


def test_cost_of_a_step_of_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = float_gate(Net()).save(tmp_path)
    np.savez(tmp_path / "rows.npz", x=np.random.default_rng(5).standard_normal((20, WIDTH), dtype=np.float32))
    wish = ["--ternarise", "absmean", "--quantise-activations", "--calibration", str(tmp_path / "rows.npz")]
    assert main(["inspect", str(path), *wish]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Cost, measured on 20 vectors of rows.npz: the largest output is the same at" in told
    assert "bits per token" not in told
    assert main(["inspect", str(path), *wish, "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)["quantised"]["cost"]
    assert (cost["tokens"], cost["bits"]) == (20, None)
    assert 0 < cost["rms"] < 1


def test_data_that_are_no_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = float_gate(Net()).save(tmp_path)
    np.savez(tmp_path / "tokens.npz", tokens=np.arange(9))
    wish = ["--ternarise", "twn", "--quantise-activations", "--calibration", str(tmp_path / "tokens.npz")]
    assert main(["inspect", str(path), *wish]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "has no array 'x', which is the model's input: it holds 'tokens'" in told
