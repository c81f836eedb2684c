"""Faults planted in the bundle of a net, and in what the importer makes of its ONNX file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.steps import StepFunction
from tritloom.runtime import canonical_hash
from tritloom.verify import VerifyReport, net, verify_bundle
from tritloom.verify.net_device import DeviceRun
from tritloom.verify.report import Check

FRAMES = 24


def tampered(bundle: Path, to: Path, name: str, change: Callable[[str], str]) -> Path:
    """A copy of a bundle with one of its files changed, and its hashes made right."""
    shutil.copytree(bundle, to)
    before = (to / name).read_text()
    after = change(before)
    assert after != before
    (to / name).write_text(after)
    manifest = json.loads((to / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(after.encode()).hexdigest()
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def restate(bundle: Path, **fields: Any) -> None:
    """Change fields of the manifest's program, its hash made right."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["program"].update(fields)
    manifest["program"]["hash"] = canonical_hash(manifest["program"])
    path.write_text(json.dumps(manifest))


def number_of_table(table: str, index: int, change: Callable[[int], int]) -> Callable[[str], str]:
    """Changes one number of the table of that name in weights.h."""

    def edit(text: str) -> str:
        found = re.search(rf" {table}((?:\[\d+\])+) = (\{{.*?\}});", text, re.DOTALL)
        assert found is not None
        numbers = list(re.finditer(r"0x[0-9a-f]+|-?\d+", found.group(2)))
        number = numbers[index]
        value = change(int(number.group(), 0))
        shown = hex(value) if number.group().startswith("0x") else str(value)
        at = found.start(2)
        return text[: at + number.start()] + shown + text[at + number.end() :]

    return edit


def tables_of(bundle: Path, kind: str) -> list[str]:
    """Names of the tables in weights.h that end so."""
    text = (bundle / "hls" / "weights.h").read_text()
    return [name for name in re.findall(r" (\w+)(?:\[\d+\])+ = ", text) if name.endswith(f"_{kind}")]


def verified(bundle: Path, **options: Any) -> VerifyReport:
    return verify_bundle(bundle, frames=options.pop("frames", FRAMES), **options)


def failures(report: VerifyReport) -> dict[str, str]:
    """Failed checks: name -> all that is said."""
    return {check.name: "\n".join([check.detail, *check.findings]) for check in report.checks if not check.passed}


def without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the emulated device out, where the fault must be found without it."""

    def passed(*arguments: object) -> DeviceRun:
        return DeviceRun(Check("device", True, ""), MappingProxyType({}), 0)

    monkeypatch.setattr(net, "check_net_device", passed)


def imported_wrong(monkeypatch: pytest.MonkeyPatch, fault: Callable[[Imported], None]) -> None:
    """Let the importer of the verification make a fault."""

    def wrong(path: Path) -> Imported:
        imported = import_onnx(path)
        fault(imported)
        return imported

    monkeypatch.setattr(net, "import_onnx", wrong)


def changed_steps(symbol: str, change: Callable[[StepFunction], dict[str, Any]]) -> Callable[[Imported], None]:
    """A fault of one step function."""

    def fault(imported: Imported) -> None:
        function = imported.store.functions[symbol]
        imported.store.functions[symbol] = dataclasses.replace(function, **change(function))

    return fault
