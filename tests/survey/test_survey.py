"""`survey` and `tritloom inspect`: what a model is before it is compiled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from tritloom.cli import main
from tritloom.survey import Survey, survey

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "frontend"))
from forms import lm
from onnx_models import WIDTH, Net, random_trits

FORMS = ("int8 Gemm", "naive legacy", "QCDQ of masters", "MatMulNBits 2")


def of(model: onnx.ModelProto, folder: Path) -> Survey:
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return survey(path)


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """A model with an operator and a matrix that are not supported."""
    net = Net()
    x = net.bitlinear(net.add("Softplus", net.token()), "w", np.arange(64).reshape(WIDTH, WIDTH).astype(np.int8))
    net.output("y", net.bitlinear(x, "v"))
    return net.save(tmp_path)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_model(form: str, per_channel: bool, tmp_path: Path) -> None:
    found, known = of(lm(form, per_channel), tmp_path), of(lm("int8 Gemm", per_channel), tmp_path)
    assert found.operations == known.operations
    assert (found.states, found.quantisers, found.tables) == (known.states, known.quantisers, known.tables)
    assert [(w.rows, w.cols, w.minus, w.zeros, w.plus, w.per_row) for w in found.weights] == [
        (w.rows, w.cols, w.minus, w.zeros, w.plus, w.per_row) for w in known.weights
    ]
    np.testing.assert_allclose([w.scales for w in found.weights], [w.scales for w in known.weights], rtol=1e-6)


def test_weights(tmp_path: Path) -> None:
    trits = random_trits(seed=3)
    net = Net()
    net.output("y", net.bitlinear(net.token(), "w", trits, scale=0.25))
    found = of(net.model(), tmp_path)
    (weight,) = found.weights
    assert (weight.minus, weight.zeros, weight.plus) == tuple(int((trits == t).sum()) for t in (-1, 0, 1))
    assert (weight.scales, weight.per_row) == ((0.25, 0.25), False)
    assert weight.onnx == ["node_Gemm_10", "node_Mul_12"]
    assert found.ternary_weights == 64
    assert found.packed_bits == 16  # a row of 8 trits takes a slice of 16 bytes
    assert found.bytes_per_token() == {"weights": 8 * 16, "vectors": 0, "embedding": 4 * WIDTH}
    shares = np.asarray([weight.minus, weight.zeros, weight.plus]) / 64
    assert found.entropy_bits == pytest.approx(-(shares * np.log2(shares)).sum())


def test_scales_of_rows(tmp_path: Path) -> None:
    (first, *_) = of(lm("int8 Gemm", per_channel=True), tmp_path).weights
    assert first.per_row
    assert 0 < first.scales[0] < first.scales[1] != 1.0


def test_every_node_is_told(tmp_path: Path) -> None:
    model = lm("naive dynamo")
    found = of(model, tmp_path)
    assert [node.name for node in found.nodes] == [node.name for node in model.graph.node]
    became = {node.name: node.became for node in found.nodes}
    assert {became[node.name] for node in model.graph.node if node.op_type == "Gemm"} == {"tern.dot, tern.dequantize"}
    assert {became[node.name] for node in model.graph.node if node.op_type == "ReduceMax"} == {
        "part of tern.quantize_absmax"
    }
    assert {became[node.name] for node in model.graph.node if node.op_type == "Gather"} == {"tern.embedding"}
    assert became["node_output_h_next"] == "nothing: it passes a value on"


def test_dead_nodes(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    net.add("Relu", x)
    net.output("y", net.bitlinear(x))
    nodes = of(net.model(), tmp_path).nodes
    assert [node.became for node in nodes if node.operator == "Relu"] == ["nothing: no output needs it"]


def test_all_that_is_not_supported(wrong: Path) -> None:
    found = survey(wrong)
    assert not found.supported
    assert [(one.operator, one.reason.split(":")[0]) for one in found.refused] == [
        ("Softplus", "the vector unit has no such function"),
        ("constant", "tensor 'w' (int8, 8x8)"),
    ]
    became = {node.operator: node.became for node in found.nodes}
    assert became["Softplus"] == "not supported"
    assert became["Gather"] == "pattern embedding"
    assert became["Round"] == "pattern absmax-quantizer"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lm.onnx"
    onnx.save(lm("int8 Gemm"), str(path))
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "lm.onnx (opset 25)"
    assert "h               1  float  [1, 16]  state, new value in h_next" in lines
    assert "tern.quantize_absmax       6  16xi8" in lines
    assert "Gemm            7  tern.dot, tern.dequantize" in lines
    assert lines[-2].startswith("2,432 ternary weights, ")
    assert "1 states of 16 floats" in lines[-2]


@pytest.mark.parametrize("form", ["qonnx", "integer"])
def test_a_feed_forward_net(form: str, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = repository / "tests" / "fixtures" / "feedforward" / f"mlp.{form}.onnx"
    found = survey(path)
    assert found.supported
    assert not found.is_step
    assert [(weight.rows, weight.cols) for weight in found.weights] == [(12, 16), (10, 12), (4, 10)]
    assert sum(one.count for one in found.quantisers) >= 2
    assert {"tern.dense", "tern.scores"} <= found.operations.keys()
    assert not [node for node in found.nodes if node.became == "nothing: no output needs it"]
    assert main(["inspect", str(path)]) == 0
    assert capsys.readouterr().out.endswith("those of a feed-forward net stay on the chip.\n")


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lm.onnx"
    onnx.save(lm("int8 Gemm"), str(path))
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["supported"]
    assert found["states"] == [{"input": "h", "output": "h_next", "size": 16}]
    assert sum(weight["rows"] * weight["cols"] for weight in found["weights"]) == found["ternary_weights"] == 2432


def test_exit_code_of_what_is_not_supported(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(wrong)]) == 2
    captured = capsys.readouterr()
    assert "Not supported" in captured.out
    assert captured.err == ""
    assert main(["inspect", str(wrong), "--json"]) == 2
    assert [one["operator"] for one in json.loads(capsys.readouterr().out)["refused"]] == ["Softplus", "constant"]


def test_a_file_of_another_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("text")
    assert main(["inspect", str(path)]) == 2
    assert "is not an ONNX file" in capsys.readouterr().err
