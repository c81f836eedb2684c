"""Japanese vowels: 640 utterances of /ae/ by nine men, as 7 to 29 frames of 12 LPC cepstrum coefficients."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor

from ..quantised.training import Split

LENGTH = 32
"""Frames of a sample; zeros follow the utterance."""

COEFFICIENTS = 12


def _folder() -> Path:
    """Where the package aeon keeps the data; nothing of it is imported."""
    spec = importlib.util.find_spec("aeon")
    if spec is None or spec.origin is None:
        raise SystemExit("the data comes with aeon: pip install --no-deps aeon==1.6.0")
    return Path(spec.origin).parent / "datasets" / "data" / "JapaneseVowels"


def _read(path: Path) -> tuple[Tensor, Tensor]:
    """Samples [N, 12, 32] and speakers [N] of a .ts file: `c0,c0,...:c1,...:...:speaker`, one line each."""
    lines = path.read_text(encoding="utf-8").partition("@data\n")[2].split()
    x = torch.zeros(len(lines), COEFFICIENTS, LENGTH)
    y = torch.zeros(len(lines), dtype=torch.int64)
    for n, line in enumerate(lines):
        *series, speaker = line.split(":")
        values = torch.tensor([[float(value) for value in channel.split(",")] for channel in series])
        x[n, :, : values.shape[1]] = values
        y[n] = int(speaker) - 1
    return x, y


def load() -> Split:
    """The data's own split: 270 utterances to train on, 370 held out."""
    folder = _folder()
    return Split(*_read(folder / "JapaneseVowels_TRAIN.ts"), *_read(folder / "JapaneseVowels_TEST.ts"))


def disturb(x: Tensor) -> Tensor:
    """Utterances [N, 12, 32] that begin up to three frames later, a little louder or noisier."""
    shifts = torch.randint(4, (len(x), 1, 1))
    later = (torch.arange(LENGTH) - shifts).expand_as(x)
    moved = x.gather(2, later.clamp(min=0)) * (later >= 0)
    spoken = (moved.abs().amax(1, keepdim=True) > 0).float()
    gain = 1 + 0.05 * torch.randn(len(x), COEFFICIENTS, 1)
    return moved * gain + 0.05 * torch.randn_like(x) * spoken
