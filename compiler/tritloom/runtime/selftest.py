"""A test of a loaded bundle on its device: does it agree with itself, and with the answer that came along?

``reference.json`` beside the manifest, where it is there, holds what the emulated device computed from the
same bundle (`tritloom deploy` writes it): the board must give the same logits, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BundleError
from .fields import Fields
from .session import Session

REFERENCE = "reference.json"
SCHEMA = 1
_PROMPT = 6
_GENERATED = 3


@dataclass(frozen=True)
class Check:
    """One thing that was tried: `detail` says what was found."""

    name: str
    passed: bool
    detail: str


def record(session: Session) -> dict[str, Any]:
    """The answer of a session, to be compared with another device's: tokens, and sha256 of the logits."""
    session.reset()
    tokens = _tokens(session)
    logits = session.prefill(tokens, all_logits=True)
    session.reset()
    generated = session.greedy(tokens, _GENERATED)
    state = session.save_state().words
    session.reset()
    return {
        "schema": SCHEMA,
        "program": session.bundle.program.hash,
        "label": session.label,
        "tokens": tokens,
        "generated": generated,
        "logits": [_digest(row) for row in logits],
        "state": _digest(state),
    }


def check(session: Session) -> Iterator[Check]:
    """Try a session; its state is reset. Each check comes when it is done.

    Raises:
        BundleError: ``reference.json`` is malformed or of another program.
        DeviceError: the kernel failed or timed out.
    """
    reference = _read(session)
    found = record(session)
    yield _alike("prompt equals steps", *_prompt_and_steps(session, found["tokens"]))
    yield _alike("generation equals steps", *_greedy_and_steps(session, found))
    again = record(session)
    yield _alike("twice the same", found, again)
    if reference is None:
        yield Check("known answer", True, f"not compared: the bundle has no {REFERENCE}")
        return
    keys = ("tokens", "generated", "logits", "state")
    wrong = [key for key in keys if found[key] != reference[key]]
    detail = f"differs in {', '.join(wrong)}" if wrong else f"bit for bit what was {reference['label']}"
    yield Check("known answer", not wrong, detail)
    session.reset()


def _tokens(session: Session) -> list[int]:
    return [(11 * index + 1) % session.vocab for index in range(_PROMPT)]


def _prompt_and_steps(session: Session, tokens: list[int]) -> tuple[Any, Any]:
    session.reset()
    together = session.prefill(tokens, all_logits=True)
    session.reset()
    steps = np.stack([session.step(token) for token in tokens])
    session.reset()
    return [_digest(row) for row in together], [_digest(row) for row in steps]


def _greedy_and_steps(session: Session, found: dict[str, Any]) -> tuple[Any, Any]:
    session.reset()
    row = session.prefill(found["tokens"])
    stepped = [int(row.argmax())]
    while len(stepped) < len(found["generated"]):
        stepped.append(int(session.step(stepped[-1]).argmax()))
    state = _digest(session.save_state().words)
    session.reset()
    return (found["generated"], found["state"]), (stepped, state)


def _alike(name: str, left: Any, right: Any) -> Check:
    return Check(name, left == right, "bit for bit" if left == right else "the results differ")


def _digest(values: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, np.float32).tobytes()).hexdigest()


def _read(session: Session) -> dict[str, Any] | None:
    path = Path(session.bundle.root) / REFERENCE
    if not path.exists():
        return None
    try:
        fields = Fields(json.loads(path.read_text(encoding="utf-8")), "", REFERENCE)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{REFERENCE}: {error}", "deploy the bundle again, or delete the file") from error
    if fields.integer("schema") != SCHEMA or fields.sha256("program") != session.bundle.program.hash:
        raise BundleError(f"{REFERENCE} is of another program", "deploy the bundle again, or delete the file")
    fields.text("label")
    wanted = {"tokens", "generated", "logits", "state"}
    if missing := sorted(wanted - fields.raw.keys()):
        raise BundleError(f"{REFERENCE}: `{missing[0]}` is missing", "deploy the bundle again, or delete the file")
    return dict(fields.raw)
