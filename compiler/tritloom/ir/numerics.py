"""The arithmetic of every kernel, in numpy (docs/numerics.md, version 2).

This module is the definition; the C++ kernels are compared with it bit for bit. Each function works on float32
arrays whose last axis is the vector, the leading axes being positions. Scalars are float32 arrays of shape
[..., 1]: numpy 1.26 and 2.x promote Python floats differently, so no Python float takes part in the arithmetic.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I8 = NDArray[np.int8]
I32 = NDArray[np.int32]

NUMERICS_VERSION: Final = 2
PARTIAL_SUMS: Final = 128

_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_CODE_MAX = np.float32(127.0)
_RANGE_LEVELS = np.float32(255.0)
_FAR_STEPS = np.float32(1024.0)
_EXP_RANGE = np.float32(32.0)
_ZERO_VECTOR = np.float32(2.0**-60)
_STATE_FLOOR = np.float32(2.0**-40)
_EXP_C = np.float32(float.fromhex("0x1.715476p+8"))
_EXP_HI = np.float32(float.fromhex("0x1.628p-9"))
_EXP_LO = np.float32(float.fromhex("0x1.90bfbep-19"))
_LOG_SERIES = tuple(np.float32(2.0 / odd) for odd in (9, 7, 5, 3))
_TWO = np.float32(2.0)
_LN2_HI = np.float32(float.fromhex("0x1.63p-1"))
_LN2_LO = np.float32(float.fromhex("-0x1.bd0106p-13"))
_ROOT_HALF = np.float32(float.fromhex("0x1.6a09e6p-1"))
EXP_TABLE: Final[F32] = (2.0 ** (np.arange(256) / 256)).astype(np.float32)


def sum128(values: F32) -> F32:
    """Sum over the last axis in the fixed order: 128 partial sums, then a balanced tree. Returns [..., 1]."""
    length = values.shape[-1]
    padding = -length % PARTIAL_SUMS
    widths = [(0, 0)] * (values.ndim - 1) + [(0, padding)]
    count = (length + padding) // PARTIAL_SUMS
    chunks = np.pad(values, widths).reshape(*values.shape[:-1], count, PARTIAL_SUMS)
    partial = np.zeros((*values.shape[:-1], PARTIAL_SUMS), np.float32)
    for chunk in range(count):
        partial = partial + chunks[..., chunk, :]
    width = PARTIAL_SUMS // 2
    while width:
        partial = partial[..., :width] + partial[..., width : 2 * width]
        width //= 2
    return partial


def mean(values: F32) -> F32:
    """Mean over the last axis, [..., 1]."""
    result: F32 = sum128(values) / np.float32(values.shape[-1])
    return result


def inv_rms(mean_square: F32, eps: np.float32) -> F32:
    """1 / sqrt(mean_square + eps)."""
    result: F32 = _ONE / np.sqrt(mean_square + eps)
    return result


def absmax(values: F32) -> F32:
    """Largest magnitude over the last axis, [..., 1]."""
    largest: F32 = np.abs(values).max(axis=-1, keepdims=True)
    return largest


def round_half_even(values: F32) -> I32:
    """Nearest integer, ties to even."""
    return np.rint(values).astype(np.int32)


def exp_neg(t: F32) -> F32:
    """exp(t) for -32 <= t <= 0, by a table of 2^(i/256) and a second-order remainder."""
    k = round_half_even(t * _EXP_C)
    kf = k.astype(np.float32)
    r = (t - kf * _EXP_HI) - kf * _EXP_LO
    p = r + (r * r) * _HALF
    m = EXP_TABLE[k & 255]
    return np.ldexp(m + m * p, k >> 8).astype(np.float32)


def log(x: F32) -> F32:
    """Natural logarithm of x >= 1: ln(m) + e*ln(2), m near 1, by a series of (m - 1) / (m + 1)."""
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


def softmax(x: F32) -> F32:
    """`exp(x - max(x))` over their sum, over the last axis; a difference is clamped to -32."""
    powers, total = _powers(x)
    result: F32 = powers / total
    return result


def log_softmax(x: F32) -> F32:
    """`(x - max(x)) - log(sum(exp(x - max(x))))` over the last axis, the powers being those of `softmax`."""
    _, total = _powers(x)
    result: F32 = (x - x.max(axis=-1, keepdims=True)) - log(total)
    return result


def _powers(x: F32) -> tuple[F32, F32]:
    """`exp(x - max(x))`, and their sum [..., 1]."""
    powers = exp_neg(np.maximum(x - x.max(axis=-1, keepdims=True), -_EXP_RANGE))
    return powers, sum128(powers)


def sigmoid(x: F32) -> F32:
    """Logistic function; the argument is clamped to +-32. Maximum relative error 1e-6."""
    clamped = np.minimum(np.maximum(x, -_EXP_RANGE), _EXP_RANGE)
    t = exp_neg(-np.abs(clamped))
    result: F32 = np.where(x < 0, t, _ONE) / (_ONE + t)
    return result


def silu(x: F32) -> F32:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


def relu(x: F32) -> F32:
    """x where positive, otherwise +0."""
    return np.where(x > 0, x, np.float32(0.0))


def flush(h: F32) -> F32:
    """+0 where |h| < 2^-40, so that a state never becomes subnormal."""
    return np.where(np.abs(h) < _STATE_FLOOR, np.float32(0.0), h)


def without_subnormals(x: F32) -> F32:
    """A vector that is fed: +0 where it is subnormal, since a board's arithmetic would take it for 0."""
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.float32(0.0), x)


def quantize(u: F32) -> tuple[I8, F32]:
    """Absmax codes of u and A = max|u| (0 for a zero vector): ``codes = round(u * 127/A)``."""
    largest = absmax(u)
    empty = largest < _ZERO_VECTOR
    step = _CODE_MAX / np.where(empty, _ONE, largest)
    codes = np.clip(round_half_even(u * step), -128, 127)
    return np.where(empty, 0, codes).astype(np.int8), np.where(empty, np.float32(0.0), largest)


def _round_steps(steps: F32) -> I32:
    """Rounded, where that is near enough to be a code; what lies beyond all codes is +-1024."""
    return round_half_even(np.clip(steps, -_FAR_STEPS, _FAR_STEPS))


def quantize_range(u: F32) -> tuple[I8, F32, I32]:
    """Codes of the range from min(u, 0) to max(u, 0), what one is worth, and the code of 0."""
    above, below = (np.maximum(part, np.float32(0.0)).max(axis=-1, keepdims=True) for part in (u, -u))
    size = above + below
    empty = size < _ZERO_VECTOR
    step = np.where(empty, np.float32(0.0), _RANGE_LEVELS / np.where(empty, _ONE, size))
    zero: I32 = np.minimum(round_half_even(below * step), 255) - 128
    codes = np.clip(_round_steps(u * step) + zero, -128, 127)
    scale = np.where(empty, np.float32(0.0), size * (_ONE / _RANGE_LEVELS))
    return codes.astype(np.int8), scale, zero


def inverse_step(step: float) -> np.float32:
    """1/step of a static quantiser: in binary64, rounded once."""
    return np.float32(1.0 / float(np.float32(step)))


def quantize_static(u: F32, inverse: np.float32, zero: int, low: int, high: int) -> I8:
    """Codes `clamp(round(u * inverse) + zero, low, high)`."""
    with np.errstate(over="ignore"):  # an infinite number of steps is beyond all codes, too
        steps = u * inverse
    return np.clip(_round_steps(steps) + np.int32(zero), low, high).astype(np.int8)


def center(a: F32) -> F32:
    """a less its mean."""
    return a - mean(a)


def norm_factor(a: F32, eps0: np.float32) -> F32:
    """1 / rms(a)."""
    return inv_rms(mean(a * a), eps0)


def double_norm_factor(a: F32, z: F32, eps0: np.float32, eps1: np.float32) -> F32:
    """Factor of two RMSNorms in a row, z being a times the first norm's gain (and b, where there is one)."""
    first = norm_factor(a, eps0)
    second: F32 = _ONE / np.sqrt((first * first) * mean(z * z) + eps1)
    return first * second


def dot(codes: I8, trits: I8) -> I32:
    """Exact product of codes [T, K] and trits [N, K]: int32 [T, N]. float32 BLAS is exact below 2^24."""
    if codes.shape[-1] * 128 >= 2**24:
        return codes.astype(np.int32) @ trits.astype(np.int32).T
    return (codes.astype(np.float32) @ trits.astype(np.float32).T).astype(np.int32)


def code_constant(scale: float, levels: int = 127) -> np.float32:
    """beta/levels of a weight's scale beta: in binary64, rounded once."""
    return np.float32(float(np.float32(scale)) / levels)


def dequantize(acc: I32, scale: F32, constant: np.float32) -> F32:
    """float(acc) * (scale * constant)."""
    return acc.astype(np.float32) * (scale * constant)


def hgrn(f0: F32, i0: F32, lower: F32, state: F32) -> tuple[F32, F32]:
    """One position of the MLGRU token mixer: (new state, silu(new state)). All arguments [n]."""
    f = sigmoid(f0)
    f = lower + (_ONE - lower) * f
    h = flush((f * state) + silu(i0) * (_ONE - f))
    return h, silu(h)
