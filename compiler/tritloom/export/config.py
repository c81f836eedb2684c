"""`config.json` of a checkpoint: the sizes of the model, and what of it is supported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import InputError

SUPPORTED: Final = "hgrn_bit"

_FETCH_AGAIN: Final = "fetch the file again, or copy it from the model that was trained"
_LARGEST_SIZE: Final = 1 << 24
_MOST_LAYERS: Final = 1024
_LARGEST_RATIO: Final = 1000


@dataclass(frozen=True)
class Config:
    """Sizes of a MatMul-free LM (HGRNBitConfig): d, the state's width, I, layers, V."""

    vocab: int
    hidden: int
    inner: int
    layers: int
    intermediate: int
    eps: float
    lower_bounds: bool
    tied: bool
    bos: int | None
    eos: int | None

    @property
    def ternary_weights(self) -> int:
        """Number of weights in BitLinears, the head included."""
        layer = 4 * self.hidden * self.inner + 3 * self.hidden * self.intermediate
        return self.layers * layer + self.vocab * self.hidden


class _Fields:
    """The entries of a config.json, checked as they are taken."""

    def __init__(self, path: Path, entries: dict[str, Any]) -> None:
        self.path = path
        self.entries = entries

    def refuse(self, name: str, why: str) -> InputError:
        return InputError(f"{self.path}: {name} is {json.dumps(self.entries.get(name))}, {why}", _FETCH_AGAIN)

    def size(self, name: str, default: int | None = None, most: int = _LARGEST_SIZE) -> int:
        value = self.entries.get(name)
        if value is None and default is not None:
            return default
        if value is None:
            raise InputError(f"{self.path} has no '{name}'", _FETCH_AGAIN)
        if type(value) is not int or not 0 < value <= most:
            raise self.refuse(name, f"not a whole number from 1 to {most:,}")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.entries.get(name, default)
        if type(value) not in (int, float) or not 0 < value <= _LARGEST_RATIO:
            raise self.refuse(name, f"not a number from 0 to {_LARGEST_RATIO:,}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self.entries.get(name, default)
        if type(value) is not bool:
            raise self.refuse(name, "not true or false")
        return value

    def token(self, name: str, vocab: int) -> int | None:
        value = self.entries.get(name)
        if value is None:
            return None
        if type(value) is not int or not 0 <= value < vocab:
            raise self.refuse(name, f"not a token below {vocab:,}")
        return value

    def unsupported(self, name: str, instead: str) -> InputError:
        value = json.dumps(self.entries.get(name))
        return InputError(f"{self.path}: {name} = {value} is not supported", f"supported: {instead}")


def read_config(folder: Path) -> Config:
    """The configuration of a checkpoint folder.

    Raises:
        InputError: it is missing or damaged, or of a model that is not supported.
    """
    path = folder / "config.json"
    try:
        entries = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{folder} holds no config.json", "give the folder of a checkpoint, as it was saved") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}", _FETCH_AGAIN) from error
    if not isinstance(entries, dict):
        raise InputError(f"{path} holds no JSON object", _FETCH_AGAIN)
    fields = _Fields(path, entries)
    _check_supported(fields)
    return _config(fields)


def _check_supported(fields: _Fields) -> None:
    if fields.entries.get("model_type") != SUPPORTED:
        raise InputError(
            f"{fields.path} describes a model of type {json.dumps(fields.entries.get('model_type'))}",
            f'supported: "{SUPPORTED}", the MatMul-free LM (HGRNBitForCausalLM); export other models to ONNX yourself',
        )
    if fields.flag("use_short_conv", False):
        raise fields.unsupported("use_short_conv", "false, as in the released models")
    if fields.entries.get("hidden_act", "swish") not in ("swish", "silu"):
        raise fields.unsupported("hidden_act", '"swish"')
    if fields.entries.get("quantization_config") is not None:
        raise InputError(
            f"{fields.path} describes a checkpoint that is already quantised (quantization_config)",
            "give the checkpoint with float master weights that it was made from",
        )


def _config(fields: _Fields) -> Config:
    """Sizes; what is left out has the default of HGRNBitConfig."""
    hidden, vocab = fields.size("hidden_size"), fields.size("vocab_size")
    lower_bounds = fields.flag("use_lower_bound", True)
    inner = int(hidden * fields.number("expand_ratio", 1))
    if inner < 1 or (lower_bounds and inner != hidden):
        raise fields.unsupported("expand_ratio", "1, or another ratio with use_lower_bound = false")
    ratio = fields.number("hidden_ratio", 4)
    return Config(
        vocab=vocab,
        hidden=hidden,
        inner=inner,
        layers=fields.size("num_hidden_layers", most=_MOST_LAYERS),
        intermediate=fields.size("intermediate_size", 256 * -(-int(hidden * ratio * 2 / 3) // 256)),
        eps=fields.number("rms_norm_eps", 1e-6),
        lower_bounds=lower_bounds,
        tied=fields.flag("tie_word_embeddings", False),
        bos=fields.token("bos_token_id", vocab),
        eos=fields.token("eos_token_id", vocab),
    )
