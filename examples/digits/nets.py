"""Two multi-layer perceptrons for 8x8 digits."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from ..quantised.layers import identity, linear, relu
from ..quantised.quantisers import PixelInput, TernaryWeightPowerOfTwo, unsigned

SIZES = (64, 64, 64, 10)


def mlp() -> nn.Module:
    """Ternary 64-64-64-10, batch norm, 4-bit activations."""
    layers: list[nn.Module] = [identity(PixelInput)]
    for inputs, outputs in pairwise(SIZES[:-1]):
        layers += [linear(inputs, outputs), nn.BatchNorm1d(outputs), relu(unsigned(4))]
    return nn.Sequential(*layers, linear(*SIZES[-2:], bias=True))


def mlp_power_of_two() -> nn.Module:
    """The same shape with biases for batch norm and a power of two for every scale: integers and shifts."""
    layers: list[nn.Module] = [identity(PixelInput)]
    for inputs, outputs in pairwise(SIZES[:-1]):
        layers += [
            linear(inputs, outputs, TernaryWeightPowerOfTwo, bias=True),
            relu(unsigned(4, power_of_two=True)),
        ]
    layers.append(linear(*SIZES[-2:], TernaryWeightPowerOfTwo, bias=True))
    for layer in layers:
        if isinstance(layer, nn.Linear):  # no norm brings the values to about 1: the weights must
            nn.init.uniform_(layer.weight, -0.5, 0.5)
    return nn.Sequential(*layers)
