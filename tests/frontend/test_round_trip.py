"""Whatever the trits are: written in any form, imported, packed and unpacked they are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from forms import FORMS, Weight
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx_models import Net
from skeleton import import_net, model_of, weights
from tritloom.ir.encoding import pack_linear, unpack_linear
from tritloom.ir.store import trits_hash
from tritloom.ir.tern import MulOp

SETTINGS = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SHAPES = st.tuples(st.integers(1, 12), st.sampled_from([16, 48]))
TRITS = arrays.arrays(np.int8, SHAPES, elements=st.integers(-1, 1), fill=st.just(0))
SIZE = st.floats(2.0**-10, 2.0**6, width=32)


def weight(trits: NDArray[np.int8], size: float, per_channel: bool) -> Weight:
    """Masters of one magnitude (growing from row to row with `per_channel`): they round to exactly these trits."""
    growth = np.linspace(1, 2, len(trits))[:, np.newaxis] if per_channel else 1.0
    masters = (trits * (size * growth)).astype(np.float32)
    axis = 1 if per_channel else None
    scale = np.abs(masters).mean(axis=axis, keepdims=per_channel, dtype=np.float64).astype(np.float32)
    return Weight("w", trits, np.maximum(scale, np.float32(1e-5)), masters)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("form", FORMS)
@given(trits=TRITS, size=SIZE)
@SETTINGS
def test_trits_come_back(form: str, per_channel: bool, trits: NDArray[np.int8], size: float, tmp_path: Path) -> None:
    assume(trits.any())
    w, net = weight(trits, size, per_channel), Net(opset=25)
    x = net.token(table=np.random.default_rng(0).normal(size=(4, trits.shape[1])).astype(np.float32))
    net.output("y", FORMS[form](net, x, w), (1, len(trits)))
    imported = import_net(net, tmp_path)
    (symbol,) = weights(imported)
    found = imported.store.trits(symbol.sym_name.data)
    np.testing.assert_array_equal(found, trits)
    assert symbol.hash.data == trits_hash(trits)
    np.testing.assert_array_equal(unpack_linear(pack_linear(found, 4, 2), *trits.shape, 4), trits)
    products = [op for op in model_of(imported).body.block.ops if isinstance(op, MulOp)]
    scales = np.full((len(trits), 1), symbol.scale.value.data, np.float32)
    if products:
        (scale,) = (op.rhs.owner.vector.root_reference.data for op in products)
        scales = scales * imported.store.root_vector(scale)[:, np.newaxis]
    used = trits.any(axis=1)
    expected = np.broadcast_to(w.scale, (len(trits), 1))
    allowed = 4 * np.spacing(expected)
    if form == "folded residue":  # what the file holds was computed as w + (q - w), w larger than q
        allowed = allowed + np.spacing(np.abs(w.masters).max(axis=1, keepdims=True))
    assert (np.abs(scales - expected) <= allowed)[used].all()
