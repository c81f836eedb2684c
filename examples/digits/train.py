"""Train an MLP on the digits: `python -m examples.digits.train mlp -o runs/digits-mlp.pt`; seconds on a CPU."""

from __future__ import annotations

from ..quantised.training import Recipe, train
from .data import load
from .nets import mlp, mlp_power_of_two

NETS = {
    "mlp": (mlp, Recipe(epochs=100, batch=64, smoothing=0.1)),
    "mlp-power-of-two": (mlp_power_of_two, Recipe(epochs=100, batch=64, smoothing=0.1)),
}

if __name__ == "__main__":
    train(NETS, load)
