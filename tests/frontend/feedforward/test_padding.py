"""Windows over the border of an image: the code of 0 there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checking import check, import_model
from graphs import Graph, random_bytes, random_trits
from onnx import TensorProto
from tritloom.errors import InputError
from tritloom.ir.tern import Conv2dOp


def test_the_type_of_padded_sums_holds_the_zero_point(tmp_path: Path) -> None:
    """Codes 6 to 15, zero point 1: at the upper border a sum is larger than any inside."""
    g = Graph()
    codes = g.add("Clip", g.input([1, 1, 4, 4], TensorProto.UINT8), np.uint8(6), np.uint8(15))
    x = g.add("DequantizeLinear", codes, np.float32(1), np.uint8(1))
    weight = np.float32([[[[-1, -1, -1], [1, 1, 1], [1, 1, -1]]]])
    g.output(g.add("Conv", x, weight, pads=[1, 1, 1, 1]), rank=4)
    module = import_model(g.model(), tmp_path).module
    (op,) = (op for op in module.walk() if isinstance(op, Conv2dOp))
    assert op.pad_code.value.data == 1
    images = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (512, 1, 4, 4))
    check(g.model(), images, tmp_path, exact=True)


def depthwise(offset: list[float]) -> Graph:
    """A padded layer of three channels, the second of scale 0."""
    g = Graph()
    x = g.add("Mul", g.image([2, 3, 4, 4]), np.float32([[[1]], [[0]], [[0.5]]]))
    x = g.add("Add", x, np.float32(offset).reshape(3, 1, 1)) if any(offset) else x
    weight = random_trits(3, 1, 3, 3).astype(np.float32)
    return g.output(g.add("Conv", x, weight, group=3, pads=[1, 1, 1, 1]), rank=4)


def test_a_channel_of_zeros_pads_with_any_code(tmp_path: Path) -> None:
    check(depthwise([0, 0, 0]).model(), random_bytes(16, 3, 4, 4), tmp_path)


def test_a_constant_channel_has_no_code_of_zero(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Conv: it pads with 0, which is no 8-bit unsigned code of its operand"):
        import_model(depthwise([0, 1, 0]).model(), tmp_path)
