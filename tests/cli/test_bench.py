"""`tritloom bench` on the emulated device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runtime.conftest import bundle, emulation, shared_cache  # noqa: F401

from .conftest import Cli


@pytest.mark.usefixtures("emulation")
def test_bench(cli: Cli, bundle: Path) -> None:  # noqa: F811
    outcome = cli("bench", bundle, "-n", "5", "--prompt", "5", "--steps", "5", "--device", "emulated")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "model         fake on kv260, simulated on the emulated device"
    assert [line.split()[0] for line in lines] == [
        *("model", "step", "generation", "prompt", "estimated", "cycles", "energy"),
    ]
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("emulation")
def test_bench_json(cli: Cli, bundle: Path) -> None:  # noqa: F811
    outcome = cli("bench", bundle, "--json", "--device", "emulated", "--interrupt", "-n", "7")
    found = json.loads(outcome.out)
    assert (found["label"], found["tokens"]) == ("simulated on the emulated device", 7)
    assert found["energy"] is None


def test_bench_out_of_range(cli: Cli, bundle: Path) -> None:  # noqa: F811
    assert cli("bench", bundle, "-n", "0").code == 2
