"""A 1-D convolutional network over 32 frames of 12 coefficients."""

from __future__ import annotations

from torch import nn

from ..quantised.layers import conv1d, identity, linear, relu
from ..quantised.quantisers import TernaryWeightPerChannel, signed, unsigned


def cnn() -> nn.Module:
    """Ternary, signed 8-bit input, 4-bit activations; depthwise and pointwise layers, both poolings."""
    return nn.Sequential(
        identity(signed(8)),
        conv1d(12, 48, 5, padding=2),
        nn.BatchNorm1d(48),
        relu(unsigned(4)),
        conv1d(48, 48, 5, TernaryWeightPerChannel, padding=2, groups=48),
        nn.BatchNorm1d(48),
        relu(unsigned(4)),
        conv1d(48, 64, 1),
        nn.BatchNorm1d(64),
        relu(unsigned(4)),
        nn.MaxPool1d(2),
        conv1d(64, 64, 3, padding=1),
        nn.BatchNorm1d(64),
        relu(unsigned(4)),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        identity(unsigned(8)),
        linear(64, 9, bias=True),
    )
