"""Functions of scores, in float32: what docs/numerics.md defines, once more, since the runtime has no compiler.

Only additions, products, quotients and exact scalings by powers of two, in a fixed order: the same bits on every
machine. `ir/numerics.py` is the definition, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]

_PARTIAL_SUMS = 128
_ONE, _TWO, _HALF, _RANGE = (np.float32(number) for number in (1.0, 2.0, 0.5, 32.0))
_EXP_C, _EXP_HI, _EXP_LO, _LN2_HI, _LN2_LO, _ROOT_HALF = (
    np.float32(float.fromhex(text))
    for text in ("0x1.715476p+8", "0x1.628p-9", "0x1.90bfbep-19", "0x1.63p-1", "-0x1.bd0106p-13", "0x1.6a09e6p-1")
)
_LOG_SERIES = tuple(np.float32(2.0 / odd) for odd in (9, 7, 5, 3))
_POWERS: F32 = (2.0 ** (np.arange(256) / 256)).astype(np.float32)


def _sum(values: F32) -> F32:
    """Over the last axis: 128 partial sums, then a balanced tree. Returns [..., 1]."""
    padding = -values.shape[-1] % _PARTIAL_SUMS
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, padding)])
    chunks = padded.reshape(*values.shape[:-1], -1, _PARTIAL_SUMS)
    partial = np.zeros((*values.shape[:-1], _PARTIAL_SUMS), np.float32)
    for chunk in range(chunks.shape[-2]):
        partial = partial + chunks[..., chunk, :]
    while (width := partial.shape[-1] // 2) > 0:
        partial = partial[..., :width] + partial[..., width:]
    return partial


def _exp_neg(t: F32) -> F32:
    """exp(t) for -32 <= t <= 0."""
    k = np.rint(t * _EXP_C).astype(np.int32)
    whole = k.astype(np.float32)
    r = (t - whole * _EXP_HI) - whole * _EXP_LO
    p = r + (r * r) * _HALF
    m = _POWERS[k & 255]
    result: F32 = np.ldexp(m + m * p, k >> 8).astype(np.float32)
    return result


def _log(x: F32) -> F32:
    """Natural logarithm of x >= 1."""
    half, exponent = np.frexp(x)
    small = half < _ROOT_HALF
    m: F32 = np.where(small, half + half, half)
    e: F32 = np.where(small, exponent - 1, exponent).astype(np.float32)
    z = (m - _ONE) / (m + _ONE)
    w = z * z
    p = _LOG_SERIES[0] * w
    for coefficient in _LOG_SERIES[1:]:
        p = (p + coefficient) * w
    result: F32 = e * _LN2_HI + (e * _LN2_LO + (p + _TWO) * z)
    return result


def _below_largest(x: F32) -> tuple[F32, F32]:
    """x less the largest of its last axis, and the powers of that."""
    below: F32 = x - x.max(axis=-1, keepdims=True)
    return below, _exp_neg(np.maximum(below, -_RANGE))


def sigmoid(x: F32) -> F32:
    """1 / (1 + exp(-x))."""
    t = _exp_neg(-np.abs(np.minimum(np.maximum(x, -_RANGE), _RANGE)))
    result: F32 = np.where(x < 0, t, _ONE) / (_ONE + t)
    return result


def softmax(x: F32) -> F32:
    """exp(x) over its sum, over the last axis."""
    _, powers = _below_largest(x)
    result: F32 = powers / _sum(powers)
    return result


def log_softmax(x: F32) -> F32:
    """The logarithm of softmax, over the last axis."""
    below, powers = _below_largest(x)
    return below - _log(_sum(powers))


FUNCTIONS: Final[dict[str, Callable[[F32], F32]]] = {
    "sigmoid": sigmoid,
    "softmax": softmax,
    "log_softmax": log_softmax,
}
OVER_CHANNELS: Final = ("softmax", "log_softmax")
"""Those that take all channels of a vector."""
