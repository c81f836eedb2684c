"""Cycles, resources and memory of an engine program, as a function of program and board (docs/estimate.md)."""

from __future__ import annotations

from .area import Block, FloatPlan, blocks, choose_floats
from .estimate import (
    Estimate,
    InstructionCost,
    Label,
    MemoryUse,
    ResourceUse,
    Throughput,
    estimate,
    resource_uses,
)
from .fit import ModelNeeds, check_fits, default_limits

__all__ = [
    "Block",
    "Estimate",
    "FloatPlan",
    "InstructionCost",
    "Label",
    "MemoryUse",
    "ModelNeeds",
    "ResourceUse",
    "Throughput",
    "blocks",
    "check_fits",
    "choose_floats",
    "default_limits",
    "estimate",
    "resource_uses",
]
