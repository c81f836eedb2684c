"""The benchmark and the self-test of a bundle, from Python and from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tritloom.runtime import BundleError, InputError, Session, load
from tritloom.runtime.__main__ import main
from tritloom.runtime.bench import bench
from tritloom.runtime.selftest import check, record
from tritloom.runtime.sensors import Sensor

from .boards import board, build_overlay


def test_bench(session: Session) -> None:
    found = bench(session, tokens=20, prompt=10, steps=12)
    assert found.conditions.label == "simulated on the emulated device"
    assert (found.conditions.model, found.conditions.board) == ("fake", "kv260")
    assert found.cycles_per_token == 1000
    assert found.estimated_tokens_per_second == 250_000
    assert 0 < found.latency["p50"] <= found.latency["p90"] <= found.latency["p99"] <= found.latency["max"]
    assert found.tokens_per_second > 0
    assert found.conditions.energy is None
    assert session.position == 0
    lines = found.text().splitlines()
    assert lines[0] == "model         fake on kv260, simulated on the emulated device"
    assert "energy        no power rails found" in lines
    assert max(map(len, lines)) <= 80


def test_bench_with_power_rails(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritloom.runtime.bench._IDLE_SECONDS", 0.05)
    monkeypatch.setenv("FAKE_KERNEL_MICROSECONDS", "100000")
    rails = [Sensor("rail", "W", lambda: 3.0), Sensor("chip", "°C", lambda: 44.0)]
    monkeypatch.setattr(session, "sensors", lambda: rails)
    found = bench(session, tokens=20, prompt=1, steps=1)
    used = found.conditions.energy
    assert used is not None
    assert used.rails == ("rail",)
    assert used.watts == pytest.approx(3.0)
    least = 3.0 / found.tokens_per_second  # the meter runs a little longer than the kernel
    assert 0.99 * least < used.joules < 4 * least
    assert "power         3.00 W working, 3.00 W idle (rail)" in found.text()
    assert "temperature   44.0 °C (chip)" in found.text()


@pytest.mark.parametrize("options", [{"tokens": 0}, {"steps": 0}, {"prompt": 2049}])
def test_bench_out_of_range(session: Session, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="is out of range"):
        bench(session, **options)


def test_bench_on_the_command_line(bundle: Path, emulation: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(bundle), "--bench", "-n", "5", "--emulate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["label"] == "simulated on the emulated device"
    assert (found["tokens"], found["steps"]) == (5, 50)
    assert main([str(bundle), "--bench", "--emulate", "--interrupt"]) == 0
    assert "generation    " in capsys.readouterr().out


# -- self-test


def test_a_sound_device(session: Session) -> None:
    found = list(check(session))
    assert [(entry.name, entry.passed) for entry in found] == [
        ("prompt equals steps", True),
        ("generation equals steps", True),
        ("twice the same", True),
        ("known answer", True),
    ]
    assert found[-1].detail == "not compared: the bundle has no reference.json"


def test_a_board_against_the_emulated_device(bundle: Path, emulation: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(bundle), "--record", "--emulate"]) == 0
    (bundle / "reference.json").write_text(capsys.readouterr().out)
    build_overlay(bundle)
    with load(bundle, board(bundle)) as session:
        *_, last = check(session)
    assert (last.passed, last.detail) == (True, "bit for bit what was simulated on the emulated device")


def answers_differ(document: dict[str, Any]) -> None:
    document["answer"]["logits"][3] = "0" * 64


def tokens_differ(document: dict[str, Any]) -> None:
    document["answer"]["generated"][0] ^= 1


@pytest.mark.parametrize(("change", "where"), [(answers_differ, "logits"), (tokens_differ, "generated")])
def test_wrong_numbers(
    session: Session, bundle: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Any], None], where: str
) -> None:
    document = record(session)
    change(document)
    (bundle / "reference.json").write_text(json.dumps(document))
    *_, last = check(session)
    assert (last.passed, last.detail) == (False, f"differs in {where}")
    assert main([str(bundle), "--self-test", "--emulate"]) == 1
    out = capsys.readouterr().out
    assert f"failed  known answer: differs in {where}\nself-test failed (simulated on the emulated device)\n" in out


def test_a_device_that_is_not_deterministic(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    prefill, calls = session.prefill, 0

    def flaky(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        logits = prefill(*arguments, **options).copy()
        if calls % 2:
            logits[..., 3] += 1e-3
        return logits

    monkeypatch.setattr(session, "prefill", flaky)
    assert not all(found.passed for found in check(session))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "reference.json: "),
        ("[]", "reference.json: the document should be an object"),
        ('{"schema": 2}', "of another program"),
        ('{"schema": 1, "program": "' + "0" * 64 + '"}', "of another program"),
    ],
)
def test_a_bad_reference(session: Session, bundle: Path, content: str, message: str) -> None:
    (bundle / "reference.json").write_text(content)
    with pytest.raises(BundleError, match=message):
        list(check(session))


def test_self_test_on_the_command_line(bundle: Path, emulation: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(bundle), "--self-test", "--emulate"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "ok      prompt equals steps: bit for bit"
    assert out[-1] == "self-test passed (simulated on the emulated device)"
    assert main([str(bundle), "--self-test", "--emulate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert len(found["checks"]) == 4
