"""Layers of brevitas with ternary weights, and the residual block of the examples."""

from __future__ import annotations

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from .quantisers import Quantiser, TernaryWeight, TernaryWeightPerChannel, signed, unsigned

TIE = 1e-5
"""Least distance of |w| / s to 0.5 that keeps a trit free of doubt."""


def identity(quantiser: Quantiser) -> qnn.QuantIdentity:
    """A quantiser and nothing else."""
    return qnn.QuantIdentity(act_quant=quantiser)


def relu(quantiser: Quantiser) -> qnn.QuantReLU:
    """ReLU, then a quantiser."""
    return qnn.QuantReLU(act_quant=quantiser)


def linear(inputs: int, outputs: int, weight: Quantiser = TernaryWeight, bias: bool = False) -> qnn.QuantLinear:
    """A dense layer."""
    return qnn.QuantLinear(inputs, outputs, bias=bias, weight_quant=weight)


def conv(inputs: int, outputs: int, size: int, weight: Quantiser = TernaryWeight, **options: int) -> qnn.QuantConv2d:
    """A 2-D convolution without bias."""
    return qnn.QuantConv2d(inputs, outputs, size, bias=False, weight_quant=weight, **options)


def conv1d(inputs: int, outputs: int, size: int, weight: Quantiser = TernaryWeight, **options: int) -> qnn.QuantConv1d:
    """A 1-D convolution without bias."""
    return qnn.QuantConv1d(inputs, outputs, size, bias=False, weight_quant=weight, **options)


class Residual(nn.Module):
    """A depthwise and a pointwise convolution beside a skip: `relu(branch + skip)`, [N, C, H, W] to the same.

    The branch is quantised in signed `branch_bits`. With `shared`, the skip goes through the same quantiser,
    so both addends have one scale; without, it has a quantiser, and a scale, of its own.
    """

    def __init__(self, channels: int, bits: int, branch_bits: int, *, shared: bool) -> None:
        super().__init__()
        self.depthwise = conv(channels, channels, 3, TernaryWeightPerChannel, padding=1, groups=channels)
        self.norm = nn.BatchNorm2d(channels)
        self.middle = relu(unsigned(bits))
        self.pointwise = conv(channels, channels, 1)
        self.norm_out = nn.BatchNorm2d(channels)
        self.branch = identity(signed(branch_bits))
        self.skip = self.branch if shared else identity(signed(branch_bits + 1))
        self.out = relu(unsigned(bits))

    def forward(self, x: Tensor) -> Tensor:
        y = self.middle(self.norm(self.depthwise(x)))
        y = self.branch(self.norm_out(self.pointwise(y)))
        return self.out(y + self.skip(x))


@torch.no_grad()
def clear_ties(model: nn.Module) -> None:
    """Move weights that nearly tie away from the tie, so that no trit hangs on the last bit of a scale."""
    for layer in model.modules():
        if isinstance(layer, (qnn.QuantLinear, qnn.QuantConv1d, qnn.QuantConv2d)):
            weight = layer.weight
            scale = layer.quant_weight().scale
            near = ((weight.abs() / scale) - 0.5).abs() < TIE
            size = torch.where(weight.abs() < 0.5 * scale, 0.5 - 2 * TIE, 0.5 + 2 * TIE) * scale
            weight.copy_(torch.where(near, size * weight.sign(), weight))
