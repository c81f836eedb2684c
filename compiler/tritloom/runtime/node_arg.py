"""An input or output of a session, in onnxruntime's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeArg:
    """An input or output, as onnxruntime describes it; a dimension given as text varies."""

    name: str
    shape: tuple[int | str, ...]
    type: str
