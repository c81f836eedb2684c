"""Train a net on Fashion-MNIST: `python -m examples.fashion.train cnn -o runs/fashion-cnn.pt`.

The perceptron takes minutes on a CPU, the convolutional net minutes on a GPU (`--device cuda`).
"""

from __future__ import annotations

from ..quantised.training import Recipe, train
from .data import load, shift_and_mirror
from .nets import cnn, mlp

NETS = {
    "mlp": (mlp, Recipe(epochs=15)),
    "cnn": (cnn, Recipe(epochs=54, rate=1e-2, batch=512, augment=shift_and_mirror)),
}

if __name__ == "__main__":
    train(NETS, load)
