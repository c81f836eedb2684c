"""Trits come back as they were, and nets in all spellings are one net."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from checking import check, import_model
from graphs import QONNX, Graph, random_bytes, random_trits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from spellings import EVERY, PLAIN, Spelling, Weight, weight
from tritloom.frontend import Imported
from tritloom.ir.tern import WeightOp

Layer = Callable[[Graph, str, str], str]


def conv(groups: int = 1) -> Layer:
    return lambda g, x, w: g.add("Conv", x, w, group=groups, pads=[1, 1, 1, 1])


LAYERS: dict[str, tuple[tuple[int, ...], tuple[int, ...], Layer]] = {
    "Gemm": ((6, 8), (8,), lambda g, x, w: g.add("Gemm", x, w, transB=1)),
    "Gemm [in, out]": ((6, 8), (8,), lambda g, x, w: g.add("Gemm", x, g.add("Transpose", w, perm=[1, 0]))),
    "MatMul": ((6, 8), (8,), lambda g, x, w: g.add("MatMul", x, g.add("Transpose", w))),
    "Conv 2-D": ((6, 4, 3, 2), (4, 5, 5), conv()),
    "Conv 2-D, groups": ((6, 2, 3, 3), (4, 5, 5), conv(2)),
    "Conv 2-D, depthwise": ((4, 1, 3, 3), (4, 5, 5), conv(4)),
    "Conv 1-D": ((6, 4, 3), (4, 7), lambda g, x, w: g.add("Conv", x, w, pads=[1, 1])),
}
"""Shape of the weight, shape of a frame, and the nodes."""


def net(spelling: Spelling, layer: str, w: Weight) -> onnx.ModelProto:
    """One layer and a quantiser."""
    _, frame, nodes = LAYERS[layer]
    g = Graph()
    x = g.image([2, *frame])
    y = nodes(g, x, spelling(g, w))
    return g.output(g.quantised(g.add("Relu", y), 0.013, bits=4), rank=1 + len(frame)).model()


def trits_of(imported: Imported) -> NDArray[np.int8]:
    (op,) = (op for op in imported.module.ops if isinstance(op, WeightOp))
    return imported.store.trits(op.sym_name.data)


def rows(trits: NDArray[np.int8]) -> NDArray[np.int8]:
    """In the order (ky, kx, c)."""
    return np.moveaxis(trits, 1, -1).reshape(len(trits), -1)


def runs(model: onnx.ModelProto) -> bool:
    try:
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - onnxruntime's own have no common base
        return False
    return True


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("spelling", EVERY)
def test_the_trits_come_back(spelling: str, layer: str, tmp_path: Path) -> None:
    """One scale and one a filter, in turns."""
    shape, frame, _ = LAYERS[layer]
    per_channel = (list(EVERY).index(spelling) + list(LAYERS).index(layer)) % 2 > 0
    w = weight(random_trits(*shape, seed=len(spelling)), per_channel)
    model = net(EVERY[spelling], layer, w)
    np.testing.assert_array_equal(trits_of(import_model(model, tmp_path)), rows(w.trits))
    if spelling in PLAIN and runs(model):
        assert check(model, random_bytes(8, *frame), tmp_path).codes > 0


@st.composite
def weights(draw: st.DrawFn) -> tuple[str, Weight]:
    layer = draw(st.sampled_from(sorted(LAYERS)))
    shape = LAYERS[layer][0]
    size = int(np.prod(shape))
    values = draw(st.lists(st.integers(-1, 1), min_size=size, max_size=size))
    trits = np.array(values, np.int8).reshape(shape)
    trits.reshape(len(trits), -1)[:, draw(st.integers(0, size // len(trits) - 1))] = draw(st.sampled_from([-1, 1]))
    return layer, weight(trits, draw(st.booleans()))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(EVERY)), weights())
def test_any_trits_come_back(spelling: str, drawn: tuple[str, Weight]) -> None:
    layer, w = drawn
    with tempfile.TemporaryDirectory() as folder:
        imported = import_model(net(EVERY[spelling], layer, w), Path(folder))
    np.testing.assert_array_equal(trits_of(imported), rows(w.trits))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31))
def test_binary_weights(seed: int) -> None:
    """BipolarQuant, and stored -s, +s."""
    trits = np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (6, 8))
    w = Weight(trits, trits * np.float32(0.25), per_channel=False)

    def bipolar(g: Graph, w: Weight) -> str:
        return g.add("BipolarQuant", g.const(w.masters * 3), np.float32(0.25), domain=QONNX)

    for spelling in (bipolar, PLAIN["stored"]):
        with tempfile.TemporaryDirectory() as folder:
            np.testing.assert_array_equal(trits_of(import_model(net(spelling, "Gemm", w), Path(folder))), trits)


TOLD = ("stored", "QCDQ of masters", "masters, dynamo", "straight-through")


def test_masters_near_a_tie_are_counted(tmp_path: Path) -> None:
    """Half the mean is where onnxruntime, which sums it in float32, may round otherwise."""
    masters = weight(random_trits(6, 8), per_channel=False).masters
    others = np.abs(masters).sum(dtype=np.float64) - np.abs(masters[0, :2]).sum(dtype=np.float64)
    masters[0, :2] = others / (2 * masters.size - 2)
    near = Weight(np.sign(masters).astype(np.int8), masters, per_channel=False)
    counts = {spelling: import_model(net(PLAIN[spelling], "Gemm", near), tmp_path).near_ties for spelling in TOLD}
    assert counts["stored"] == counts["QCDQ of masters"] == {}
    assert list(counts["masters, dynamo"].values()) == list(counts["straight-through"].values()) == [2]


def test_packed_bits(tmp_path: Path) -> None:
    """MatMulNBits of two bits: four codes a byte, the lowest first, zero point 2."""
    trits = random_trits(6, 32)
    codes = (trits + 2).astype(np.uint8).reshape(6, 8, 4)
    packed = (codes << np.array([0, 2, 4, 6], np.uint8)).sum(axis=2, dtype=np.uint8).reshape(6, 1, 8)
    g = Graph()
    x = g.image([1, 32])
    scale = np.full(6, 0.25, np.float32)
    y = g.add("MatMulNBits", x, packed, scale, domain="com.microsoft", K=32, N=6, bits=2, block_size=32)
    imported = import_model(g.output(g.quantised(g.add("Relu", y), 0.25)).model(), tmp_path)
    np.testing.assert_array_equal(trits_of(imported), trits)
