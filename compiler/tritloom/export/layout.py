"""Which tensors a checkpoint must hold, and which it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ..errors import InputError
from .config import Config
from .safetensors import WIDTHS, StoredTensor

EMBEDDING: Final = "model.embeddings.weight"
LOWER_BOUNDS: Final = "model.lower_bounds"
HEAD: Final = "lm_head"

Shapes = dict[str, tuple[int, ...]]


def _bit_linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.norm.weight": (inputs,)}


def _layer(config: Config, name: str) -> Shapes:
    d, inner = config.hidden, config.inner
    shapes: Shapes = {f"{name}.attn_norm.weight": (d,)}
    for gate in "ifg":
        shapes |= _bit_linear(f"{name}.attn.{gate}_proj", d, inner)
    shapes |= {f"{name}.attn.g_norm.weight": (inner,)} | _bit_linear(f"{name}.attn.o_proj", inner, d)
    shapes |= {f"{name}.mlp_norm.weight": (d,)} | _bit_linear(f"{name}.mlp.gate_proj", d, 2 * config.intermediate)
    return shapes | _bit_linear(f"{name}.mlp.down_proj", config.intermediate, d)


def expected_shapes(config: Config) -> Shapes:
    """Names and shapes of all tensors of a model."""
    shapes: Shapes = {EMBEDDING: (config.vocab, config.hidden)}
    if config.lower_bounds:
        shapes[LOWER_BOUNDS] = (config.layers, config.hidden)
    for layer in range(config.layers):
        shapes |= _layer(config, f"model.layers.{layer}")
    shapes |= {"model.norm.weight": (config.hidden,)} | _bit_linear(HEAD, config.hidden, config.vocab)
    if config.tied:
        del shapes[f"{HEAD}.weight"]
    return shapes


def check_layout(folder: Path, config: Config, tensors: Mapping[str, StoredTensor]) -> None:
    """Check that a checkpoint holds exactly the tensors that its configuration asks for.

    Raises:
        InputError: the message lists all that are missing, extra, misshapen, or of another type.
    """
    expected = expected_shapes(config)
    both = [name for name in expected if name in tensors]
    problems = {
        "missing": [f"{name} {list(shape)}" for name, shape in expected.items() if name not in tensors],
        "extra": [f"{name} {list(tensor.shape)}" for name, tensor in tensors.items() if name not in expected],
        "misshapen": [
            f"{name} is {list(tensors[name].shape)}, not {list(expected[name])}"
            for name in both
            if tensors[name].shape != expected[name]
        ],
        "of another type": [
            f"{name} is {tensors[name].dtype}, not one of {', '.join(WIDTHS)}"
            for name in both
            if tensors[name].dtype not in WIDTHS
        ],
    }
    if not any(problems.values()):
        return
    counts = ", ".join(f"{len(found)} {kind}" for kind, found in problems.items() if found)
    lines = [f"  {kind}: {text}" for kind, found in problems.items() for text in found]
    raise InputError(
        "\n".join([f"the tensors of {folder} are not those that its config.json asks for: {counts}", *lines]),
        "supported: HGRNBitForCausalLM as released, float masters, with its own config.json",
    )
