"""Boards: one TOML file each in the `targets` folder (docs/boards.md)."""

from __future__ import annotations

from .loader import list_targets, load_target
from .model import KernelDefaults, MemoryFacts, PortFacts, Resources, SoftwareFacts, Sources, Target

__all__ = [
    "KernelDefaults",
    "MemoryFacts",
    "PortFacts",
    "Resources",
    "SoftwareFacts",
    "Sources",
    "Target",
    "list_targets",
    "load_target",
]
