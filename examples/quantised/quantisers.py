"""The quantisers of the examples, in brevitas' terms: ternary weights, static activations.

A weight is `s * clip(round(w / s), -1, 1)` with `s = mean |w|`, of the tensor or of an output channel.
An activation is `s * clip(round(x / s), low, high)` with an `s` that training learns, or, for an image,
with `s = 1/255`. Half goes to even everywhere.
"""

from __future__ import annotations

from brevitas.core.function_wrapper import RoundSte
from brevitas.core.scaling import IntScaling
from brevitas.inject import ExtendedInjector
from brevitas.inject.enum import RestrictValueType, ScalingImplType, StatsOp
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerTensorFloat,
    SignedBinaryActPerTensorConst,
    Uint8ActPerTensorFixedPoint,
    Uint8ActPerTensorFloat,
)

from .fused import FusedIntQuant

Quantiser = type[ExtendedInjector]


class TernaryWeight(Int8WeightPerTensorFloat):
    """{-s, 0, s}, one s a tensor."""

    bit_width = 2
    narrow_range = True
    scaling_stats_op = StatsOp.AVE


class TernaryWeightPerChannel(Int8WeightPerChannelFloat):
    """{-s, 0, s}, one s an output channel."""

    bit_width = 2
    narrow_range = True
    scaling_stats_op = StatsOp.AVE


class TernaryWeightPowerOfTwo(TernaryWeight):
    """{-s, 0, s}, s the power of two nearest to mean |w|."""

    restrict_scaling_type = RestrictValueType.POWER_OF_TWO
    restrict_value_float_to_int_impl = RoundSte
    int_scaling_impl = IntScaling


class ImageInput(Uint8ActPerTensorFloat):
    """Eight bits over [0, 1]: the bytes of an image, scale 1/255."""

    scaling_impl_type = ScalingImplType.CONST
    max_val = 1.0


class PixelInput(Uint8ActPerTensorFloat):
    """Five bits of scale 1/16: pixels of 0 to 16 shown as 0 to 1."""

    bit_width = 5
    scaling_impl_type = ScalingImplType.CONST
    max_val = 31 / 16


class Sign(SignedBinaryActPerTensorConst):
    """-1 or +1; zero counts as positive."""

    min_val = -1.0
    max_val = 1.0


def unsigned(bits: int, power_of_two: bool = False) -> Quantiser:
    """Codes 0 .. 2^bits - 1, what follows a ReLU."""
    base = Uint8ActPerTensorFixedPoint if power_of_two else Uint8ActPerTensorFloat
    return base.let(bit_width=bits, collect_stats_steps=30, int_quant=FusedIntQuant)


def signed(bits: int, power_of_two: bool = False) -> Quantiser:
    """Codes -2^(bits-1) .. 2^(bits-1) - 1."""
    base = Int8ActPerTensorFixedPoint if power_of_two else Int8ActPerTensorFloat
    return base.let(bit_width=bits, collect_stats_steps=30, int_quant=FusedIntQuant)


def unsigned_per_channel(bits: int, channels: int, dimensions: int) -> Quantiser:
    """As `unsigned`, with a scale for each channel of [N, C, ...], `dimensions` axes after C."""
    shape = (1, channels, *([1] * dimensions))
    axes = (1, 0, *range(2, 2 + dimensions))
    return unsigned(bits).let(
        scaling_per_output_channel=True, per_channel_broadcastable_shape=shape, scaling_stats_permute_dims=axes
    )
