"""What a verification found: checks with their figures, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Figure = float | int | str

_SHOWN = 5
"""Findings of one check that are shown as lines; JSON has them all."""


@dataclass(frozen=True)
class Check:
    """One question and its answer."""

    name: str
    passed: bool
    detail: str
    """The answer in one line."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    findings: Sequence[str] = ()
    """What is wrong, each naming its culprit; also, for a check that passed, what is worth knowing."""
    skipped: bool = False
    """Whether it could not be made: the detail says why. It counts as passed."""

    def lines(self) -> list[str]:
        """The check for a reader."""
        mark = "--    " if self.skipped else "ok    " if self.passed else "FAILED"
        shown = [f"         {line}" for finding in self.findings[:_SHOWN] for line in finding.split("\n")]
        if len(self.findings) > _SHOWN:
            shown.append(f"         and {len(self.findings) - _SHOWN} more")
        return [f"{mark} {self.name}: {self.detail}", *shown]

    def to_json(self) -> dict[str, Any]:
        """The check for a program."""
        return {
            "name": self.name,
            "passed": self.passed,
            "skipped": self.skipped,
            "detail": self.detail,
            "figures": dict(self.figures),
            "findings": list(self.findings),
        }


@dataclass(frozen=True)
class VerifyReport:
    """All checks of one bundle."""

    bundle: str
    model: str
    text: str
    """Where they came from."""
    tokens: int
    """How many were fed."""
    checks: tuple[Check, ...]
    seconds: float
    unit: str = "tokens"
    """What was fed: tokens, vectors, or frames of a net."""

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def check(self, name: str) -> Check:
        """The check of that name.

        Raises:
            KeyError: there is none.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise KeyError(name)

    def lines(self) -> list[str]:
        """The report for a reader."""
        head = [f"{self.bundle} against {self.model}, {self.tokens:,} {self.unit} of {self.text}"]
        failed = [check.name for check in self.checks if not check.passed]
        skipped = [check.name for check in self.checks if check.skipped]
        verdict = f"FAILED: {', '.join(failed)}" if failed else f"verified: {len(self.checks) - len(skipped)} checks"
        verdict += f"; not checked: {', '.join(skipped)}" if skipped else ""
        body = [line for check in self.checks for line in check.lines()]
        return [*head, *body, f"{verdict} ({self.seconds:.1f} s)"]

    def to_json(self) -> dict[str, Any]:
        """The report for a program."""
        return {
            "passed": self.passed,
            "bundle": self.bundle,
            "model": self.model,
            "text" if self.unit == "tokens" else "inputs": self.text,
            self.unit: self.tokens,
            "seconds": round(self.seconds, 3),
            "checks": [check.to_json() for check in self.checks],
        }
