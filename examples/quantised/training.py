"""Training of a classifier: Adam, a one-cycle learning rate, cross entropy."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

THREADS = 1

Augment = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Split:
    """Samples x [N, ...] float32 and labels y [N] int64, to train on and held out."""

    x: Tensor
    y: Tensor
    x_held_out: Tensor
    y_held_out: Tensor

    def to(self, device: str) -> Split:
        return Split(*(part.to(device) for part in (self.x, self.y, self.x_held_out, self.y_held_out)))

    def validation(self, count: int) -> Split:
        """The last `count` samples to train on, held out instead: what a recipe may be chosen by."""
        return Split(self.x[:-count], self.y[:-count], self.x[-count:], self.y[-count:])


@dataclass(frozen=True)
class Recipe:
    """How long and how fast; `augment` changes a batch of samples at random."""

    epochs: int
    rate: float = 5e-3
    batch: int = 128
    decay: float = 0.0
    smoothing: float = 0.0
    augment: Augment | None = None


@torch.no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of the samples whose largest score is their label's."""
    model.eval()
    right = sum(int((model(xs).argmax(1) == ys).sum()) for xs, ys in zip(x.split(1000), y.split(1000), strict=True))
    return right / len(y)


def _groups(model: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weights decay; norms, biases and the scales of quantisers do not."""
    weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def fit(model: nn.Module, data: Split, recipe: Recipe, seed: int = 0) -> None:
    """Train `model` in place; a line an epoch. The held-out samples are looked at once, by the caller."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    steps = recipe.epochs * (len(data.x) // recipe.batch)
    model.train()
    model(data.x[: recipe.batch])  # quantisers take their scales from what they see first
    optimiser = torch.optim.AdamW(_groups(model, recipe.decay))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, steps, pct_start=0.2)
    for epoch in range(recipe.epochs):
        start, total = time.monotonic(), torch.zeros((), device=data.x.device)
        model.train()
        order = torch.randperm(len(data.x), generator=generator).split(recipe.batch)
        for indices in (part for part in order if len(part) == recipe.batch):
            x, y = data.x[indices.to(data.x.device)], data.y[indices.to(data.y.device)]
            scores = model(recipe.augment(x) if recipe.augment else x)
            loss = F.cross_entropy(scores, y, label_smoothing=recipe.smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.detach()
        loss_of_a_sample = float(total) * recipe.batch / len(data.x)
        print(f"epoch {epoch + 1}: loss {loss_of_a_sample:.4f} ({time.monotonic() - start:.1f} s)", flush=True)


def train(nets: Mapping[str, tuple[Callable[[], nn.Module], Recipe]], load: Callable[[], Split]) -> None:
    """The command line of an example: trains one of `nets` and writes its parameters."""
    parser = argparse.ArgumentParser()
    parser.add_argument("net", choices=nets)
    parser.add_argument("-o", "--output", type=Path, required=True, help="checkpoint to write, .pt")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--validate", type=int, default=0, metavar="N", help="hold N training samples out instead")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    torch.manual_seed(args.seed)
    build, recipe = nets[args.net]
    data = load().validation(args.validate) if args.validate else load()
    model, data = build().to(args.device), data.to(args.device)
    start = time.monotonic()
    fit(model, data, recipe, args.seed)
    print(f"trained in {time.monotonic() - start:.0f} s")
    print(f"held out: {accuracy(model, data.x_held_out, data.y_held_out):.4f} of {len(data.y_held_out)} right")
    args.output.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.cpu().state_dict(), args.output)
