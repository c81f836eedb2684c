"""The committed nets are what their READMEs say: ternary, one net in four forms, so and so accurate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

Array = NDArray[np.generic]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SUFFIXES = {"qonnx": ".qonnx.onnx", "qcdq": ".onnx", "float": ".float.onnx", "integer": ".integer.onnx"}
SAMPLES = 100


@dataclass(frozen=True)
class Net:
    """One net of an example; `pixel` is the value of a byte's 1 where samples are stored as bytes."""

    example: str
    name: str
    pixel: float | None = None

    @property
    def folder(self) -> Path:
        return EXAMPLES / self.example

    def path(self, form: str) -> Path:
        return self.folder / f"{self.name}{SUFFIXES[form]}"

    def held_out(self) -> tuple[Array, Array]:
        arrays = np.load(self.folder / "heldout.npz")
        return arrays["x"], arrays["y"]

    def scores(self, form: str) -> Array:
        """The committed answers: qonnx's executor gave those of "qonnx", onnxruntime the others."""
        return np.load(self.folder / f"{self.name}.scores.npz")[form]

    def run(self, form: str, count: int) -> Array:
        """What onnxruntime gives for the first samples."""
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(self.path(form), options, providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
        x = self.held_out()[0][:count]
        if x.dtype == np.uint8 and entry.type == "tensor(float)":
            x = x.astype(np.float32) * np.float32(self.pixel)
        return np.concatenate([session.run(None, {entry.name: sample[None]})[0] for sample in x])


NETS = [
    Net("digits", "mlp", 1 / 16),
    Net("digits", "mlp-power-of-two", 1 / 16),
    Net("fashion", "mlp", 1 / 255),
    Net("fashion", "cnn", 1 / 255),
    Net("vowels", "cnn"),
]


def quantised_weights(net: Net) -> list[Array]:
    """Weights of the QONNX file, quantised by its own Quant nodes."""
    graph = onnx.load(net.path("qonnx")).graph
    named = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type == "Quant" and node.input[0] in named:
            weight, scale, zero, bits = (named[name] for name in node.input)
            assert (zero.item(), bits.item()) == (0, 2)
            found.append(np.clip(np.rint(weight / scale), -1, 1) * scale)
    return found


def float_weights(net: Net) -> list[Array]:
    """Weights [outputs, ...] of the float file, in the order of its layers."""
    graph = onnx.load(net.path("float")).graph
    named = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    weights = [named[node.input[1]] for node in products]
    return [weight.T if node.op_type == "MatMul" else weight for node, weight in zip(products, weights, strict=True)]


@pytest.fixture(params=NETS, ids=lambda net: f"{net.example}-{net.name}")
def net(request: pytest.FixtureRequest) -> Net:
    found: Net = request.param
    return found


def test_every_weight_is_ternary(net: Net) -> None:
    weights = float_weights(net)
    assert len(weights) >= 3
    for weight in weights:
        for row in (weight, *weight):
            sizes = np.unique(np.abs(row[row != 0]))
            assert len(sizes) <= 1 or (weight.ndim > 2 and row is weight)  # a depthwise layer has a scale a channel
        assert 0.1 < np.mean(weight == 0) < 0.95


def test_qonnx_and_plain_onnx_hold_the_same_weights(net: Net) -> None:
    ours, theirs = float_weights(net), quantised_weights(net)
    assert len(ours) == len(theirs)
    for left, right in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("form", ["qcdq", "float", "integer"])
def test_onnxruntime_gives_the_committed_scores(net: Net, form: str) -> None:
    expected = net.scores(form)[:SAMPLES]
    found = net.run(form, SAMPLES)
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.ptp(expected))


def test_the_forms_are_one_net(net: Net) -> None:
    reference = net.scores("qcdq")
    for form in ("qonnx", "float"):
        np.testing.assert_allclose(net.scores(form), reference, rtol=0, atol=1e-6 * np.ptp(reference))
    same_class = np.mean(net.scores("integer").argmax(1) == reference.argmax(1))
    assert same_class >= 0.95  # its biases are rounded


def test_the_power_of_two_net_is_exact() -> None:
    net = Net("digits", "mlp-power-of-two")
    for form in ("qonnx", "float", "integer"):
        np.testing.assert_array_equal(net.scores(form), net.scores("qcdq"))
    for form in SUFFIXES:
        graph = onnx.load(net.path(form)).graph
        named = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        scaling = ("Quant", "QuantizeLinear", "DequantizeLinear", "Mul")
        scales = [named[node.input[1]] for node in graph.node if node.op_type in scaling]
        assert len(scales) >= 5
        assert all(np.all(np.frexp(scale)[0] == 0.5) for scale in scales)


def test_the_readme_gives_the_accuracy_on_the_held_out_samples(net: Net) -> None:
    _, labels = net.held_out()
    readme = (net.folder / "README.md").read_text(encoding="utf-8")
    for form in SUFFIXES:
        right = np.mean(net.scores(form).argmax(1) == labels)
        row = re.search(rf"^\| `{re.escape(net.path(form).name)}` \|.*\| ([0-9.]+) % \|$", readme, re.MULTILINE)
        assert row is not None
        assert float(row.group(1)) == pytest.approx(100 * right, abs=0.051)


def test_files_are_small() -> None:
    for net in NETS:
        for path in net.folder.glob("*.npz"):
            assert path.stat().st_size < 1_000_000
