"""The runtime by itself: what it imports, its command line, its wheel."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import tritloom.runtime
from tritloom.runtime import Bundle, load
from tritloom.runtime.__main__ import main

from .fake_bundle import edit

SOURCE = Path(tritloom.runtime.__file__).parent


def _python(code: str, *arguments: str, executable: str = sys.executable) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent.parent)} if executable == sys.executable else None
    done = subprocess.run(
        [executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_imports_neither_the_compiler_nor_pynq(bundle: Path) -> None:
    code = (
        "import sys; from tritloom.runtime import Bundle; import tritloom.runtime.__main__, pkgutil;"
        "import tritloom.runtime.emulator.kernel, tritloom.runtime.emulator.registers;"
        "import tritloom.runtime.emulator.build, tritloom.runtime.emulator.hwh_writer;"
        "Bundle.open(sys.argv[1]);"
        "print(*sorted(sys.modules))"
    )
    loaded = set(_python(code, str(bundle)).split())
    assert not loaded & {"onnx", "onnxruntime", "xdsl", "jinja2", "pynq", "tokenizers", "rich", "typer"}
    ours = {name for name in loaded if name.startswith("tritloom.")}
    assert all(name.startswith("tritloom.runtime") for name in ours)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_sources_keep_to_the_rules(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 400
    if path.name != "_pynq.py":
        assert not re.search(r"^\s*(from|import) pynq", text, re.MULTILINE)
        assert "type: ignore" not in text or path.name == "buffers.py"
    depth = len(path.relative_to(SOURCE).parts)
    for node in ast.walk(ast.parse(text, feature_version=(3, 10))):
        if isinstance(node, ast.ImportFrom):
            assert node.level <= depth
            assert not (node.level == 0 and (node.module or "").startswith("tritloom"))


def test_pynq_missing(bundle: Path, emulation: None) -> None:
    code = (
        "import sys; sys.modules['pynq'] = None\n"
        "from tritloom.runtime import load, DeviceError\n"
        "try: load(sys.argv[1], 'emulated')\n"
        "except DeviceError as error: print(error.message, '|', error.hint)"
    )
    assert re.search(r"pynq cannot be imported.*\| pip install 'tritloom\[board\]'", _python(code, str(bundle)))


def test_the_command_line_describes_a_bundle(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(bundle)]) == 0
    out, err = capsys.readouterr()
    assert "model      fake (lm, vocabulary 64)\nboard      kv260" in out
    assert "overlay    not built" in out
    assert err == ""


def test_the_command_line_generates(bundle: Path, emulation: None, capsys: pytest.CaptureFixture[str]) -> None:
    with load(bundle, "emulated") as session:
        text = session.generate("in the", 20).text
    capsys.readouterr()
    assert main([str(bundle), "--prompt", "in the", "-n", "20", "--emulate"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{text}\n"
    assert re.fullmatch(r"20 tokens, [\d.]+ tokens/s \(simulated on the emulated device\)\n", err)


def test_the_command_line_takes_ids_without_a_tokenizer(
    bundle: Path, emulation: None, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(bundle, lambda manifest: manifest["program"].update(tokenizer=None))
    assert main([str(bundle), "--prompt", "1 2", "-n", "3", "--emulate"]) == 0
    assert re.fullmatch(r"\d+ \d+ \d+\n", capsys.readouterr().out)
    assert main([str(bundle), "--prompt", "a b", "--emulate"]) == 2


def test_the_command_line_reports_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "\nHint: give the folder" in err
    assert len(err.splitlines()) <= 6


def test_the_encoding_is_the_compilers() -> None:
    encoding = pytest.importorskip("tritloom.ir.encoding")
    from tritloom.runtime.kernel_manifest import ENCODING

    assert (encoding.ENCODING_NAME, encoding.ENCODING_VERSION, encoding.table_hash()) == ENCODING


def test_the_version_is_the_compilers() -> None:
    import tritloom

    assert getattr(tritloom, "__version__", tritloom.runtime.__version__) == tritloom.runtime.__version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = SOURCE.parents[2] / "runtime-wheel"
    if not project.is_dir():
        pytest.skip("not a source tree")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(project)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "hatchling" in done.stderr:
        pytest.skip("hatchling cannot be had: no package index")
    assert done.returncode == 0, done.stderr
    return next(folder.glob("tritloom_runtime-*-py3-none-any.whl"))


def test_the_wheel_is_small_and_only_the_runtime(wheel: Path) -> None:
    assert wheel.stat().st_size < 2 << 20
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert all(name.startswith("tritloom/runtime/") for name in names)
        assert {"tritloom/runtime/py.typed", "tritloom/runtime/emulator/device.py"} <= set(names)
        for name in names:
            original = SOURCE / Path(name).relative_to("tritloom/runtime")
            assert hashlib.sha256(archive.read(name)).digest() == hashlib.sha256(original.read_bytes()).digest()
        assert not [name for name in names if name.endswith(".pyc")]


def test_the_wheel_loads_a_bundle_with_numpy_only(wheel: Path, bundle: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = str(environment / "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    target = next(environment.glob("lib/python3*/site-packages"))
    for name in ("numpy", "numpy.libs"):  # this environment's, so that the test needs no index
        source = Path(sysconfig.get_path("platlib")) / name
        if source.exists():
            (target / name).symlink_to(source)
    code = (
        "import sys; from tritloom.runtime import Bundle; b = Bundle.open(sys.argv[1]); t = b.tokenizer();"
        "import importlib.util as u; assert not any(map(u.find_spec, ('pynq', 'onnx', 'tokenizers')));"
        "print(b.program.name, t.encode('in the'), t.decode(t.encode('in the')))"
    )
    tokenizer = Bundle.open(bundle).tokenizer()
    assert tokenizer is not None
    expected = f"fake {tokenizer.encode('in the')} in the\n"
    assert _python(code, str(bundle), executable=python) == expected
