"""Train the 1-D CNN on the vowels: `python -m examples.vowels.train cnn -o runs/vowels-cnn.pt`; a minute on a CPU."""

from __future__ import annotations

from ..quantised.training import Recipe, train
from .data import disturb, load
from .nets import cnn

NETS = {"cnn": (cnn, Recipe(epochs=150, batch=45, smoothing=0.1, augment=disturb))}

if __name__ == "__main__":
    train(NETS, load)
