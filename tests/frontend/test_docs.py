"""The tests that docs/import.md names exist."""

from __future__ import annotations

import re
from pathlib import Path

from forms import FORMS
from sequences import SEQUENCES, STACKED

HERE = Path(__file__).parent


def test_named_tests_exist(repository: Path) -> None:
    text = (repository / "docs" / "import.md").read_text(encoding="utf-8")
    sources = {path.name: path.read_text(encoding="utf-8") for path in HERE.parent.rglob("test_*.py")}
    functions = set(re.findall(r"def (test_\w+)", "\n".join(sources.values())))
    named = set(re.findall(r"\b(test_\w+)\b(?!\.py)", text))
    assert len(named) > 10
    assert {name for name in named if name not in functions and not any(f.startswith(name) for f in functions)} == set()
    assert set(re.findall(r"\b(test_\w+\.py)", text)) <= sources.keys()
    pairs = re.findall(r"(test_\w+\.py)::(test_\w+)", text)
    assert pairs
    assert [pair for pair in pairs if f"def {pair[1]}" not in sources[pair[0]]] == []


def test_every_form_has_a_row(repository: Path) -> None:
    text = (repository / "docs" / "import.md").read_text(encoding="utf-8")
    shared = ("DequantizeLinear", "Quant", "MatMulNBits")
    assert [form for form in FORMS if f"`{form}`" not in text and not form.startswith(shared)] == []
    assert [form for form in (STACKED | SEQUENCES) if f"[{form}]" not in text] == []
