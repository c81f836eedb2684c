"""Running compiled models on a PYNQ board, or on the emulated device.

    from tritloom.runtime import load

    with load("build/") as session:
        print(session.generate("In the beginning", max_new_tokens=64))

Needs numpy; pynq is imported when a model is loaded.
"""

from __future__ import annotations

from ._version import __version__
from .bundle import Bundle, canonical_hash
from .driver import Counters
from .errors import (
    BuildError,
    BundleError,
    DeviceError,
    InputError,
    KernelError,
    KernelTimeout,
    TritloomRuntimeError,
)
from .generate import Generation
from .net_session import NetCounters, NetSession
from .node_arg import NodeArg
from .session import Session, load, open_session
from .state import SavedState
from .tokenizer import Tokenizer

__all__ = [
    "BuildError",
    "Bundle",
    "BundleError",
    "Counters",
    "DeviceError",
    "Generation",
    "InputError",
    "KernelError",
    "KernelTimeout",
    "NetCounters",
    "NetSession",
    "NodeArg",
    "SavedState",
    "Session",
    "Tokenizer",
    "TritloomRuntimeError",
    "__version__",
    "canonical_hash",
    "load",
    "open_session",
]
