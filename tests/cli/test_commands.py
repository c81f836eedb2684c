"""The other commands in front of stand-ins, and `boards`, `passes`, `opt` in front of the real thing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tritloom.cli import doctor, run
from tritloom.errors import InputError
from tritloom.passes import PASSES
from tritloom.targets import board_toml, load_target

from .conftest import Cli, Install


def test_boards_table(cli: Cli) -> None:
    lines = cli("boards").out.splitlines()
    assert lines[0].split() == ["board", "part", "LUT", "DSP", "BRAM36", "URAM", "GB/s", "PYNQ"]
    assert "kv260       xck26-sfvc784-2LV-c    117,120  1,248     144    64   19.2  3.0" in lines
    assert max(map(len, lines)) <= 80


def test_boards_json(cli: Cli) -> None:
    names = [board["name"] for board in json.loads(cli("boards", "--json").out)]
    assert {"kv260", "pynq-z2"} <= set(names)
    assert json.loads(cli("boards", "show", "kv260", "--json").out)["part"] == "xck26-sfvc784-2LV-c"


def test_boards_show(cli: Cli) -> None:
    lines = cli("boards", "show", "pynq-z2").out.splitlines()
    assert lines[0].endswith("(pynq-z2)")
    assert "resources.lut            53200" in lines
    assert "tools.licence            none: Vivado ML Standard edition" in lines


def test_boards_show_goes_into_tables(cli: Cli) -> None:
    lines = cli("boards", "show", "alveo-u55c").out.splitlines()
    assert "alveo.part.lut           1303680" in lines
    assert not any("{" in line for line in lines)


def test_boards_show_by_path(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(board_toml(load_target("kv260")).replace('name = "kv260"', 'name = "mine"'), encoding="utf-8")
    assert json.loads(cli("boards", "show", path, "--json").out)["name"] == "mine"


def test_passes(cli: Cli) -> None:
    listed = cli("passes").out
    assert all(f"\n{name} " in listed for name in PASSES)
    described = {item["name"]: item for item in json.loads(cli("passes", "--json").out)}
    assert list(described) == list(PASSES)
    assert all(item["summary"] for item in described.values())


def test_passes_explains_one(cli: Cli) -> None:
    outcome = cli("passes", "tile")
    assert outcome.out.startswith("tile: ")
    assert "\nOptions:\n  lanes: int | None = None\n" in outcome.out
    assert [option["name"] for option in json.loads(cli("passes", "tile", "--json").out)["options"]] == [
        "lanes",
        "batch",
    ]


def test_passes_unknown(cli: Cli) -> None:
    outcome = cli("passes", "zzz")
    assert outcome.code == 2
    assert outcome.err == "error: no pass is called 'zzz'\nHint: `tritloom passes` lists them\n"


@pytest.mark.parametrize("generic", [False, True])
def test_opt(cli: Cli, install: Install, model: Path, tmp_path: Path, generic: bool) -> None:
    seen: dict[str, Any] = {}

    def optimise(file: Path, pipeline: str, *, model: Path | None, board: str | None, observer: Any) -> str:
        seen.update(file=file, pipeline=pipeline, model=model, board=board)
        observer.after("tile", "module", True)
        return "module"

    install("tritloom.api", optimise=optimise, ir_text=lambda module, generic=False: f"{module} {generic}\n")
    options = ["--print-generic"] if generic else []
    outcome = cli("opt", model, "-p", "tile{lanes=8}", "-b", "kv260", *options)
    assert (outcome.code, outcome.out) == (0, f"module {generic}\n")
    assert seen == {"file": model, "pipeline": "tile{lanes=8}", "model": None, "board": "kv260"}
    target = tmp_path / "out.mlir"
    outcome = cli("opt", model, "-p", "tile", "-o", target, "--print-ir-after", "all", *options)
    assert target.read_text() == f"module {generic}\n"
    assert outcome.out == f"// -----// IR Dump After tile //----- //\nmodule {generic}\n"


class Report:
    """A verification report."""

    def __init__(self, passed: bool) -> None:
        self.passed = passed

    def lines(self) -> list[str]:
        return ["local: ok", "global: ok"]

    def to_json(self) -> dict[str, Any]:
        return {"passed": self.passed}


@pytest.mark.parametrize("passed", [True, False])
def test_verify(cli: Cli, install: Install, bundle: Path, passed: bool) -> None:
    seen: dict[str, Any] = {}

    def verify_bundle(bundle: Path, **options: Any) -> Report:
        seen.update(options)
        return Report(passed)

    install("tritloom.verify", verify_bundle=verify_bundle)
    outcome = cli("verify", bundle, "--tokens", "32", "--after-each-pass")
    assert (outcome.code, outcome.out) == (0 if passed else 1, "local: ok\nglobal: ok\n")
    given = {name: value for name, value in seen.items() if value is not None}
    assert given == {"tokens": 32, "after_each_pass": True}
    outcome = cli("verify", bundle, "--json")
    assert (outcome.code, json.loads(outcome.out)) == (0 if passed else 1, {"passed": passed})


def test_verify_takes_a_control(cli: Cli, install: Install, bundle: Path, model: Path) -> None:
    seen: dict[str, Any] = {}

    def verify_bundle(bundle: Path, **options: Any) -> Report:
        seen.update(options)
        return Report(True)

    install("tritloom.verify", verify_bundle=verify_bundle)
    assert cli("verify", bundle, "--control", model).code == 0
    assert seen["control"] == model
    assert cli("verify", bundle, "--control", model.parent / "none.onnx").code == 2


def test_eval(cli: Cli, install: Install, bundle: Path, model: Path) -> None:
    found = SimpleNamespace(tokens=10, bits_per_token=3.5, bits_per_byte=1.75)
    install("tritloom.verify", evaluate=lambda bundle, text: found)
    assert cli("eval", bundle, "--text", model).out == ("10 tokens: 3.5000 bits per token, 1.7500 bits per byte\n")
    assert json.loads(cli("eval", bundle, "--text", model, "--json").out) == {
        "tokens": 10,
        "bits_per_token": 3.5,
        "bits_per_byte": 1.75,
    }


class Session:
    """Stands for a loaded bundle."""

    tokenizer: object | None = object()
    vector: int | None = None
    label = ""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def generate(self, prompt: str, *, streamer: Any, **options: Any) -> Any:
        self.prompt, self.options = prompt, options
        if streamer is not None:
            streamer(" there")
            streamer(", you")
        return SimpleNamespace(text=" there, you", tokens=np.array([4, 5], np.uint32), tokens_per_second=61.25)

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="logits"), SimpleNamespace(name="state_out.0")]

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
        assert names == ["logits", "state_out.0"]
        return [feeds["input_ids"] * np.float32(2), np.zeros((1, 3), np.float32)]


@pytest.fixture
def session(install: Install) -> Session:
    session = Session()

    def load(bundle: Path, device: str | None) -> Session:
        session.label = "measured on board" if device is None else "simulated on the emulated device"
        return session

    install("tritloom.runtime", load=load, open_session=load)
    return session


def test_generate_streams_text(cli: Cli, session: Session, bundle: Path) -> None:
    outcome = cli("generate", bundle, "--prompt", "Hi", "-n", "2", "--device", "emulated")
    assert outcome.out == "Hi there, you\n"
    assert outcome.err == "2 tokens, 61.2 tokens/s (simulated on the emulated device)\n"
    assert session.options == {
        "max_new_tokens": 2,
        "do_sample": False,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "seed": None,
    }


def test_generate_without_a_tokenizer(cli: Cli, session: Session, bundle: Path) -> None:
    session.tokenizer = None
    assert cli("generate", bundle, "--prompt", "1 2", "-n", "2").code == 0
    assert session.prompt == [1, 2]
    outcome = cli("generate", bundle, "--prompt", "Hi", "-n", "2")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: the bundle has no tokenizer\nHint: give token ids: --prompt '1 2 3'\n"


def test_generate_shows_no_prompt_that_is_refused(
    cli: Cli, session: Session, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise InputError("prompt: token 99", "token ids go from 0 to 63")

    session.tokenizer = None
    monkeypatch.setattr(session, "generate", refuse)
    outcome = cli("generate", bundle, "--prompt", "99")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: prompt: token 99\nHint: token ids go from 0 to 63\n"


def test_generate_without_text_still_shows_the_prompt(
    cli: Cli, session: Session, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = SimpleNamespace(text=None, tokens=[4, 5], tokens_per_second=1.0)
    session.tokenizer = None
    monkeypatch.setattr(session, "generate", lambda *_, **__: result)
    assert cli("generate", bundle, "--prompt", "1 2").out == "1 2 4 5\n"


def test_generate_refuses_a_negative_seed(cli: Cli, session: Session, bundle: Path) -> None:
    outcome = cli("generate", bundle, "--prompt", "Hi", "--sample", "--seed", "-1")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: invalid value for '--seed': ")


def test_generate_json(cli: Cli, session: Session, bundle: Path) -> None:
    outcome = cli(
        "generate", bundle, "--prompt", "Hi", "--sample", "--temperature", "0.7", "--top-k", "40",
        "--top-p", "0.9", "--seed", "7", "--device", "board", "--json",
    )  # fmt: skip
    assert json.loads(outcome.out) == {
        "prompt": "Hi",
        "text": " there, you",
        "tokens": [4, 5],
        "tokens_per_second": 61.25,
        "label": "measured on board",
    }
    assert session.options["do_sample"] is True
    assert (session.options["temperature"], session.options["seed"]) == (0.7, 7)


def test_the_device_is_the_board_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "BOARD_SIGNS", (tmp_path / "absent", tmp_path))
    assert run.device_argument(run.Device.auto) is None
    monkeypatch.setattr(run, "BOARD_SIGNS", (tmp_path / "absent",))
    assert run.device_argument(run.Device.auto) == "emulated"


def test_run(cli: Cli, session: Session, bundle: Path, tmp_path: Path) -> None:
    inputs, outputs = tmp_path / "in.npz", tmp_path / "out"
    np.savez(inputs, input_ids=np.array([1, 2], np.int64))
    outcome = cli("run", bundle, "--inputs", inputs, "-o", outputs)
    assert outcome.code == 0
    assert outcome.err == "logits: float64 [2]\nstate_out.0: float32 [1, 3]\n"
    with np.load(outputs) as found:
        assert found.files == ["logits", "state_out.0"]
        assert found["logits"].tolist() == [2, 4]


@pytest.mark.parametrize("name", ["in.npz", "link.npz"])
def test_run_does_not_overwrite_its_inputs(cli: Cli, session: Session, bundle: Path, tmp_path: Path, name: str) -> None:
    inputs = tmp_path / "in.npz"
    np.savez(inputs, input_ids=np.array([1, 2], np.int64))
    (tmp_path / "link.npz").symlink_to(inputs)
    before = inputs.read_bytes()
    outcome = cli("run", bundle, "--inputs", inputs, "-o", tmp_path / name)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: {tmp_path / name} holds the inputs: it would be overwritten\nHint: give another file with -o\n"
    )
    assert inputs.read_bytes() == before


def test_run_refuses_other_files(cli: Cli, session: Session, bundle: Path, tmp_path: Path) -> None:
    text, array = tmp_path / "in.txt", tmp_path / "in.npy"
    text.write_text("hello")
    np.save(array, np.zeros(3))
    outcome = cli("run", bundle, "--inputs", text, "-o", tmp_path / "out.npz")
    assert outcome.code == 2
    assert outcome.err.startswith(f"error: {text} is not an .npz file: ")
    assert outcome.err.endswith("\nHint: write it with numpy.savez(path, input_ids=...)\n")
    outcome = cli("run", bundle, "--inputs", array, "-o", tmp_path / "out.npz")
    assert outcome.code == 2
    assert outcome.err == (
        f"error: {array} holds one array without a name\nHint: write it with numpy.savez(path, name=array)\n"
    )
    assert not (tmp_path / "out.npz").exists()


ESTIMATE = """\
A Board (estimated)
figure             value
tokens per second  1,235

Resources (estimated)
resource    used
LUT       40,000
DSP            9
"""

INSTRUCTIONS = """\
Cycles (estimated)
no.  instruction  bytes  stream  vector  barrier  cycles  bound
  0  embed            0       0      48       60     108  vector
  1  linear add   3,000      50      20       30      80  stream
"""


def test_estimate(cli: Cli, bundle: Path) -> None:
    assert cli("estimate", bundle).out == ESTIMATE
    assert cli("estimate", bundle, "--instructions").out == INSTRUCTIONS
    assert json.loads(cli("estimate", bundle, "--json").out)["clock_mhz"] == 250.0


def test_estimate_of_something_else(cli: Cli, bundle: Path) -> None:
    report = bundle / "report" / "report.json"
    for text, message in (("{", "is damaged: "), ("[]", "holds no estimate")):
        report.write_text(text)
        outcome = cli("estimate", bundle)
        assert outcome.code == 2
        assert outcome.err.startswith(f"error: {report} {message}")
        assert outcome.err.endswith("\nHint: compile the model again\n")
    report.unlink()
    outcome = cli("estimate", bundle)
    assert outcome.code == 2
    assert outcome.err == (
        f"error: {bundle} has no report/report.json\nHint: is it a bundle that 'tritloom compile' wrote?\n"
    )


def test_doctor(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = (
        doctor.Check("here", lambda: "1.2", "this"),
        doctor.Check("absent", doctor.program("no-such-program"), "that"),
    )
    monkeypatch.setattr(doctor, "CHECKS", checks)
    assert cli("doctor").out == "tool    version    needed for\nhere    1.2        this\nabsent  not found  that\n"
    assert json.loads(cli("doctor", "--json").out)[1] == {
        "name": "absent",
        "version": None,
        "needed_for": "that",
    }


def test_doctor_finds_versions(cli: Cli) -> None:
    found = {item["name"]: item["version"] for item in json.loads(cli("doctor", "--json").out)}
    assert found["Python"].startswith("3.")
    assert found["onnxruntime"] is not None
