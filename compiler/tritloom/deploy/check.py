"""Whether a board can run a bundle: what its image has installed, and what it has left."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DeployError
from ..runtime import Bundle

_MACHINES = {"zynq": ("armv7l",), "zynqmp": ("aarch64",), "alveo": ("x86_64", "ppc64le", "aarch64")}
_OLDEST_PYNQ = (3, 0, 1)
_NEWEST_PYNQ = (4, 0)
_OLDEST_PYTHON = (3, 10)
_MEMORY_NEEDED = 96 << 20
"""Bytes for Python, numpy and pynq, measured as the resident size of a session on the emulated device."""


@dataclass(frozen=True)
class Python:
    """A Python on the board and the packages that it has."""

    path: str
    version: str
    pynq: str | None
    numpy: str | None
    pip: str | None


@dataclass(frozen=True)
class Facts:
    """What `board.facts` found; bytes, None where the board does not say."""

    machine: str
    model: str
    emulated: bool
    home: str
    root: bool
    sudo: bool
    python: Python | None
    memory: int | None
    cma_total: int | None
    cma_free: int | None
    disk: int

    @staticmethod
    def read(document: Mapping[str, Any]) -> Facts:
        """From the script's answer. Of several Pythons the first with pynq counts."""
        pythons = [Python(**found) for found in document["pythons"]]
        chosen = next((found for found in pythons if found.pynq), pythons[0] if pythons else None)
        memory = document["memory"]
        plain = ("machine", "model", "emulated", "home", "root", "sudo", "disk")
        return Facts(
            **{name: document[name] for name in plain},
            python=chosen,
            memory=memory.get("MemAvailable"),
            cma_total=memory.get("CmaTotal"),
            cma_free=memory.get("CmaFree"),
        )

    @property
    def needs_sudo(self) -> bool:
        """Whether loading an overlay takes sudo."""
        return not self.root and not self.emulated


def check_board(facts: Facts, bundle: Bundle, has_password: bool = False) -> None:
    """Look whether a board can run a bundle.

    Raises:
        DeployError: all that is wrong, a line each, with the hint for the first.
    """
    problems = [*_python(facts, bundle), *_machine(facts, bundle), *_memory(facts, bundle)]
    if facts.needs_sudo and not facts.sudo and not has_password:
        problems.append(
            (
                "loading an overlay needs root, and sudo asks for a password",
                "log in as root, give --ask-password, or let the user sudo without one",
            )
        )
    if problems:
        raise DeployError("\n".join(message for message, _ in problems[:4]), problems[0][1])


def _python(facts: Facts, bundle: Bundle) -> Iterator[tuple[str, str]]:
    python = facts.python
    name_it = "use a PYNQ image, or name the Python that has it with --python"
    if python is None:
        yield "there is no Python on the board", name_it
        return
    where = f"{python.path} (Python {python.version})"
    if _version(python.version) < _OLDEST_PYTHON:
        yield f"{where} is too old: the runtime needs Python 3.10", "use the PYNQ image 3.0.1 or later"
    if bundle.kernel.family == "alveo":
        return
    if python.pynq is None:
        yield f"pynq is not installed in {where}", name_it
        return
    version = _version(python.pynq)
    if version < _OLDEST_PYNQ:
        yield f"pynq {python.pynq} is too old", "use the PYNQ image 3.0.1 or later"
    elif version >= (4,) and bundle.kernel.family == "zynq":
        yield (
            f"pynq {python.pynq} does not drive the Zynq-7000 of {bundle.kernel.board}",
            "use the PYNQ image 3.1, or `pip install 'pynq<4'` there",
        )
    elif version[:2] > _NEWEST_PYNQ:
        yield f"pynq {python.pynq} is newer than this tritloom knows", "upgrade tritloom, or use the PYNQ image 4.0"
    if python.numpy is None:
        yield f"numpy is not installed in {where}", name_it


def _machine(facts: Facts, bundle: Bundle) -> Iterator[tuple[str, str]]:
    if not facts.emulated and facts.machine not in _MACHINES[bundle.kernel.family]:
        board = bundle.kernel.board
        shown = f"{facts.machine}{', ' + facts.model if facts.model else ''}"
        yield f"the bundle is for {board}; the board is another one ({shown})", "compile the model for this board"


def _memory(facts: Facts, bundle: Bundle) -> Iterator[tuple[str, str]]:
    needed = bundle.manifest.model.contiguous_bytes
    if facts.cma_total is not None and bundle.kernel.family != "alveo":
        if facts.cma_total < needed:
            mib = -(-needed // (64 << 20)) * 64 + 64
            yield (
                f"the model needs {_mib(needed)} of contiguous memory; the board's CMA has {_mib(facts.cma_total)}",
                f"raise it in the boot arguments (cma={mib}M) and restart the board",
            )
        elif facts.cma_free is not None and facts.cma_free < needed:
            yield (
                f"the model needs {_mib(needed)} of contiguous memory; {_mib(facts.cma_free)} of the board's CMA"
                f" ({_mib(facts.cma_total)}) are free",
                "close what holds it: shut down other notebooks, or restart the board",
            )
    if facts.memory is not None and facts.memory < _MEMORY_NEEDED:
        yield f"the board has only {_mib(facts.memory)} of memory left", "close other programs there"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _mib(nbytes: int) -> str:
    return f"{nbytes / (1 << 20):.1f} MiB"
