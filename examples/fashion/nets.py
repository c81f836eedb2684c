"""A multi-layer perceptron and a small residual network for 28x28 images."""

from __future__ import annotations

from torch import nn

from ..quantised.layers import Residual, conv, identity, linear, relu
from ..quantised.quantisers import ImageInput, unsigned


def mlp(bits: int = 4) -> nn.Module:
    """Ternary 784-256-256-10, 8-bit input, batch norm, activations of `bits`."""
    return nn.Sequential(
        identity(ImageInput),
        nn.Flatten(),
        linear(784, 256),
        nn.BatchNorm1d(256),
        relu(unsigned(bits)),
        linear(256, 256),
        nn.BatchNorm1d(256),
        relu(unsigned(bits)),
        linear(256, 10, bias=True),
    )


def cnn() -> nn.Module:
    """Ternary, 4-bit activations, 5-bit residual branches; of two blocks a resolution the first has a shared scale."""
    return nn.Sequential(
        identity(ImageInput),
        conv(1, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        relu(unsigned(4)),
        Residual(16, 4, 5, shared=True),
        Residual(16, 4, 5, shared=False),
        conv(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        relu(unsigned(4)),
        nn.MaxPool2d(2),
        Residual(32, 4, 5, shared=True),
        Residual(32, 4, 5, shared=False),
        conv(32, 64, 1),
        nn.BatchNorm2d(64),
        relu(unsigned(4)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        identity(unsigned(8)),
        linear(64, 10, bias=True),
    )
