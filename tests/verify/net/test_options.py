"""What is fed, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritloom.api import compile_model
from tritloom.cli import main
from tritloom.errors import InputError
from tritloom.frontend import import_onnx
from tritloom.runtime.net_manifest import NetPort
from tritloom.verify import verify_bundle
from tritloom.verify.net_codes import CodeCheck
from tritloom.verify.net_frames import frames_for
from tritloom.verify.net_reference import has_integer_layers
from tritloom.verify.reference import read_graph

from .conftest import CNN, FIXTURES
from .planting import without_device

PORT = NetPort("x", "float32", (1, 16, 16), (0, 1, 2))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Hint: " in captured.err
    assert "Traceback" not in captured.err
    return captured.err


def test_options_of_the_other_kind(cnn: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`bundle` holds a language model."""
    text = tmp_path / "text.txt"
    text.write_text("some text")
    np.savez(tmp_path / "in.npz", x=np.zeros(1))
    assert "--tokens has no meaning here: the bundle holds a feed" in refused(capsys, "verify", cnn, "--tokens", "8")
    assert "--text has no meaning here" in refused(capsys, "verify", cnn, "--text", text)
    assert "--control has no meaning here" in refused(capsys, "verify", cnn, "--control", CNN)
    assert "--frames has no meaning here: the bundle holds a language" in refused(
        capsys, "verify", bundle, "--frames", "8"
    )
    assert "--inputs has no meaning" in refused(capsys, "verify", bundle, "--inputs", tmp_path / "in.npz")
    assert "is a feed-forward net" in refused(capsys, "generate", cnn, "--prompt", "x")
    assert "is a feed-forward net" in refused(capsys, "eval", cnn, "--text", text)
    assert "a feed-forward net has no instructions" in refused(capsys, "estimate", cnn, "--instructions")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"y": np.zeros((2, 1, 16, 16), np.float32)},
            r"has no array 'x' \(it has y\): float32 \['frames', 1, 16, 16\]",
        ),
        ({"x": np.zeros((2, 16, 16), np.float32)}, r"'x' in .* is float32 \[2, 16, 16\], not float32"),
        ({"x": np.zeros((2, 1, 16, 16))}, r"'x' in .* is float64"),
        ({"x": np.full((2, 1, 16, 16), np.nan, np.float32)}, "with NaN"),
        ({"x": np.zeros((0, 1, 16, 16), np.float32)}, r"\[0, 1, 16, 16\]"),
    ],
)
def test_bad_frames(arrays: dict[str, Any], message: str, cnn: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        verify_bundle(cnn, inputs=tmp_path / "in.npz")
    assert caught.value.hint


def test_a_file_that_is_no_npz(cnn: Path, tmp_path: Path) -> None:
    (tmp_path / "in.npz").write_bytes(b"PK\3\4 no zip")
    with pytest.raises(InputError, match="is not an .npz file"):
        verify_bundle(cnn, inputs=tmp_path / "in.npz")


def test_frames_and_labels_beside_the_model(tmp_path: Path) -> None:
    imported = import_onnx(CNN)
    few = np.random.default_rng(0).random((5, 1, 16, 16)).astype(np.float32)
    np.savez(tmp_path / "heldout.npz", x=few, y=np.arange(5))
    found = frames_for(imported, PORT, tmp_path / "cnn.onnx", None, 8)
    assert found.source == "heldout.npz (5) and random (3)"
    assert found.values.shape == (8, 1, 16, 16)
    assert np.array_equal(found.values[:5], few)
    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 2, 3, 4]
    assert frames_for(imported, PORT, tmp_path / "cnn.onnx", None, 3).source == "heldout.npz"
    imported.metadata["tritloom.samples"] = "../elsewhere/others.npz"
    named = frames_for(imported, PORT, tmp_path / "cnn.onnx", None, 8)
    assert named.source.startswith("random values")  # there is no others.npz beside the model
    assert named.values.min() < 0 < 1 < named.values.max()  # beyond what the quantiser covers
    np.savez(tmp_path / "others.npz", x=few)
    assert frames_for(imported, PORT, tmp_path / "cnn.onnx", None, 5).source == "others.npz"


def test_the_report(cnn: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    without_device(monkeypatch)
    assert main(["verify", str(cnn), "--frames", "7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["passed"], found["frames"]) == (True, 7)
    assert found["inputs"].startswith("random values")
    codes = next(check for check in found["checks"] if check["name"] == "codes")
    assert codes["figures"]["compared"] == 7 * 3848
    assert main(["verify", str(cnn), "--frames", "7"]) == 0
    assert (
        capsys.readouterr()
        .out.splitlines()[0]
        .endswith("against cnn.qcdq.onnx, 7 frames of random values (no samples: seed 20240604)")
    )


def test_another_model(cnn: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(CNN.read_bytes() + b"\0")
    report = verify_bundle(cnn, model=other)
    assert [check.name for check in report.checks if not check.passed] == ["source"]


@pytest.fixture(scope="module")
def sign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net in QONNX operators."""
    output = tmp_path_factory.mktemp("net") / "sign"
    compile_model(FIXTURES / "sign.qonnx.onnx", "pynq-z2", output)
    return output


def test_qonnx_without_its_executor(sign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.verify.net_reference.importlib.util.find_spec", lambda name: None)
    without_device(monkeypatch)
    report = verify_bundle(sign, frames=7)
    assert report.passed
    assert [check.name for check in report.checks if check.skipped] == ["codes", "scores"]
    assert "no operators of qonnx.custom_op.general, and the package qonnx is not" in report.check("codes").detail
    assert "; not checked: codes, scores (" in report.lines()[-1]
    assert "--     codes: not compared: " in "\n".join(report.lines())


def test_qonnx_with_its_executor(sign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qonnx")
    without_device(monkeypatch)
    report = verify_bundle(sign, frames=7)
    assert report.passed
    assert report.check("codes").figures["compared"] == 7 * 28


def test_what_must_be_exact() -> None:
    """Behind the float input of an integer graph, and where scales are powers of two: no code may differ."""
    for name, integer, wanted in [
        ("series.integer", True, [False, True, True, True, True]),
        ("series.qcdq", False, [False] * 5),
        ("power_of_two.qcdq", False, [True, True]),
    ]:
        found = CodeCheck(import_onnx(FIXTURES / f"{name}.onnx"), integer)
        assert [layer.exact for layer in found.layers.values()] == wanted, name
        assert has_integer_layers(read_graph(FIXTURES / f"{name}.onnx")) == integer


def test_a_tie_is_no_excuse_where_float32_is_exact() -> None:
    """Of a code that differs, once as a tie and once in a layer that must be exact."""
    imported = import_onnx(FIXTURES / "mlp.qcdq.onnx")
    for exact in (False, True):
        check = CodeCheck(imported, integer=False)
        layer = next(iter(check.layers.values()))
        layer.exact = exact
        function = imported.store.steps(imported.module, layer.op.function.root_reference.data)
        first = np.float32(function.float_thresholds[0][0, 3])
        values = np.full((1, 1, 4, 4), first, np.float32)
        here = check.run(values, _truth(check, values), 0)
        assert here[1].tolist() == [False]
        wrong = _truth(check, values)
        wrong[layer.tensor] = wrong[layer.tensor].copy()
        wrong[layer.tensor].reshape(-1)[0] -= 1  # the value lies on the step: a float a bit below has this code
        check.run(values, wrong, 0)
        assert (layer.tie_count, layer.fault_count) == ((0, 1) if exact else (1, 0))
        wrong[layer.tensor].reshape(-1)[0] -= 1  # two codes below is no tie
        check.run(values, wrong, 0)
        assert layer.fault_count == (2 if exact else 1)


def _truth(check: CodeCheck, values: np.ndarray) -> dict[str, np.ndarray]:
    """Our own codes, as a reference would give them."""
    found: dict[str, np.ndarray] = {}

    def observe(op: Any, results: list[Any]) -> None:
        if op in check.layers:
            found[check.layers[op].tensor] = results[0].copy()

    check._interpreter.run({"x": values}, observe)
    return found
