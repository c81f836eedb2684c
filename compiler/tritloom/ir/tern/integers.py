"""Types of nets that compute in integers: channels-last tensors of codes and of exact sums.

An activation is a tensor [H, W, C] or [K] whose element type says width and sign (`ui4`, `si8`); a sum has as many bits
as its range needs.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..mlir import Attribute, IntegerType, Signedness, SSAValue, TensorType, VerifyException


def integer_type(bits: int, signed: bool) -> IntegerType:
    """`siN` or `uiN`."""
    return IntegerType(bits, Signedness.SIGNED if signed else Signedness.UNSIGNED)


def integer_for(low: int, high: int) -> IntegerType:
    """The narrowest type that holds low .. high."""
    if low >= 0:
        return integer_type(max(1, high.bit_length()), signed=False)
    return integer_type(1 + max((-low - 1).bit_length(), max(high, 0).bit_length()), signed=True)


def tensor_of(shape: Sequence[int], element: Attribute) -> TensorType:
    """A tensor of fixed shape."""
    return TensorType(element, list(shape))


def shape_of(value: SSAValue) -> tuple[int, ...]:
    """Dimensions of an activation: (H, W, C) or (K,)."""
    if isinstance(value.type, TensorType) and len(shape := value.type.get_shape()) in (1, 3) and min(shape) > 0:
        return tuple(shape)
    raise VerifyException(f"a tensor [H, W, C] or [K] of a fixed size is needed, not {value.type}")


def element_of(value: SSAValue) -> IntegerType:
    """Element type of an integer activation, signed or unsigned."""
    element = value.type.element_type if isinstance(value.type, TensorType) else None
    if isinstance(element, IntegerType) and element.signedness.data != Signedness.SIGNLESS:
        return element
    raise VerifyException(f"a tensor of siN or uiN is needed, not {value.type}")


def is_signed(element: IntegerType) -> bool:
    """Whether it is siN."""
    return element.signedness.data == Signedness.SIGNED


def range_of(element: IntegerType) -> tuple[int, int]:
    """Smallest and largest value."""
    bits = element.width.data
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed(element) else (0, (1 << bits) - 1)
