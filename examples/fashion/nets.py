"""A multi-layer perceptron and a small residual network for 28x28 images."""

from __future__ import annotations

import torch
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
    """Ternary, 4-bit activations, 5-bit residual branches: one block with a shared scale, one without, one with."""
    net = nn.Sequential(
        identity(ImageInput),
        conv(1, 24, 3, stride=2, padding=1),
        nn.BatchNorm2d(24),
        relu(unsigned(4)),
        Residual(24, 4, 5, shared=True),
        nn.MaxPool2d(2),
        conv(24, 80, 3, padding=1),
        nn.BatchNorm2d(80),
        relu(unsigned(4)),
        Residual(80, 4, 5, shared=False),
        Residual(80, 4, 5, shared=True),
        conv(80, 128, 1),
        nn.BatchNorm2d(128),
        relu(unsigned(4)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        identity(unsigned(8)),
        linear(128, 10, bias=True),
    )
    return net.to(memory_format=torch.channels_last)  # the faster one on a CPU
