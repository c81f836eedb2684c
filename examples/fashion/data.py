"""Fashion-MNIST (arXiv 1708.07747): 60,000 and 10,000 images of 28x28 bytes, ten kinds of clothing."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..quantised.training import Split

FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts it."""


def _read(name: str, header: int) -> Tensor:
    """The bytes of an IDX file after its header."""
    return torch.from_numpy(np.frombuffer(gzip.decompress((FOLDER / name).read_bytes())[header:], np.uint8).copy())


def load() -> Split:
    """Pixels between 0 and 1, [N, 1, 28, 28]."""
    parts = []
    for part in ("train", "t10k"):
        parts.append(_read(f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28) / 255)
        parts.append(_read(f"{part}-labels-idx1-ubyte.gz", 8).long())
    return Split(*parts)


def shift_and_mirror(x: Tensor) -> Tensor:
    """Each image of [N, 1, 28, 28] mirrored or not, and moved by up to two pixels."""
    count, device = len(x), x.device
    mirrored = torch.rand(count, 1, 1, 1, device=device) < 0.5
    x = F.pad(torch.where(mirrored, x.flip(3), x), (2, 2, 2, 2))
    span = torch.arange(28, device=device)
    rows = (torch.randint(5, (count, 1), device=device) + span)[:, None, :, None]
    columns = (torch.randint(5, (count, 1), device=device) + span)[:, None, None, :]
    return x[torch.arange(count, device=device)[:, None, None, None], 0, rows, columns]
