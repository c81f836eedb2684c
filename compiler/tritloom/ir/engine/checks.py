"""What the verifiers of several engine operations check."""

from __future__ import annotations

from ..mlir import IntegerAttr, IRDLOperation, SymbolRefAttr, VerifyException
from ..tern import VectorOp, symbol


def check_engine_vector(op: IRDLOperation, reference: SymbolRefAttr | None, length: int) -> None:
    """Verify that `reference`, if given, names a vector of `length` elements."""
    if reference is None:
        return
    found = symbol(op, reference)
    if not isinstance(found, VectorOp) or found.length.value.data != length:
        raise VerifyException(f"{op.name}: @{reference.root_reference.data} is not a vector of {length} elements")


def check_places(op: IRDLOperation) -> None:
    """Verify addresses (multiples of 16 floats) and slot, where plan-memory has given them."""
    for name in ("address", "state_address"):
        place = op.properties.get(name)
        if isinstance(place, IntegerAttr) and (place.value.data < 0 or place.value.data % 16):
            raise VerifyException(f"{op.name}: {name} {place.value.data} is not a multiple of 16")
    slot = op.properties.get("slot")
    if isinstance(slot, IntegerAttr) and slot.value.data < 0:
        raise VerifyException(f"{op.name}: slot {slot.value.data} is negative")
