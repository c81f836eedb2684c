"""`verify_bundle` and `evaluate` on a sound bundle, and the errors that a user can cause."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from tritloom.errors import InputError
from tritloom.verify import Check, VerifyReport, evaluate, verify_bundle

from .conftest import BAKED, NAIVE, TEXT
from .tampering import Tampered

NAMES = [
    "source",
    "weights",
    "local, import",
    "local, import, small gains",
    "passes",
    "local, compiled",
    "local, compiled, small gains",
    "weight images",
    "gain image",
    "embedding image",
    "program",
    "device, fast build, B = 1",
    "device, fast build, B = 4",
    "device, bounded build, B = 4",
    "device, logits",
    "device, rounding and zero vectors",
    "global",
]


@pytest.fixture(scope="module")
def report(bundle: Path) -> VerifyReport:
    return verify_bundle(bundle, text=TEXT, tokens=96, after_each_pass=True, control=NAIVE)


def test_every_check_passes_and_gives_its_figures(report: VerifyReport) -> None:
    assert [check.name for check in report.checks] == NAMES
    assert report.passed, "\n".join(report.lines())
    local = report.check("local, compiled").figures
    assert local["compared"] == 27
    assert local["codes"] == 38912
    assert 0 < float(local["worst"]) < 2e-6
    drift = report.check("global").figures
    assert drift["control"] == "tiny-naive.onnx"
    assert float(drift["argmax_agreement"]) > 0.97
    assert 3 < float(drift["bits_per_token"]) < 11


def test_the_report_as_lines(report: VerifyReport) -> None:
    lines = report.lines()
    assert lines[0].endswith("against tiny-baked.onnx, 96 tokens of heldout.txt")
    assert "ok     weight images: 786,432 trits of 13 weights on 4 ports are the ONNX file's" in lines
    assert any("control (tiny-naive.onnx): argmax " in line for line in lines)
    (line,) = (line for line in lines if line.startswith("ok     global: "))
    assert line.endswith("; coarse limits: fewer than 512 tokens")
    assert lines[-1].startswith("verified: 17 checks (")


def test_the_report_as_json(report: VerifyReport) -> None:
    found = json.loads(json.dumps(report.to_json()))
    assert found["passed"] is True
    assert found["tokens"] == 96
    assert [check["name"] for check in found["checks"]] == NAMES


def test_findings_beyond_five_are_counted() -> None:
    check = Check("program", False, "7 fields differ", findings=[f"line {n}" for n in range(7)])
    assert check.lines() == [
        "FAILED program: 7 fields differ",
        *(f"         line {n}" for n in range(5)),
        "         and 2 more",
    ]
    report = VerifyReport("b", "m.onnx", "t", 1, (check,), 0.0)
    assert report.lines()[-1] == "FAILED: program (0.0 s)"
    with pytest.raises(KeyError):
        report.check("nothing")


def test_another_onnx_file_is_named_and_nothing_else_is_compared(bundle: Path) -> None:
    report = verify_bundle(bundle, model=NAIVE, tokens=2)
    assert [check.name for check in report.checks] == ["source"]
    assert not report.passed
    assert "tiny-naive.onnx is not the file the bundle was compiled from" in report.lines()[1]


def test_without_a_text_tokens_are_random_and_the_report_says_so(bundle: Path) -> None:
    report = verify_bundle(bundle, model=BAKED, tokens=3)
    assert report.text.startswith("a random sequence")
    assert report.passed, "\n".join(report.lines())


def test_a_model_that_has_moved(bundle: Path, tmp_path: Path) -> None:
    moved = Tampered.copy(bundle, tmp_path / "moved")
    manifest = json.loads(moved.read("manifest.json"))
    manifest["source"]["file"] = str(tmp_path / "gone.onnx")
    (moved.root / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="there is no ONNX file") as raised:
        verify_bundle(moved.root)
    assert "--model" in raised.value.hint


@pytest.mark.parametrize("content", [b"\xff\xfe", b""], ids=["not UTF-8", "empty"])
def test_a_text_that_cannot_be_fed(bundle: Path, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(content)
    for call in (lambda: verify_bundle(bundle, text=file), lambda: evaluate(bundle, file)):
        with pytest.raises(InputError):
            call()


def test_no_text_no_bundle_no_tokens(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        evaluate(bundle, tmp_path / "nothing.txt")
    with pytest.raises(InputError, match="no such folder"):
        verify_bundle(tmp_path / "nothing")
    with pytest.raises(InputError, match="at least one token"):
        verify_bundle(bundle, tokens=0)


def test_a_control_of_another_model(bundle: Path, tmp_path: Path) -> None:
    model = onnx.load(BAKED)
    for node in model.graph.node:
        node.input[:] = ["other" if name == "state.1" else name for name in node.input]
    next(value for value in model.graph.input if value.name == "state.1").name = "other"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"other\.onnx is no control: it has no input 'state\.1'"):
        verify_bundle(bundle, tokens=2, control=tmp_path / "other.onnx")


def test_a_model_that_onnxruntime_does_not_know(bundle: Path, tmp_path: Path) -> None:
    model = onnx.load(BAKED)
    model.opset_import[0].version = 99
    onnx.save(model, tmp_path / "opset99.onnx")
    with pytest.raises(InputError, match=r"onnxruntime \S+ refuses opset99.onnx: ONNX Runtime only") as raised:
        verify_bundle(bundle, tokens=2, control=tmp_path / "opset99.onnx")
    assert "opset that this onnxruntime knows" in raised.value.hint


def test_a_changed_byte_is_refused(bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "changed")
    file = tmp_path / "changed" / "weights" / "port2.bin"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"weights/port2\.bin was changed"):
        verify_bundle(tmp_path / "changed")


def test_evaluate_scores_a_text(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    text = TEXT.read_text()[:1500]
    file.write_text(text)
    found = evaluate(bundle, file)
    assert found.text_bytes == len(text.encode())
    assert found.tokens > 300
    assert found.bits_per_byte == pytest.approx(found.bits_per_token * found.tokens / found.text_bytes)
    assert 1 < found.bits_per_byte < 4
    assert found.label == "simulated on the emulated device"
    assert np.isfinite(found.bits_per_token)
