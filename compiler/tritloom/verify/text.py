"""What to feed: tokens of a text, through the bundle's tokenizer, or random ones where there is no text; or vectors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..runtime import Bundle, TritloomRuntimeError
from .vectors import random_vectors, vectors_of

HELD_OUT = "heldout.txt"
_SEED = 20240604
Positions = list[int] | NDArray[np.float32]
"""Tokens, or vectors [T, n]."""
_CHARACTERS = 24
"""More characters than a token has on average; what is not needed is not tokenised."""


@dataclass(frozen=True)
class Fed:
    """Tokens or vectors to feed, the token that follows each, which vectors have not, and where they come from."""

    tokens: Positions
    following: list[int]
    source: str


def fed_tokens(bundle: Bundle, model: Path, text: Path | None, count: int) -> Fed:
    """At most `count` tokens of `text`, of heldout.txt beside the model, or of a random generator.

    Raises:
        InputError: the text cannot be read or has fewer than two tokens, or the bundle has no tokenizer for it.
    """
    beside = model.parent / HELD_OUT
    tokenizer = bundle.tokenizer()
    if text is None and tokenizer is not None and beside.is_file():
        text = beside
    if text is None:
        vocabulary = bundle.program.vocab
        drawn = [int(token) for token in np.random.default_rng(_SEED).integers(0, vocabulary, count + 1)]
        return Fed(drawn[:-1], drawn[1:], f"a random sequence (no text: seed {_SEED})")
    if tokenizer is None:
        raise InputError(
            f"{bundle.root} has no tokenizer, so {text} cannot be fed", "Leave --text away to feed random tokens."
        )
    ids = encoded(bundle, read_text(text)[: _CHARACTERS * (count + 1)])[: count + 1]
    if len(ids) < 2:
        raise InputError(f"{text} has fewer than two tokens", "Give a longer text.")
    return Fed(ids[:-1], ids[1:], text.name)


def fed_vectors(bundle: Bundle, file: Path | None, count: int) -> Fed:
    """At most `count` vectors of an .npz file, or random ones.

    Raises:
        InputError: the file cannot be read, or holds no vectors of the model's.
    """
    length = bundle.program.vector or 0
    if file is not None:
        return Fed(vectors_of(file, bundle.program.inputs[0].name, length, count), [], file.name)
    rows, source = random_vectors(length, count)
    return Fed(rows, [], source)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "Give a text file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason}", "Give a text file.") from error


def encoded(bundle: Bundle, text: str) -> list[int]:
    """Token ids of a text, BOS in front where the model has one.

    Raises:
        InputError: the bundle has no tokenizer, or the text holds a token outside the vocabulary.
    """
    tokenizer = bundle.tokenizer()
    if tokenizer is None:
        raise InputError(f"{bundle.root} has no tokenizer", "Compile the model with its tokenizer.json beside it.")
    try:
        return tokenizer.encode(text)
    except TritloomRuntimeError as error:
        raise InputError(error.message, error.hint) from error
