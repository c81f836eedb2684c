"""The untrained nets of tests/fixtures/feedforward answer what is stored beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "feedforward"
PLAIN = sorted(path for path in FOLDER.glob("*.onnx") if not path.name.endswith(".qonnx.onnx"))


def stored(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and scores of one file."""
    arrays = np.load(FOLDER / f"{path.name.partition('.')[0].removesuffix('_script').removesuffix('_batch')}.npz")
    return arrays["x"], arrays[path.name.removesuffix(".onnx")]


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_onnxruntime_gives_the_stored_scores(path: Path) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x, expected = stored(path)
    (entry,) = (value for value in session.get_inputs() if value.name == "x")
    if entry.type == "tensor(uint8)":
        x = np.rint(255 * x).astype(np.uint8)
    scores = np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6 * np.ptp(expected))


@pytest.mark.parametrize("net", sorted(path.stem for path in FOLDER.glob("*.npz")))
def test_scores_of_the_forms_agree_and_differ_by_sample(net: str) -> None:
    arrays = np.load(FOLDER / f"{net}.npz")
    reference = arrays[f"{net}.qonnx"]
    assert len(np.unique(reference.argmax(1))) > 1
    assert len(np.unique(reference, axis=0)) > len(reference) / 2
    for form in (name for name in arrays if name not in ("x", f"{net}.integer")):
        np.testing.assert_allclose(arrays[form], reference, rtol=0, atol=1e-6 * np.ptp(reference))


def test_every_operator_of_the_fixtures() -> None:
    """What an importer meets here; a construct that drops out of the fixtures is missed."""
    operators = {node.op_type for path in FOLDER.glob("*.onnx") for node in onnx.load(path).graph.node}
    assert operators == {
        *("Add", "AveragePool", "BatchNormalization", "BipolarQuant", "Cast", "Clip", "Concat", "Conv", "ConvInteger"),
        *("DequantizeLinear", "Flatten", "Gemm", "GlobalAveragePool", "MatMul", "MatMulInteger", "MaxPool", "Mul"),
        *("QLinearConv", "Quant", "QuantizeLinear", "ReduceMean", "Relu", "Reshape", "Squeeze", "Transpose"),
        "Unsqueeze",
    }
