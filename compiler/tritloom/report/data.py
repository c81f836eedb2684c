"""What a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..analysis import Estimate

Source = Literal["measured", "simulated", "estimated"]


class PassRow(NamedTuple):
    """One pass of the pipeline."""

    name: str
    before: int
    """Operations before it."""
    after: int
    seconds: float
    """Measured on the machine that compiled."""


@dataclass(frozen=True)
class Image:
    """A file of the bundle that the board loads into memory."""

    name: str
    file: str
    bytes: int
    sha256: str = ""


@dataclass(frozen=True)
class Check:
    """A result of `tritloom verify`."""

    name: str
    result: str
    passed: bool
    source: Source = "simulated"


@dataclass(frozen=True)
class ReportData:
    """Everything in a report. `model` and `board` are names for people."""

    model: str
    board: str
    passes: Sequence[PassRow]
    estimate: Estimate
    images: Sequence[Image] = ()
    program: Sequence[str] = ()
    """Listing of the program, a line an instruction."""
    verification: Sequence[Check] | None = None
    version: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    """Further facts of the model, in the order in which they are shown: layers, weights, vocabulary."""
