"""The emitted files: complete, clean under both compilers and clang-format, and the C simulation of the test bench."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernel_library import TARGET, limits
from programs_hls import language_model
from reference_machine import Machine
from tritloom.backend.hls import HlsTarget, ListedInstruction, render_hls
from tritloom.ir.encoding import pad_page
from tritloom.ir.instruction import Epilogue, Opcode
from tritloom.resources import templates_dir

TOKENS = [3, 1, 4, 1, 5]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """hls/ and weights/ of a small model, with tokens and golden values."""
    folder = tmp_path_factory.mktemp("bundle")
    program = language_model(limits())
    listing = [
        ListedInstruction(step.op.words(), f"engine.{step.op.opcode.name.lower()}", (f"/model/node_{i}\\", "b"))
        for i, step in enumerate(program.steps)
    ]
    write(folder / "hls", render_hls(limits(), TARGET, listing))
    image = program.image()
    weights = folder / "weights"
    weights.mkdir()
    for port, data in enumerate(image.ports):
        (weights / f"port{port}.bin").write_bytes(pad_page(data, 108))
    (weights / "gains.bin").write_bytes(pad_page(image.gains, 0))
    (weights / "embedding.bin").write_bytes(pad_page(image.embedding, 0))
    machine = Machine(program)
    machine.run(TOKENS, B=4)
    logits = np.zeros((len(TOKENS), image.logits_stride), np.float32)
    for position, values in machine.logits.items():
        logits[position, : values.size] = values
    (folder / "tokens.bin").write_bytes(np.array(TOKENS, np.uint32).tobytes())
    (folder / "golden.bin").write_bytes(logits.tobytes() + machine.state[: image.state_floats].tobytes())
    wrong = logits.copy()
    wrong[2, 7] += 1
    (folder / "wrong.bin").write_bytes(wrong.tobytes() + machine.state[: image.state_floats].tobytes())
    return folder


def simulate(bundle: Path, build: str, golden: str, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = f"CSIM_ARGS={bundle}/tokens.bin {bundle}/{golden}"
    command = ["make", "-s", "csim", f"BUILD={build}", "CXXFLAGS=-O1", arguments, *options]
    return subprocess.run(command, cwd=bundle / "hls", capture_output=True, text=True)


def test_the_test_bench_agrees_with_the_golden_file(bundle):
    done = simulate(bundle, "b", "golden.bin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 words differ" in done.stdout


def test_the_test_bench_reports_a_difference(bundle):
    done = simulate(bundle, "b", "wrong.bin")
    assert done.returncode != 0
    assert "1 words differ" in done.stdout
    assert "logits[151] is" in done.stderr


def one_layer() -> int:
    """Instructions of the program up to the end of its first layer: the residual before the second recurrence."""
    ops = [step.op for step in language_model(limits()).steps]
    linears = [(index, op.func) for index, op in enumerate(ops) if op.opcode is Opcode.LINEAR]
    second = [index for index, func in linears if func == Epilogue.HGRN][1]
    return 1 + max(index for index, func in linears if func == Epilogue.ADD and index < second)


def test_one_layer_of_the_program_runs_alone(bundle):
    count = one_layer()
    machine = Machine(language_model(limits()))
    machine.run(TOKENS, B=4)
    recurrences = [step.op for step in machine.program.steps[:count] if step.op.func == Epilogue.HGRN]
    golden = machine.state[: max(op.state + op.rows for op in recurrences if op.opcode is Opcode.LINEAR)]
    (bundle / "layer.bin").write_bytes(golden.tobytes())
    done = simulate(bundle, "b", f"layer.bin {count}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} of {len(machine.program.steps)} instructions, status 0" in done.stdout
    assert "0 words differ" in done.stdout
    golden[5] += 1
    (bundle / "layer.bin").write_bytes(golden.tobytes())
    done = simulate(bundle, "b", f"layer.bin {count}")
    assert done.returncode != 0
    assert "state[5] is" in done.stderr


@pytest.mark.parametrize("count", ["0", "-1", "9999", "x"])
def test_a_number_of_instructions_that_the_program_does_not_have(bundle, count):
    done = simulate(bundle, "b", f"- {count}")
    assert done.returncode != 0
    assert "testbench: the program has " in done.stderr


@pytest.mark.long
def test_the_whole_step_with_amd_headers(bundle, amd):
    done = simulate(bundle, "amd", "golden.bin", f"AP_TYPES={amd}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 words differ" in done.stdout
    assert "leftover" not in done.stdout
    assert "read while empty" not in done.stdout


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_no_warning_from(compiler, bundle):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not here")
    command = ["make", "-s", "fast", "bounded", f"BUILD=w-{compiler}", f"w-{compiler}/csim", f"CXX={compiler}"]
    done = subprocess.run([*command, "CXXFLAGS=-O1 -Werror"], cwd=bundle / "hls", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_no_warning_at_full_optimisation(tmp_path):
    """Batch 1 is where a compiler sees through the loops over positions."""
    write(tmp_path, render_hls(limits(batch=1, ports=1), TARGET, []))
    command = ["make", "-s", "fast", "CXX=g++", "CXXFLAGS=-O3 -Werror"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kernel", [limits(), limits(ports=12, port_bits=512, batch=1, lanes=16, k_max=6960)])
def test_files_are_formatted(kernel, tmp_path):
    if shutil.which("clang-format") is None:
        pytest.skip("clang-format is not here")
    style = templates_dir().parent / ".clang-format"
    if not style.exists():
        pytest.skip("not a source tree")
    write(tmp_path, render_hls(kernel, TARGET, [ListedInstruction((1,) * 16, "engine.embed", ("x" * 90,))]))
    shutil.copy(style, tmp_path)
    sources = [str(path) for path in tmp_path.rglob("*") if path.suffix in (".h", ".cpp")]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *sources], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_kernel_has_the_arguments_of_the_contract():
    top = render_hls(limits(ports=2), TARGET, [])["top.h"]
    inside = top[top.index("void tritloom(") : top.index(");")]
    names = [line.split("//")[0].replace(",", " ").replace(")", " ").split()[-1] for line in inside.splitlines()[1:]]
    names = [*names, "waiting"] if names[-1] != "waiting" else names
    assert (
        names
        == (
            "port0 port1 gains ctl_governor program embedding state tokens tokens_out logits topk ctl mode T B N "
            "stop_token instructions port_beats gain_beats status count cycles busy starved waiting"
        ).split()
    )
    source = render_hls(limits(ports=2), TARGET, [])["top.cpp"]
    for name in names:
        assert f"s_axilite port = {name} bundle" in source
    for name in names[:12]:
        assert f"m_axi port = {name} bundle" in source


def test_part_clock_and_name_reach_the_tool_files():
    files = render_hls(limits(), HlsTarget("xc7z020clg400-1", 150.0, "pynq-z2", "9.9"), [])
    assert "part=xc7z020clg400-1" in files["hls_config.cfg"]
    assert "clock=6.667ns" in files["hls_config.cfg"]
    assert "set_part {xc7z020clg400-1}" in files["run_hls.tcl"]
    assert "-vendor xilinx.com -library hls -ipname tritloom -version 1.0" in files["run_hls.tcl"]
    for name, text in files.items():
        if not name.startswith("include/"):
            assert "Generated by tritloom 9.9 for pynq-z2" in text, name
        assert text.endswith("\n"), name
        assert "{{" not in text, name


def test_a_part_that_tcl_cannot_quote_is_refused():
    with pytest.raises(ValueError, match="cannot be written as a Tcl word"):
        render_hls(limits(), HlsTarget("x} ; exec rm", 250.0, "kv260"), [])


def test_headers_are_copied_and_short():
    files = render_hls(limits(), TARGET, [])
    headers = {name: text for name, text in files.items() if name.startswith("include/")}
    assert headers["include/tritloom/dot.h"] == (templates_dir() / "hls/include/tritloom/dot.h").read_text()
    for name, text in headers.items():
        assert text.count("\n") < 400, name
        assert "#include <iostream>" not in text, name


def test_comments_of_the_listing_cannot_end_early():
    files = render_hls(limits(), TARGET, [ListedInstruction((0,) * 16, "a\nb\\", ("c\\",))])
    assert "// 0: a?b\n" in files["program.h"]
    assert "//     c\n" in files["program.h"]
