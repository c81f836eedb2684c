"""Every pass on titled micro-modules: what it makes of them, and what it must leave alone or refuse."""

from __future__ import annotations

import os

import pytest
from golden import FOLDER, Case, all_cases, normalised, outcome, read_cases, renew
from tritloom.passes import PASSES

if os.environ.get("RENEW_GOLDEN"):
    for golden_file in FOLDER.glob("*.mlir"):
        renew(golden_file)


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: f"{case.file.stem}: {case.title}")
def test_pass_makes_the_golden_text(case: Case) -> None:
    result = outcome(case)
    assert result.strip() == (normalised(case.after).strip() if case.wants_text else case.after)


@pytest.mark.parametrize("name", [name for name in PASSES if name != "verify-schedule"])
def test_every_pass_has_a_success_and_a_refusal(name: str) -> None:
    cases = read_cases(FOLDER / f"{name}.mlir")
    assert any(case.wants_text for case in cases)
    assert any(not case.wants_text for case in cases)
