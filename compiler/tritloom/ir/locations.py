"""Locations: the ONNX nodes that an operation came from."""

from __future__ import annotations

from collections.abc import Iterable

from .mlir import ArrayAttr, FusedLoc, LocationAttr, NameLoc, NoneAttr, Operation, StringAttr


def location(names: Iterable[str]) -> LocationAttr | None:
    """Location of an operation made from the ONNX nodes `names`; None where there are none."""
    locations = [NameLoc(StringAttr(name), NoneAttr()) for name in dict.fromkeys(names)]
    if len(locations) < 2:
        return locations[0] if locations else None
    return FusedLoc(ArrayAttr(locations), NoneAttr())


def onnx_names(op: Operation) -> list[str]:
    """The ONNX nodes an operation came from."""
    loc = op.location
    if isinstance(loc, NameLoc):
        return [loc.desc.data]
    if isinstance(loc, FusedLoc) and isinstance(loc.locations, ArrayAttr):
        return [inner.desc.data for inner in loc.locations if isinstance(inner, NameLoc)]
    return []


def fused_location(*ops: Operation) -> LocationAttr | None:
    """Location of an operation that replaces `ops`."""
    return location(name for op in ops for name in onnx_names(op))
