"""Nets of the classic shapes with random weights: every code and the scores against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from checking import check
from support.feedforward import FOUR_BITS, Style, cnv, images, mlp, mobilenet, resnet, resnext, series

EXACT = Style(power_of_two=True)
FLOATS = Style(weights="float", per_channel=False)
NETS = {
    "mlp": mlp(196, 64, 48, 10),
    "mlp, powers of two": mlp(196, 64, 48, 10, style=EXACT),
    "mlp, float weights": mlp(64, 32, 10, style=FLOATS),
    "cnv": cnv(width=8),
    "cnv, powers of two": cnv(Style(power_of_two=True, activation_bits=2), width=8),
    "mobilenet": mobilenet(32, 0.25, layers=((64, 1), (128, 2), (128, 1), (256, 2))),
    "resnet": resnet(16, 8, 1),
    "resnet, one scale an add": resnet(16, 8, 1, shared=True, style=FOUR_BITS),
    "resnet, powers of two": resnet(16, 8, 1, style=EXACT),
    "resnext": resnext(16, 16, 2, 1),
    "series": series(),
}


@pytest.mark.parametrize("name", NETS)
def test_every_code(name: str, tmp_path: Path) -> None:
    model = NETS[name]
    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)[1:]
    found = check(model, images(shape, 12, 3), tmp_path, exact="powers" in name and name != "resnet, powers of two")
    assert found.codes > 300


@pytest.mark.long
@pytest.mark.parametrize("name", ["mlp", "cnv", "mobilenet", "resnet"])
def test_full_size(name: str, tmp_path: Path) -> None:
    model: onnx.ModelProto = {
        "mlp": lambda: mlp(784, 256, 256, 10),
        "cnv": cnv,
        "mobilenet": mobilenet,
        "resnet": resnet,
    }[name]()
    shape = tuple(dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim)[1:]
    check(model, images(shape, 16, 3), tmp_path)
