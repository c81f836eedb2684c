"""How well a bundle's model predicts a text: bits per token and per byte, on the emulated device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import InputError
from ..runtime import Session, TritloomRuntimeError, open_session
from .drift import code_lengths
from .subject import open_bundle
from .text import encoded, read_text

_CHUNK: Final = 256
EMULATED: Final = "simulated on the emulated device"


@dataclass(frozen=True)
class Evaluation:
    """A text's code length under a model. `tokens` are those that were predicted."""

    tokens: int
    bits_per_token: float
    bits_per_byte: float
    text_bytes: int
    label: str
    """What the figures are: simulated, or measured on a board."""


def evaluate(bundle: Path, text: Path) -> Evaluation:
    """Score a text, every token predicted from all before it; prompts go through the kernel's batch.

    Raises:
        InputError: the bundle or the text is at fault, or the bundle has no tokenizer.
    """
    opened = open_bundle(bundle)
    if opened.net is None and opened.program.vector is not None:
        raise InputError(f"{opened.program.name} is fed with vectors: it predicts no text", "Use `tritloom verify`.")
    content = read_text(text)
    ids = encoded(opened, content)
    if len(ids) < 2:
        raise InputError(f"{text} has fewer than two tokens", "Give a longer text.")
    try:
        with open_session(opened, device="emulated") as session:
            bits = sum(float(part.sum()) for part in _bits(session, ids))
    except TritloomRuntimeError as error:
        if error.exit_code == InputError.exit_code:
            raise InputError(error.message, error.hint) from error
        raise
    predicted, size = len(ids) - 1, len(content.encode())
    return Evaluation(predicted, bits / predicted, bits / size, size, EMULATED)


def _bits(session: Session, ids: list[int]) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Code lengths chunk by chunk; the state goes on."""
    for at in range(0, len(ids) - 1, _CHUNK):
        following = ids[at + 1 : at + 1 + _CHUNK]
        logits = session.prefill(ids[at : at + len(following)], all_logits=True)
        yield code_lengths(logits, following)
