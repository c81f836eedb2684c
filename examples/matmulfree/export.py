"""Export one decoding step of a checkpoint to ONNX, in the naive or the baked form.

    python export.py checkpoint.safetensors model.onnx --form baked --tokenizer tokenizer.json

The graph takes `input_ids` (int64 [1]) and `state.N` (float32 [1, d], one a layer, zeros at the
start) and returns `logits` (float32 [1, V]) and `state.N.out`.

- *naive*: the float weights are initialisers, and the graph computes mean |W|, rounds and clips,
  as a BitLinear written in PyTorch without further thought does in eval mode. Codes and trits are
  scaled back to real values before the product.
- *baked*: each weight is an int8 [N, K] initialiser of {-1, 0, 1} and a float32 scale; the product
  is of integers held in float32, hence exact, and is scaled once after it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import onnx
import torch
from checkpoint import load_model
from model import (
    FLOOR,
    BitLinear,
    MatMulFreeLM,
    RMSNorm,
    quantize_activations,
    quantize_weights,
)
from torch import Tensor, nn
from torch.nn import functional as F

FORMS = ("naive", "baked")

TIE = 1e-5
"""Least distance of |W| / beta to 0.5 that keeps a trit free of doubt, in steps."""


class NaiveBitLinear(nn.Module):
    """A BitLinear that fake-quantises its float weights [N, K] on every call."""

    def __init__(self, source: BitLinear) -> None:
        super().__init__()
        self.weight = source.weight
        self.norm = source.norm

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        scale = 127.0 / y.abs().amax(-1, keepdim=True).clamp(min=FLOOR)
        y = (y * scale).round().clamp(-128, 127) / scale
        beta = self.weight.abs().mean().clamp(min=FLOOR)
        w = (self.weight / beta).round().clamp(-1, 1) * beta
        return F.linear(y, w)


class BakedBitLinear(nn.Module):
    """A BitLinear with its weights quantised once: `trits` int8 [N, K], `scale` float32 []."""

    trits: Tensor
    scale: Tensor

    def __init__(self, source: BitLinear) -> None:
        super().__init__()
        trits, scale = quantize_weights(source.weight.detach())
        self.register_buffer("trits", trits.to(torch.int8))
        self.register_buffer("scale", scale)
        self.norm: RMSNorm = source.norm

    def forward(self, x: Tensor) -> Tensor:
        q, s = quantize_activations(self.norm(x))
        return F.linear(q, self.trits.to(torch.float32)) * (self.scale / s)


class DecodingStep(MatMulFreeLM):
    """A model whose `forward` is one decoding step, with the BitLinears of an export form."""

    def __init__(self, source: MatMulFreeLM, form: str) -> None:
        super().__init__(source.config)
        self.load_state_dict(source.state_dict())
        bits = {name: m for name, m in self.named_modules() if isinstance(m, BitLinear)}
        for name, bit in bits.items():
            self.set_submodule(name, NaiveBitLinear(bit) if form == "naive" else BakedBitLinear(bit))
        if form == "baked":
            self._freeze_bounds()

    def _freeze_bounds(self) -> None:
        """Make the table of lower bounds a constant of the graph."""
        bounds = [None if b is None else b.detach() for b in self.model.bounds()]
        self.model.bounds = lambda: bounds  # type: ignore[method-assign]

    def forward(self, ids: Tensor, states: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return self.step(ids, states)


@torch.no_grad()
def clear_ties(lm: MatMulFreeLM) -> None:
    """Move float weights that nearly tie away from the tie; every trit stays what it is.

    Where `|W| / beta` lies within `TIE` of 0.5, the last bit of `beta`, hence the order in which
    mean |W| is summed, would decide the trit, and two right programs could differ.
    """
    for bit in (m for m in lm.modules() if isinstance(m, BitLinear)):
        trits, beta = quantize_weights(bit.weight)
        near = ((bit.weight.abs() / beta) - 0.5).abs() < TIE
        size = torch.where(trits == 0, 0.5 - 2 * TIE, 0.5 + 2 * TIE) * beta
        bit.weight.copy_(torch.where(near, size * bit.weight.sign(), bit.weight))


def export(lm: MatMulFreeLM, form: str, path: Path, metadata: dict[str, str]) -> None:
    """Write the decoding step of `lm` to `path`, a single file."""
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r}; the forms are {', '.join(FORMS)}")
    layers = range(lm.config.layers)
    step = DecodingStep(lm, form).eval()
    states = [s + 0.5 for s in lm.initial_states(1)]
    program = torch.onnx.export(
        step,
        (torch.tensor([1]), states),
        input_names=["input_ids", *(f"state.{n}" for n in layers)],
        output_names=["logits", *(f"state.{n}.out" for n in layers)],
        dynamo=True,
        verbose=False,
    )
    proto = cast(torch.onnx.ONNXProgram, program).model_proto
    strip_trace(proto)
    onnx.helper.set_model_props(proto, metadata | {"tritloom.form": form})
    onnx.checker.check_model(proto)
    onnx.save(proto, path)


def strip_trace(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with paths, and per-node bookkeeping."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del proto.graph.metadata_props[:]
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del value.metadata_props[:]
        value.doc_string = ""
    for tensor in proto.graph.initializer:
        del tensor.metadata_props[:]
    proto.graph.doc_string = ""


def model_metadata(lm: MatMulFreeLM, tokenizer: str) -> dict[str, str]:
    """`metadata_props` of an export: what a host needs besides the graph."""
    config = lm.config
    return {
        "tritloom.model_type": "hgrn_bit",
        "tritloom.tokenizer": tokenizer,
        "tritloom.bos_token_id": "0",
        "tritloom.states": ",".join(f"state.{n}=state.{n}.out" for n in range(config.layers)),
        "tritloom.ternary_weights": str(config.ternary_weights),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--form", choices=FORMS, default="baked")
    parser.add_argument("--tokenizer", default="tokenizer.json", help="its file name, as metadata")
    args = parser.parse_args()
    lm = load_model(args.checkpoint)
    clear_ties(lm)
    export(lm, args.form, args.output, model_metadata(lm, args.tokenizer))


if __name__ == "__main__":
    main()
