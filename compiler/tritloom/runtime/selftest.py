"""A test of a loaded bundle on its device: does it agree with itself, and with the answer that came along?

``reference.json`` beside the manifest, where it is there, holds what the emulated device computed from the
same bundle (`tritloom deploy` writes it): the board must give the same results, bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bench import example_positions, random_frames
from .bundle import Bundle
from .errors import BundleError
from .fields import Fields
from .net_session import NetSession
from .session import Session

REFERENCE = "reference.json"
SCHEMA = 1
_PROMPT = 6
_GENERATED = 3
_FRAMES = 5
_AGAIN = "deploy the bundle again, or delete the file"

AnySession = Session | NetSession


@dataclass(frozen=True)
class Check:
    """One thing that was tried: `detail` says what was found."""

    name: str
    passed: bool
    detail: str


def record(session: AnySession) -> dict[str, Any]:
    """The answer of a session, to be compared with another device's: sha256 of results, by name."""
    answer = _net_answer(session) if isinstance(session, NetSession) else _text_answer(session)
    program = session.bundle.manifest.model.hash
    return {"schema": SCHEMA, "program": program, "label": session.label, "answer": answer}


def check(session: AnySession) -> Iterator[Check]:
    """Try a session; a state is reset. Each check comes when it is done.

    Raises:
        BundleError: ``reference.json`` is malformed or of another program.
        DeviceError: the kernel failed or timed out.
    """
    reference = _read(session.bundle)
    found = record(session)["answer"]
    if isinstance(session, NetSession):
        yield _alike("frames one by one", found["outputs"], _frame_by_frame(session))
    else:
        yield _alike("prompt equals steps", found["logits"], _steps(session))
    if isinstance(session, Session) and session.vector is None:
        yield _alike("generation equals steps", (found["generated"], found["state"]), _stepped(session, found))
    yield _alike("twice the same", found, record(session)["answer"])
    if reference is None:
        yield Check("known answer", True, f"not compared: the bundle has no {REFERENCE}")
        return
    wanted, label = reference
    wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    detail = f"differs in {', '.join(wrong)}" if wrong else f"bit for bit what was {label}"
    yield Check("known answer", not wrong, detail)


def _text_answer(session: Session) -> dict[str, Any]:
    session.reset()
    logits = session.prefill(_tokens(session), all_logits=True)
    after = session.save_state().words
    session.reset()
    generated = session.greedy(_tokens(session), _GENERATED) if session.vector is None else None
    state = session.save_state().words if generated is not None else after
    session.reset()
    found = {"logits": [_digest(row) for row in logits], "state": _digest(state)}
    return found if generated is None else {"generated": generated, **found}


def _tokens(session: Session) -> list[int] | np.ndarray[Any, Any]:
    if session.vector is not None:
        return example_positions(session, _PROMPT)
    return [(11 * index + 1) % session.vocab for index in range(_PROMPT)]


def _steps(session: Session) -> list[str]:
    session.reset()
    return [_digest(session.step(token)) for token in _tokens(session)]


def _stepped(session: Session, found: dict[str, Any]) -> tuple[list[int], str]:
    session.reset()
    tokens = [int(session.prefill(_tokens(session)).argmax())]
    while len(tokens) < len(found["generated"]):
        tokens.append(int(session.step(tokens[-1]).argmax()))
    state = _digest(session.save_state().words)
    session.reset()
    return tokens, state


def _net_answer(session: NetSession) -> dict[str, Any]:
    outputs = session.run(None, random_frames(session, _FRAMES))
    return {"outputs": [_digest(*frame) for frame in zip(*outputs, strict=True)]}


def _frame_by_frame(session: NetSession) -> list[str]:
    feeds = random_frames(session, _FRAMES)
    single = ({name: values[i : i + 1] for name, values in feeds.items()} for i in range(_FRAMES))
    return [_digest(*(output[0] for output in session.run(None, frame))) for frame in single]


def _alike(name: str, left: Any, right: Any) -> Check:
    return Check(name, left == right, "bit for bit" if left == right else "the results differ")


def _digest(*arrays: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(values).tobytes() for values in arrays)).hexdigest()


def _read(bundle: Bundle) -> tuple[dict[str, Any], str] | None:
    """The known answer and what kind of figure it is; None where there is none."""
    path = bundle.root / REFERENCE
    if not path.exists():
        return None
    try:
        fields = Fields(json.loads(path.read_text(encoding="utf-8")), "", REFERENCE)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{REFERENCE}: {error}", _AGAIN) from error
    if fields.integer("schema") != SCHEMA or fields.sha256("program") != bundle.manifest.model.hash:
        raise BundleError(f"{REFERENCE} is of another program", _AGAIN)
    return dict(fields.fields("answer").raw), fields.text("label")
