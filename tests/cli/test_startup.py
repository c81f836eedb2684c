"""What starting costs: `--help` and `--version` import nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tritloom

HEAVY = {"jinja2", "networkx", "numpy", "onnx", "onnx_ir", "onnxruntime", "pydantic", "pynq", "tokenizers", "xdsl"}

PROBE = """
import sys
from tritloom.cli import main
code = main(sys.argv[1:])
print("\\n" + ",".join(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""


def imported(*arguments: str) -> set[str]:
    ran = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split(","))


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("compile", "--help"), ("export", "--help"), ("doctor", "--help")]
)
def test_help_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    assert not imported(*arguments) & HEAVY


def test_the_probe_sees_what_a_command_imports() -> None:
    assert "pydantic" in imported("boards")


def test_version() -> None:
    ran = subprocess.run([sys.executable, "-m", "tritloom", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"tritloom {tritloom.__version__}\n"
    assert ran.stderr == ""


def test_a_closed_pipe_is_no_error() -> None:
    ran = subprocess.run(
        f"{sys.executable} -m tritloom boards --json | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "[\n"
    assert "Traceback" not in ran.stderr
