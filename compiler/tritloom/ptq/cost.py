"""What quantisation costs: the quantised model against the original on given data, both in onnxruntime."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..frontend import Imported
from ..ir.interpreter import Fed
from ..ir.tern import ModelOp, TableOp
from ..runtime import TritloomRuntimeError
from ..runtime.tokenizer import Tokenizer
from ..verify.drift import code_lengths, distance
from ..verify.reference import Interface, Reference
from ..verify.text import read_text
from ..verify.vectors import vectors_of
from .rewrite import Rewritten

MOST_TOKENS: Final = 512


@dataclass(frozen=True)
class Cost:
    """Both models on the same tokens or vectors: bits per token, which vectors have not, the share of positions with
    the same largest logit, and the rms distance of the logits, relative to the original's. Measured."""

    data: str
    tokens: int
    original_bits: float | None
    bits: float | None
    agreement: float
    rms: float


def measure(original: Path, quantised: Path, rewritten: Rewritten, data: Path, tokenizer: Path | None) -> Cost:
    """Feed tokens of a text, or of the integers of an .npz file, to both models; or the vectors of an .npz file, under
    the input's name.

    Raises:
        InputError: the data cannot be read, or are no tokens or vectors of this model.
    """
    model = next(op for op in rewritten.imported.module.ops if isinstance(op, ModelOp))
    interface = Interface.of(model)
    if model.vector_length is not None:
        rows = vectors_of(data, interface.source, model.vector_length, MOST_TOKENS)
        before, after = _outputs(original, quantised, interface, rows)
        found = distance(after, before, [])
        return Cost(data.name, len(rows), None, None, found.agreement, found.rms)
    vocabulary = _vocabulary(rewritten)
    tokens = _tokens(data, rewritten, tokenizer, vocabulary)[: MOST_TOKENS + 1]
    if len(tokens) < 2 or not all(0 <= token < vocabulary for token in tokens):
        raise InputError(
            f"{data} holds no sequence of two or more tokens from 0 to {vocabulary - 1:,}",
            "give a text, or an .npz file with an array of token ids",
        )
    fed, following = tokens[:-1], tokens[1:]
    before, after = _outputs(original, quantised, interface, fed)
    found = distance(after, before, following)
    bits = float(code_lengths(before, following).mean())
    return Cost(data.name, len(fed), bits, found.bits_per_token, found.agreement, found.rms)


def _outputs(original: Path, quantised: Path, interface: Interface, fed: Fed) -> list[NDArray[np.float64]]:
    """What both models give."""
    return [
        Reference(path, interface).run(fed).values[interface.output].astype(np.float64)
        for path in (original, quantised)
    ]


def tokenizer_of(model: Path, imported: Imported) -> Path | None:
    """The tokenizer that a model names, or tokenizer.json beside it; none where the model takes no tokens."""
    if not any(isinstance(op, ModelOp) and op.token is not None for op in imported.module.ops):
        return None
    beside = model.parent / Path(imported.metadata.get("tritloom.tokenizer", "tokenizer.json")).name
    return beside if beside.is_file() else None


def _vocabulary(rewritten: Rewritten) -> int:
    """Rows of the embedding table."""
    return min((op.rows.value.data for op in rewritten.imported.module.ops if isinstance(op, TableOp)), default=0)


def _tokens(data: Path, rewritten: Rewritten, tokenizer: Path | None, vocabulary: int) -> list[int]:
    if data.suffix == ".npz":
        return [int(token) for token in _integers(data)]
    metadata = rewritten.imported.metadata
    if tokenizer is None:
        raise InputError(
            f"{data} is a text, and there is no tokenizer beside the model to make tokens of it",
            "give it with --tokenizer, or token ids in an .npz file",
        )
    try:
        bos, eos = (_id(metadata.get(f"tritloom.{at}_token_id")) for at in ("bos", "eos"))
        codec = Tokenizer.open(tokenizer, vocabulary, bos, eos)
        return codec.encode(read_text(data)[: 24 * MOST_TOKENS])
    except TritloomRuntimeError as error:
        raise InputError(error.message, error.hint) from error


def _id(text: str | None) -> int | None:
    return None if text is None else int(text)


def _integers(path: Path) -> NDArray[Any]:
    """The first array of integers of an .npz file, flat."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if arrays[name].dtype.kind in "iu":
                    return np.asarray(arrays[name]).reshape(-1)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {path}: {error}", "give a file that numpy.savez wrote") from error
    raise InputError(f"{path} holds no integers", "give token ids: numpy.savez('tokens.npz', tokens=ids)")
