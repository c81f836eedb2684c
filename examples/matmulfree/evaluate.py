"""Measure a checkpoint's bits per byte on a text, and let it write.

python evaluate.py checkpoint.safetensors --text heldout.txt --prompt "ROMEO."
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from checkpoint import load_model
from model import MatMulFreeLM
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def bits_per_token(model: MatMulFreeLM, ids: Tensor, chunk: int = 2048) -> float:
    """Mean code length of `ids[1:]`, in bits; the state is carried through the whole text."""
    ids = ids.to(model.lm_head.weight.device)
    states, nats = model.initial_states(1), 0.0
    for start in range(0, len(ids) - 1, chunk):
        targets = ids[start + 1 : start + 1 + chunk]
        logits, states = model(ids[start : start + len(targets)].unsqueeze(0), states)
        nats += float(F.cross_entropy(logits[0].float(), targets, reduction="sum"))
    return nats / math.log(2) / (len(ids) - 1)


def bits_per_byte(model: MatMulFreeLM, tokenizer: Tokenizer, text: str) -> float:
    """Code length of `text` in bits, over its length in UTF-8 bytes."""
    ids = torch.tensor(tokenizer.encode(text).ids)
    was_training = model.training
    model.eval()
    bits = bits_per_token(model, ids) * (len(ids) - 1)
    model.train(was_training)
    return bits / len(text.encode())


@torch.no_grad()
def generate(
    model: MatMulFreeLM,
    tokenizer: Tokenizer,
    prompt: str,
    tokens: int,
    temperature: float = 0.8,
    top_k: int = 40,
) -> str:
    """Continue `prompt` by `tokens` tokens; temperature 0 is greedy."""
    ids: list[int] = tokenizer.encode(prompt).ids
    states = model.initial_states(1)
    for token in ids:
        logits, states = model.step(torch.tensor([token]), states)
    for _ in range(tokens):
        token = _choose(logits[0], temperature, top_k)
        ids.append(token)
        logits, states = model.step(torch.tensor([token]), states)
    return str(tokenizer.decode(ids))


def _choose(logits: Tensor, temperature: float, top_k: int) -> int:
    if temperature == 0:
        return int(logits.argmax())
    best, index = logits.topk(top_k)
    return int(index[torch.multinomial((best / temperature).softmax(0), 1)])


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description="Bits per byte, and a sample.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--tokenizer", type=Path, default=here / "tokenizer.json")
    parser.add_argument("--text", type=Path, help="report bits per byte on this text")
    parser.add_argument("--prompt", help="continue this prompt")
    parser.add_argument("-n", "--tokens", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-k", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    model = load_model(args.checkpoint)
    tokenizer = Tokenizer.from_file(str(args.tokenizer))
    if args.text is not None:
        print(f"{bits_per_byte(model, tokenizer, args.text.read_text()):.4f} bits per byte")
    if args.prompt is not None:
        torch.manual_seed(args.seed)
        print(generate(model, tokenizer, args.prompt, args.tokens, args.temperature, args.top_k))


if __name__ == "__main__":
    main()
