"""The handwritten digits that scikit-learn carries: 1,797 images of 8x8 pixels, 0 to 16."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from ..quantised.training import Split

TRAINING = 1197
"""The first 1,197 train, the last 600 are held out: other people wrote them."""

SCALE = 1 / 16


def load() -> Split:
    """Pixels between 0 and 1, [N, 64]."""
    digits = load_digits()
    x = torch.from_numpy(digits.data).float() * SCALE
    y = torch.from_numpy(digits.target).long()
    return Split(x[:TRAINING], y[:TRAINING], x[TRAINING:], y[TRAINING:])
