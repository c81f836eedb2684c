"""Train a MatMul-free language model on the tokens that corpus.py prepared.

    python train.py --data data/ -o runs/example              # the example, ternary
    python train.py --data data/ -o runs/float --float        # the same, float weights
    python train.py --data data/ -o runs/tiny --hidden 128 --layers 2 --intermediate 512

AdamW, linear warm-up and cosine decay. Products run in bfloat16 on CUDA; quantisers, norms and
the recurrence in float32. A checkpoint and a log line are written at every validation; the last
checkpoint is the result.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from checkpoint import save_model
from evaluate import bits_per_byte
from model import MatMulFreeLM, ModelConfig
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

BOS_ID = 0


@dataclass(frozen=True)
class Schedule:
    """Learning rate by step: linear warm-up, then a cosine down to `floor` of the peak."""

    peak: float
    steps: int
    warmup: int = 200
    floor: float = 0.02

    def rate(self, step: int) -> float:
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return self.peak * (self.floor + (1 - self.floor) * cosine)


def batches(tokens: Tensor, batch: int, length: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless random windows: inputs `<s> t0 .. t(n-2)`, targets `t0 .. t(n-1)`, both [B, T]."""
    generator = torch.Generator().manual_seed(seed)
    span = torch.arange(length)
    while True:
        start = torch.randint(len(tokens) - length, (batch, 1), generator=generator)
        targets = tokens[(start + span).to(tokens.device)]
        inputs = F.pad(targets[:, :-1], (1, 0), value=BOS_ID)
        yield inputs, targets


def make_optimizer(model: MatMulFreeLM, decay: float) -> torch.optim.AdamW:
    """AdamW; only matrices decay (not gains, not lower bounds)."""
    bounds = model.model.lower_bounds
    matrices = [p for p in model.parameters() if p.ndim == 2 and p is not bounds]
    vectors = [p for p in model.parameters() if p.ndim == 1 or p is bounds]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    fused = matrices[0].is_cuda
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), fused=fused)


class Trainer:
    """One training run, with its log and checkpoint in the folder `output`."""

    def __init__(self, args: argparse.Namespace, config: ModelConfig) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.args, self.output = args, Path(args.output)
        self.output.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(args.seed)
        self.model = MatMulFreeLM(config).to(self.device)
        self.optimizer = make_optimizer(self.model, args.weight_decay)
        self.tokenizer = Tokenizer.from_file(str(args.data / "tokenizer.json"))
        self.validation = (args.data / "validation.txt").read_text()
        tokens = np.load(args.data / "train.npy").astype(np.int64)
        self.tokens = torch.from_numpy(tokens).to(self.device)
        steps = math.ceil(args.epochs * len(tokens) / (args.batch * args.length))
        self.schedule = Schedule(args.lr, args.steps or steps)
        self.start = time.monotonic()

    def run(self) -> None:
        """Train to the last step, or for `--minutes` at most."""
        forward = torch.compile(self.model) if self.args.compile else self.model
        data = batches(self.tokens, self.args.batch, self.args.length, self.args.seed)
        states = self.model.initial_states(self.args.batch)
        self.model.train()
        total = torch.zeros((), device=self.device)
        for step in range(self.schedule.steps):
            inputs, targets = next(data)
            logits, _ = forward(inputs, states)
            loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
            self._update(loss, step)
            total += loss.detach()
            last = step + 1 == self.schedule.steps or self._minutes() > self.args.minutes
            if last or (step + 1) % self.args.validate_every == 0:
                self._report(step + 1, float(total) / (step % self.args.validate_every + 1))
                total.zero_()
            if last:
                break

    def _update(self, loss: Tensor, step: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def _minutes(self) -> float:
        return (time.monotonic() - self.start) / 60

    def _report(self, step: int, train_nats: float) -> None:
        """Validate, append a line to log.jsonl, write the checkpoint."""
        line = {
            "step": step,
            "minutes": round(self._minutes(), 2),
            "train_bits_per_token": round(train_nats / math.log(2), 4),
            "bits_per_byte": round(bits_per_byte(self.model, self.tokenizer, self.validation), 4),
        }
        print(self.output.name, line, flush=True)
        with (self.output / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        save_model(self.model, self.output / "model.safetensors")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train a MatMul-free language model.")
    parser.add_argument("--data", type=Path, required=True, help="what corpus.py wrote")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--intermediate", type=int, default=1024)
    parser.add_argument("--float", action="store_true", help="float weights and activations")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=float, default=20)
    parser.add_argument("--steps", type=int, default=0, help="instead of --epochs")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so many")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--validate-every", type=int, default=500)
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    torch.set_float32_matmul_precision("high")
    config = ModelConfig(
        vocab=Tokenizer.from_file(str(args.data / "tokenizer.json")).get_vocab_size(),
        hidden=args.hidden,
        layers=args.layers,
        intermediate=args.intermediate,
        ternary=not args.float,
        dropout=args.dropout,
    )
    Trainer(args, config).run()


if __name__ == "__main__":
    main()
