"""The random nets are what they claim: ternary, alive, exact where they say so, told apart by their input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx.reference
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from support import feedforward
from support.feedforward import Style, answers, images

NETS: dict[str, Callable[[Style], onnx.ModelProto]] = {
    "mlp": lambda style: feedforward.mlp(784, 256, 256, 10, style=style),
    "cnv": lambda style: feedforward.cnv(style, width=16),
    "mobilenet": lambda style: feedforward.mobilenet(48, 0.25, style, layers=feedforward.MOBILENET[:6]),
    "resnet": lambda style: feedforward.resnet(16, 8, 2, style=style),
    "resnet, one scale": lambda style: feedforward.resnet(16, 8, 2, shared=True, style=style),
    "resnext": lambda style: feedforward.resnext(16, 16, 2, 1, style=style),
    "series": lambda style: feedforward.series(style=style),
}
STYLES = {
    "int8": Style(),
    "float": Style(weights="float", per_channel=False, activation_bits=2),
    "power of two": Style(power_of_two=True, activation_bits=3),
}


def samples(model: onnx.ModelProto, count: int) -> NDArray[np.uint8]:
    shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    return images(tuple(shape[1:]), count, seed=7)


def codes(model: onnx.ModelProto, x: NDArray[np.uint8]) -> list[NDArray[np.generic]]:
    """The codes of every quantised activation, of all samples."""
    clipped = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Clip"}
    quantised = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=clipped.get(name, name)) for name in quantised)
    session = onnx.reference.ReferenceEvaluator(shown)
    found = [session.run(None, {"x": sample[None]}) for sample in x]
    return [np.concatenate(values) for values in zip(*found, strict=True)]


@pytest.fixture(scope="module", params=[(net, style) for net in NETS for style in STYLES], ids=": ".join)
def net(request: pytest.FixtureRequest) -> tuple[onnx.ModelProto, str]:
    name, style = request.param
    return NETS[name](STYLES[style]), style


def test_weights_are_ternary(net: tuple[onnx.ModelProto, str]) -> None:
    model, style = net
    named = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    stem = "weight" if style == "float" else "trits"
    weights = [value for name, value in named.items() if name.startswith(stem)]
    products = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(weights) == len(products) >= 3
    for weight in weights:
        assert len(np.unique(weight)) == 3
        assert np.unique(weight).sum() == 0
    assert np.mean(np.concatenate([weight.ravel() for weight in weights]) == 0) == pytest.approx(0.4, abs=0.02)


def test_activations_are_neither_dead_nor_saturated(net: tuple[onnx.ModelProto, str]) -> None:
    model, _ = net
    found = codes(model, samples(model, 4))
    assert len(found) >= 2
    for values in found:
        assert np.mean(values == 0) < 0.85
        assert np.mean(values == values.max()) < 0.3
        assert np.mean(np.ptp(values.astype(int), axis=0) > 0) > 0.4


def test_scores_depend_on_the_input(net: tuple[onnx.ModelProto, str]) -> None:
    model, _ = net
    scores = answers(model, samples(model, 16))
    assert len(np.unique(scores.argmax(1))) >= 2
    assert scores.std(0).min() > 0.01 * np.abs(scores).max()


def test_power_of_two_scales(net: tuple[onnx.ModelProto, str]) -> None:
    model, style = net
    scales = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name.startswith("scale")]
    exact = [np.all(np.frexp(scale)[0] == 0.5) for scale in scales]
    assert all(exact) if style == "power of two" else not any(exact)


def test_the_sizes_of_the_classic_nets() -> None:
    counted = {}
    for name, model in {
        "mlp": feedforward.mlp(784, 256, 256, 10),
        "cnv": feedforward.cnv(),
        "mobilenet": feedforward.mobilenet(width=1.0),
        "resnet": feedforward.resnet(),
    }.items():
        trits = (tensor for tensor in model.graph.initializer if tensor.name.startswith("trits"))
        counted[name] = sum(int(np.prod(tensor.dims)) for tensor in trits)
    assert counted == {"mlp": 268_800, "cnv": 1_542_848, "mobilenet": 3_185_088 + 10_240, "resnet": 270_896}


def test_a_seed_gives_the_same_net() -> None:
    first, second, other = (feedforward.series(seed=seed).SerializeToString() for seed in (1, 1, 2))
    assert first == second
    assert first != other
