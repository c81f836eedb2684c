"""Boards: one TOML file each in the `targets` folder (docs/boards.md)."""

from __future__ import annotations

from .loader import BOARD_FILE, board_toml, bundle_target, list_targets, load_target
from .model import (
    AlveoFacts,
    KernelDefaults,
    MemoryFacts,
    PortFacts,
    Resources,
    SoftwareFacts,
    Sources,
    Target,
    ToolFacts,
)

__all__ = [
    "BOARD_FILE",
    "AlveoFacts",
    "KernelDefaults",
    "MemoryFacts",
    "PortFacts",
    "Resources",
    "SoftwareFacts",
    "Sources",
    "Target",
    "ToolFacts",
    "board_toml",
    "bundle_target",
    "list_targets",
    "load_target",
]
