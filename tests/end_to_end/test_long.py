"""What takes minutes: another numpy, AMD's headers, the example model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from tritloom.verify import evaluate, verify_bundle
from tritloom.verify.device import Expected

from .conftest import EXAMPLE, FIXTURES, ROOT, TOKENIZER, Compiled

pytestmark = pytest.mark.long

TOKENS = [0, 5, 17, 2047, 5, 901]

_DIGESTS = """
import hashlib, json, sys
from pathlib import Path
import numpy as np
from tritloom.frontend import import_onnx
from tritloom.verify.device import Expected, check_traces
from tritloom.verify.subject import open_subject
subject = open_subject(Path(sys.argv[1]), None)
imported = import_onnx(subject.model)
subject.lower(imported, [])
tokens = json.loads(sys.argv[2])
expected = Expected.of(imported.module, imported.store, tokens)
check = check_traces(subject.bundle, expected, tokens, stepwise=False)
digests = {f"{i} {w}": hashlib.sha256(rows.tobytes()).hexdigest() for (i, w), rows in expected.rows.items()}
print(json.dumps({"numpy": np.__version__, "digests": digests, "device": check.lines()}))
"""


def test_numpy_2_gives_the_same_bits(baked: Compiled, tmp_path: Path, kernels: Path) -> None:
    """The other major version in a venv of its own, all else as it is here."""
    other = "numpy>=2,<3" if np.__version__.startswith("1.") else "numpy==1.26.*"
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", other], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"no {other}: {installed.stderr.strip().splitlines()[-1]}")
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "rest.pth").write_text("\n".join([*here, str(ROOT / "compiler")]) + "\n")
    done = subprocess.run(
        [python, "-c", _DIGESTS, str(baked.root), json.dumps(TOKENS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["numpy"].split(".")[0] != np.__version__.split(".")[0]
    expected = Expected.of(baked.module, baked.store, TOKENS)
    wanted = {f"{i} {w}": hashlib.sha256(rows.tobytes()).hexdigest() for (i, w), rows in expected.rows.items()}
    assert found["digests"] == wanted
    assert found["device"][0].startswith("ok")


def test_a_whole_step_with_amd_headers(compiled: Compiled, amd_headers: Path, tmp_path: Path) -> None:
    expected = Expected.of(compiled.module, compiled.store, TOKENS)
    program = compiled.bundle.program
    words = np.zeros(program.state_words, np.float32)
    for state in program.states:
        words[state.offset : state.offset + state.size] = expected.states[state.input]
    logits = np.zeros((len(TOKENS), program.logits_stride), np.float32)
    logits[:, : program.vocab] = expected.logits
    (tmp_path / "golden.bin").write_bytes(logits.tobytes() + words.tobytes())
    np.array(TOKENS, np.uint32).tofile(tmp_path / "tokens.bin")
    command = ["make", "-C", str(compiled.root / "hls"), "csim", f"BUILD={tmp_path / 'amd'}", f"AP_TYPES={amd_headers}"]
    files = f"CSIM_ARGS={tmp_path / 'tokens.bin'} {tmp_path / 'golden.bin'}"
    done = subprocess.run([*command, files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("form", ["baked", "naive"])
def test_drift_against_the_other_export(form: str, tmp_path: Path) -> None:
    """The control of DESIGN: onnxruntime on the naive against onnxruntime on the baked export."""
    other = FIXTURES / f"tiny-{'naive' if form == 'baked' else 'baked'}.onnx"
    compiled = Compiled.of(FIXTURES / f"tiny-{form}.onnx", "kv260", tmp_path / "bundle")
    report = verify_bundle(compiled.root, text=EXAMPLE / "heldout.txt", control=other)
    assert report.passed, "\n".join(report.lines())
    assert report.tokens == 512
    assert report.check("global").figures["control"] == other.name


def test_the_example(tmp_path: Path) -> None:
    model = EXAMPLE / "model.onnx"
    if not model.is_file():
        pytest.skip("examples/matmulfree/model.onnx is not here")
    compiled = Compiled.of(model, "kv260", tmp_path / "bundle")
    report = verify_bundle(compiled.root, after_each_pass=True)
    assert report.passed, "\n".join(report.lines())
    assert report.text == "heldout.txt"
    (tmp_path / "text.txt").write_text((EXAMPLE / "heldout.txt").read_text()[:4000])
    assert evaluate(compiled.root, tmp_path / "text.txt").bits_per_byte < 2.5
    assert TOKENIZER.is_file()
