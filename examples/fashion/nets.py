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


def _block(inputs: int, outputs: int, size: int) -> list[nn.Module]:
    """A convolution that keeps the image's size, batch norm, 4-bit ReLU."""
    return [conv(inputs, outputs, size, padding=size // 2), nn.BatchNorm2d(outputs), relu(unsigned(4))]


def _residuals(channels: int) -> list[nn.Module]:
    """Two blocks with 5-bit branches: the addends of the first share a scale."""
    return [Residual(channels, 4, 5, shared=True), Residual(channels, 4, 5, shared=False)]


def cnn() -> nn.Module:
    """Ternary: 28x28x32, residual blocks at 14x14x32 and at 7x7x64, 128 averages."""
    return nn.Sequential(
        identity(ImageInput),
        *_block(1, 32, 3),
        nn.MaxPool2d(2),
        *_residuals(32),
        *_block(32, 64, 3),
        nn.MaxPool2d(2),
        *_residuals(64),
        *_block(64, 128, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        identity(unsigned(8)),
        linear(128, 10, bias=True),
    )
