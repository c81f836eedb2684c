"""Seeded faults: each must be caught by `verify_bundle`, and the report must name the culprit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tritloom.api import compile_model
from tritloom.backend import images as backend_images
from tritloom.frontend import import_onnx
from tritloom.frontend.patterns import rms_norm
from tritloom.ir import engine
from tritloom.ir.encoding import slices_of
from tritloom.ir.mlir import Operation, PatternRewriter
from tritloom.ir.tern import MulOp, SiluOp, SliceOp
from tritloom.passes import fuse_gates, fuse_norm
from tritloom.passes.rewriting import replace
from tritloom.verify import VerifyReport, verify_bundle
from tritloom.verify.subject import open_subject

from .conftest import BAKED, TEXT, TOKENIZER
from .tampering import Tampered

TOKENS = 8
SCALE, EPS1 = 8, 10  # words of an instruction


@pytest.fixture
def tampered(bundle: Path, tmp_path: Path) -> Tampered:
    return Tampered.copy(bundle, tmp_path / "bundle")


def verified(bundle: Path, after_each_pass: bool = False) -> VerifyReport:
    return verify_bundle(bundle, text=TEXT, tokens=TOKENS, after_each_pass=after_each_pass)


def failures(report: VerifyReport) -> dict[str, str]:
    """Failed checks: name -> all that is said."""
    return {check.name: "\n".join([check.detail, *check.findings]) for check in report.checks if not check.passed}


def program_of(bundle: Path) -> list[engine.ProgramEntry]:
    subject = open_subject(bundle, None)
    imported = import_onnx(subject.model)
    subject.lower(imported, [])
    return engine.assemble(imported.module)


def instruction(bundle: Path, weight: str) -> int:
    return next(
        number
        for number, entry in enumerate(program_of(bundle))
        if isinstance(entry.op, engine.LinearOp) and entry.op.weight.root_reference.data == weight
    )


def test_the_bundle_itself_passes(bundle: Path) -> None:
    report = verified(bundle, after_each_pass=True)
    assert report.passed, "\n".join(report.lines())


def test_a_flipped_trit(tampered: Tampered, bundle: Path) -> None:
    tampered.flip_trit(port=0, offset=5)  # first product: row 0 on port0, byte 5 holds column 5
    found = failures(verified(tampered.root))
    number = instruction(bundle, "layers.0.attn.i_proj")
    assert "@layers.0.attn.i_proj" in found["weight images"]
    assert "row 0, column 5 on port0" in found["weight images"]
    assert "1 of 16384 trits differ" in found["weight images"]
    assert f"instruction {number}, engine.linear @layers.0.attn.i_proj (ONNX " in found["device, fast build, B = 1"]
    assert "'acc' at position 0, element 0: device " in found["device, fast build, B = 1"]
    assert "units of the sum" in found["device, fast build, B = 1"]


def test_one_scale_a_thousandth_too_large(tampered: Tampered, bundle: Path) -> None:
    number = instruction(bundle, "layers.1.mlp.down_proj")
    tampered.set_field(number, SCALE, tampered.field(number, SCALE) * np.float32(1.001))
    found = failures(verified(tampered.root))
    where = f"instruction {number}, engine.linear @layers.1.mlp.down_proj"
    assert where in found["program"]
    assert "scale is" in found["program"]
    assert "(x1.001)" in found["program"]
    assert where in found["device, fast build, B = 1"]
    assert "'out'" in found["device, fast build, B = 1"]
    assert " ulp" in found["device, fast build, B = 1"]


def test_one_lower_bound_a_thousandth_higher(tampered: Tampered, bundle: Path) -> None:
    entries, lanes, at = program_of(bundle), open_subject(bundle, None).limits.lanes, 0
    for entry in entries:
        if isinstance(entry.op, engine.LinearOp) and entry.op.kind is engine.EpilogueKind.HGRN:
            lower = entry.op.lower.root_reference.data
            start = at
        at += engine.gain_words(entry.op, lanes) * lanes
    gains = tampered.read("weights/gains.bin")
    np.frombuffer(gains, "<f4")[start + 7] += np.float32(0.001)
    tampered.write("weights/gains.bin", gains)
    found = failures(verified(tampered.root))
    assert f"@{lower} (engine.linear @layers.1.attn.f_proj" in found["gain image"]
    assert "element 7: " in found["gain image"]
    assert "(+0.001)" in found["gain image"]
    assert "engine.linear @layers.1.attn.f_proj" in found["device, fast build, B = 1"]


def test_rounding_half_away_from_zero(tampered: Tampered) -> None:
    tampered.replace_text("hls/include/tritloom/rounding.h", "(rest == half && (whole & 1u))", "rest == half")
    found = failures(verified(tampered.root))["device, rounding and zero vectors"]
    assert "engine.quantize" in found
    assert "'codes' at position 0" in found
    assert "off by 1 codes" in found


def test_u_and_v_swapped_in_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = backend_images.interleave_halves
    monkeypatch.setattr(
        backend_images, "interleave_halves", lambda trits: right(np.concatenate(np.split(trits, 2)[::-1]))
    )
    compile_model(BAKED, "kv260", tmp_path / "bundle", tokenizer=TOKENIZER)
    monkeypatch.undo()
    found = failures(verified(tmp_path / "bundle"))
    assert "@layers.0.mlp.gate_proj" in found["weight images"]
    assert "u and v are swapped" in found["weight images"]
    assert "engine.linear @layers.0.mlp.gate_proj" in found["device, fast build, B = 1"]


def test_two_ports_images_exchanged(tampered: Tampered) -> None:
    tampered.exchange("weights/port0.bin", "weights/port1.bin")
    found = failures(verified(tampered.root))
    assert "port0 holds what belongs to port1, port1 holds what belongs to port0" in found["weight images"]
    assert "engine.linear @layers.0.attn.i_proj" in found["device, fast build, B = 1"]


def test_one_epsilon_missing_in_the_program(tampered: Tampered, bundle: Path) -> None:
    number = next(
        number
        for number, entry in enumerate(program_of(bundle))
        if isinstance(entry.op, engine.QuantizeOp) and entry.op.eps1 is not None and entry.op.norm is None
    )
    tampered.set_field(number, EPS1, np.float32(0))
    found = failures(verified(tampered.root))
    assert f"instruction {number}, engine.quantize" in found["program"]
    assert "epsilon of the second norm (eps1) is missing" in found["program"]
    assert f"instruction {number}, engine.quantize" in found["device, fast build, B = 1"]


def test_a_fifo_one_too_short(tampered: Tampered, bundle: Path) -> None:
    subject = open_subject(bundle, None)
    longest = max(entry.instruction.length for entry in program_of(bundle) if entry.instruction.opcode == 2)
    words = subject.limits.batch * -(-longest // subject.limits.lanes)
    config = (tampered.root / "hls" / "config.h").read_text()
    line = next(line for line in config.splitlines() if line.startswith("#define TRITLOOM_U_FIFO"))
    tampered.replace_text("hls/config.h", line, f"#define TRITLOOM_U_FIFO ({words} - 1)")
    found = failures(verified(tampered.root))
    assert set(found) == {"device, bounded build, B = 4"}
    report = found["device, bounded build, B = 4"]
    assert "deadlock" in report
    assert "statistics" in report
    assert "u_words" in report


# Faults in the compiler: the bundle agrees with itself, and only onnxruntime can tell.


def test_an_epsilon_lost_in_a_pass(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = fuse_norm.NormQuantizeOp

    def forgetful(*args: object, **options: object) -> object:
        if options.get("eps1") is not None:
            options["eps1"] = 0.0
        return right(*args, **options)

    monkeypatch.setattr(fuse_norm, "NormQuantizeOp", forgetful)
    monkeypatch.setattr(fuse_norm, "share_statistics", lambda module: None)
    report = verified(bundle, after_each_pass=True)
    assert report.check("passes").figures["first"] == "fuse-norm"
    found = failures(report)
    assert "tern.norm_quantize (ONNX " in found["passes"]
    assert "local, compiled, small gains" in found
    assert "epsilon of the second norm (eps1) is" in found["program"]


def test_an_epsilon_lost_at_import(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = rms_norm.RmsNormOp
    monkeypatch.setattr(rms_norm, "RmsNormOp", lambda x, gain, eps: right(x, gain, 0.0))
    found = failures(verified(bundle))
    assert "tern.rms_norm (ONNX " in found["local, import, small gains"]


def test_a_wrong_gain_in_a_pass(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = fuse_norm.product_vector
    monkeypatch.setattr(fuse_norm, "product_vector", lambda op, names: right(op, (names[0], names[0])))
    report = verified(bundle, after_each_pass=True)
    assert report.check("passes").figures["first"] == "fuse-norm"
    assert "codes; position" in failures(report)["passes"]


def test_a_lower_bound_lost_in_a_pass(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = fuse_gates.HgrnOp
    monkeypatch.setattr(fuse_gates, "HgrnOp", lambda forget, i, state, lower: right(forget, i, state, None))
    report = verified(bundle, after_each_pass=True)
    assert report.check("passes").figures["first"] == "fuse-gates"
    assert "tern.hgrn" in failures(report)["passes"]
    assert "'state.1.out'" in failures(report)["passes"]


def test_u_and_v_swapped_in_a_pass(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """u * silu(v) made of silu(u) * v."""

    class Swapped(fuse_gates.FuseSwiglu):
        def match_and_rewrite(self, op: Operation, rewriter: PatternRewriter) -> None:
            if isinstance(op, MulOp) and isinstance(op.lhs.owner, SiluOp) and isinstance(op.rhs.owner, SliceOp):
                u = op.lhs.owner.operand
                if isinstance(u.owner, SliceOp) and u.owner.offset.value.data == 0:
                    silu = SiluOp(op.rhs)
                    rewriter.insert(silu)
                    replace(rewriter, op, MulOp(u, silu.result))

    monkeypatch.setattr(fuse_gates, "FuseSwiglu", Swapped)
    report = verified(bundle, after_each_pass=True)
    assert report.check("passes").figures["first"] == "fuse-gates"
    assert "tern.mul (ONNX " in failures(report)["passes"]
    assert "vector_words" in failures(report)["compile"]  # unfused, it no longer fits the kernel


def test_a_padding_trit(tampered: Tampered) -> None:
    """Trits beyond a row's end meet codes that are zero: the numbers stay right, and the image is still wrong."""
    offset = (slices_of(128) - 1) * 16 + 15  # row 0, columns 95, 111, 127, and two beyond its 128
    tampered.flip_trit(port=0, offset=offset, digit=4)
    found = failures(verified(tampered.root))
    assert set(found) == {"weight images"}
    assert "@layers.0.attn.i_proj" in found["weight images"]
    assert "padding of port0 is not zero" in found["weight images"]
