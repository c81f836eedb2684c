"""Steps that are fed with vectors, compiled: through the driver on the emulated device, and through the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from tritloom.api import compile_model
from tritloom.cli import main
from tritloom.frontend import import_onnx
from tritloom.ir.interpreter import Interpreter, Step
from tritloom.runtime import Session, load
from tritloom.verify import VerifyReport, verify_bundle
from tritloom.verify.device import same_bits
from tritloom.verify.subject import open_subject

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "frontend"))
from general_model import WIDTH, general_model
from onnx_models import Net, random_trits

F32 = NDArray[np.float32]
STATELESS, LENGTH = "stateless", 18
"""A vector that fills no whole beats of its row."""


def stateless() -> Net:
    """Two products of codes: positions share a pass over the weights."""
    net = Net()
    x = net.input("x", ("batch", LENGTH))
    inner = net.add("Relu", net.bitlinear(net.rms_norm(x), "up", random_trits(40, LENGTH, 1), 0.1))
    net.output("y", net.bitlinear(inner, "down", random_trits(10, 40, 2), 0.1), ("batch", 10))
    return net


def mixer() -> Net:
    """The token mixer of the MatMul-free language model, whose state is renewed inside of a product's epilogue."""
    net = Net()
    x, state = net.input("x", (1, WIDTH)), net.input("h", (1, WIDTH))
    normed = net.rms_norm(x, np.linspace(0.5, 1.5, WIDTH, dtype=np.float32))
    f, i = (net.bitlinear(normed, name, random_trits(WIDTH, WIDTH, ord(name)), 0.1) for name in "fi")
    f = net.add("Sigmoid", f)
    value = net.add("Mul", net.add("Mul", i, net.add("Sigmoid", i)), net.add("Sub", 1.0, f))
    new = net.add("Add", net.add("Mul", f, state), value)
    mixed = net.add("Add", x, net.bitlinear(net.add("Mul", new, net.add("Sigmoid", new)), "o", random_trits(32, 32, 5)))
    net.output("y", net.bitlinear(mixed, "head", random_trits(24, WIDTH, 6), 0.1), (1, 24))
    net.output("h.out", new, (1, WIDTH))
    return net


MODELS = {"recurrent": lambda: general_model("vector"), STATELESS: stateless, "mixer": mixer}


class Built:
    """A model and its bundle."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.model = MODELS[name]().save(folder)
        self.bundle = folder / "build"
        self.length = LENGTH if name == STATELESS else WIDTH
        compile_model(self.model, "kv260", self.bundle)

    def rows(self, count: int) -> F32:
        return np.random.default_rng(3).standard_normal((count, self.length), dtype=np.float32)

    def interpreted(self, rows: F32) -> Step:
        """The compiled program, as the interpreter means it."""
        imported = import_onnx(self.model)
        open_subject(self.bundle, None).lower(imported, [])
        return Interpreter(imported.module, imported.store).run(rows)


@pytest.fixture(scope="module", params=MODELS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return Built(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def session(built: Built) -> Iterator[Session]:
    with load(built.bundle, "emulated") as opened:
        assert isinstance(opened, Session)
        yield opened


def test_many_rows_at_once(built: Built, session: Session) -> None:
    """More than a start gives rows of: the state goes from one start to the next."""
    rows = built.rows(150)
    outputs, *states = session.run(None, {"x": rows})
    step = built.interpreted(rows)
    assert same_bits(outputs, next(iter(step.outputs.values())))
    assert len(states) == (built.name != STATELESS)
    for state, wanted in zip(states, step.states.values(), strict=True):
        assert same_bits(state.reshape(-1), wanted)
    assert session.position == 0
    assert session.bundle.program.max_batch == (1 if built.name == "recurrent" else 4)


def test_steps_and_prompts(built: Built, session: Session) -> None:
    rows = built.rows(12)
    wanted = next(iter(built.interpreted(rows).outputs.values()))
    assert same_bits(np.stack([session.step(row) for row in rows]), wanted)
    session.reset()
    assert same_bits(session.prefill(rows[:7]), wanted[6])
    assert same_bits(session.prefill(rows[7:], all_logits=True), wanted[7:])
    assert session.position == 12


def test_several_starts_for_one_prompt(built: Built, session: Session) -> None:
    """A start takes as many vectors as there are rows of memory."""
    assert session.positions == 2048
    session._engine.memory.positions = 8
    rows = built.rows(21)
    assert same_bits(session.prefill(rows), next(iter(built.interpreted(rows).outputs.values()))[-1])


def test_it_is_where_onnxruntime_is(built: Built, session: Session) -> None:
    rows = built.rows(24)
    judge = ort.InferenceSession(str(built.model), providers=["CPUExecutionProvider"])
    names = [arg.name for arg in judge.get_outputs()]
    states = {state.input: np.zeros(state.shape, np.float32) for state in session.bundle.program.states}
    wanted = []
    for row in rows:
        found = dict(zip(names, judge.run(None, {"x": row[np.newaxis], **states}), strict=True))
        states = {state.input: found[state.output] for state in session.bundle.program.states}
        wanted.append(found[names[0]][0])
    (outputs,) = session.run([names[0]], {"x": rows})
    error = np.abs(outputs - np.stack(wanted)).max(axis=-1) / np.abs(wanted).max()
    assert np.median(error) < 1e-5
    assert error.max() < 2e-2  # where a code falls on the other side of a tie


def test_subnormal_numbers_are_zero(built: Built, session: Session) -> None:
    rows = built.rows(3)
    rows[1, ::2] = np.float32(-1e-40)
    found = session.prefill(rows, all_logits=True)
    assert same_bits(found, next(iter(built.interpreted(rows).outputs.values())))
    session.reset()
    rows[1, ::2] = 0
    assert same_bits(session.prefill(rows, all_logits=True), found)


def test_the_manifest(built: Built) -> None:
    program = json.loads((built.bundle / "manifest.json").read_text())["program"]
    assert program["kind"] == "vectors"
    assert program["inputs"] == [{"name": "x", "dtype": "float32", "shape": [built.length]}]
    assert program["embedding"] == {"dtype": "f32", "rows": 2048, "row_bytes": 16 * -(-built.length // 4)}
    assert program["hidden"] == built.length
    image = np.fromfile(built.bundle / "weights" / "embedding.bin", np.float32)
    assert np.unique(np.abs(image[: built.length])).size == built.length  # rows of a C simulation, not zeros


@pytest.mark.long
def test_the_test_bench_takes_the_rows_of_the_file(built: Built, tmp_path: Path) -> None:
    """C simulation of the first vectors of weights/embedding.bin."""
    image = np.fromfile(built.bundle / "weights" / "embedding.bin", np.float32)
    step = built.interpreted(image.reshape(2048, -1)[:6, : built.length])
    stride = json.loads((built.bundle / "manifest.json").read_text())["program"]["logits_stride"]
    outputs = next(iter(step.outputs.values()))
    golden = np.zeros((6, stride), np.float32)
    golden[:, : outputs.shape[1]] = outputs
    states = b"".join(state.tobytes() for state in step.states.values())
    (tmp_path / "golden.bin").write_bytes(golden.tobytes() + states)
    (tmp_path / "tokens.bin").write_bytes(np.arange(6, dtype=np.uint32).tobytes())
    files = f"CSIM_ARGS={tmp_path / 'tokens.bin'} {tmp_path / 'golden.bin'}"
    command = ["make", "-C", str(built.bundle / "hls"), "csim", "CXXFLAGS=-O1", f"BUILD={tmp_path}", files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_no_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One beside the model belongs to another model, or to the float one that it was made of."""
    model = stateless().save(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    compile_model(model, "kv260", tmp_path / "build")
    assert json.loads((tmp_path / "build" / "manifest.json").read_text())["program"]["tokenizer"] is None
    command = ["compile", str(model), "-b", "kv260", "-o", str(tmp_path / "again")]
    assert main([*command, "--tokenizer", str(tmp_path / "tokenizer.json")]) == 2
    assert "a step that is fed with vectors has no tokenizer" in capsys.readouterr().err
    assert main([*command, "--quantise-activations"]) == 0


def test_the_commands(built: Built, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = built.rows(5)
    np.savez(tmp_path / "in.npz", x=rows)
    run = ["run", str(built.bundle), "--inputs", str(tmp_path / "in.npz"), "-o", str(tmp_path / "out.npz")]
    assert main([*run, "--device", "emulated"]) == 0
    found = np.load(tmp_path / "out.npz")
    wanted = built.interpreted(rows).outputs
    assert all(same_bits(found[name], values) for name, values in wanted.items())
    assert main(["bench", str(built.bundle), "--device", "emulated", "-n", "4", "--steps", "2"]) == 0
    assert "vectors/s (4 vectors at once)" in capsys.readouterr().out
    assert main(["generate", str(built.bundle), "--prompt", "words", "--device", "emulated"]) == 2
    assert "generate feeds generated tokens back" in capsys.readouterr().err
    (tmp_path / "text.txt").write_text("words")
    assert main(["eval", str(built.bundle), "--text", str(tmp_path / "text.txt")]) == 2
    assert "net is fed with vectors: it predicts no text" in capsys.readouterr().err


def verified(built: Built, folder: Path, rows: F32) -> VerifyReport:
    np.savez(folder / "rows.npz", x=rows)
    return verify_bundle(built.bundle, inputs=folder / "rows.npz", tokens=16)


def test_verify_takes_rows_of_a_file(built: Built, tmp_path: Path) -> None:
    report = verified(built, tmp_path, built.rows(20))
    assert report.passed
    assert report.lines()[0].endswith("16 vectors of rows.npz")
    assert report.to_json()["vectors"] == 16
    assert report.check("embedding image").detail == "2,048 rows of memory for the vectors of a start"
    assert "bits per token" not in "\n".join(report.lines())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text", "words.txt"], "--text has no meaning here: the bundle holds a step fed with vectors"),
        (["--frames", "3"], "--frames has no meaning here: the bundle holds a step fed with vectors"),
        (["--inputs", "other.npz"], "has no array 'x', which is the model's input: it holds 'z'"),
        (["--inputs", "wide.npz"], "wide.npz: x: shape [2, 99]"),
        (["--inputs", "words.txt"], "cannot read "),
    ],
)
def test_verify_refuses(
    options: list[str],
    message: str,
    built: Built,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("words")
    np.savez("other.npz", z=built.rows(2))
    np.savez("wide.npz", x=np.zeros((2, 99), np.float32))
    assert main(["verify", str(built.bundle), *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_verify_sees_a_wrong_row(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's rows in another order: a bug of the runtime, which every check of the device must see."""
    from tritloom.runtime.engine import Engine

    prepare = Engine._prepare
    monkeypatch.setattr(
        Engine, "_prepare", lambda engine, fed, *rest: prepare(engine, fed[::-1] if len(fed) > 1 else fed, *rest)
    )
    report = verified(built, tmp_path, built.rows(16))
    assert not report.check("device, logits").passed
