"""Eight small graphs, 16 to 8, on which compilers for FPGAs fail: each compiles and verifies, or is refused.

A refusal says what to write instead. A graph is fed by a token, through an embedding table, or by a vector of floats.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx_models import Net, random_trits
from tritloom.cli import main

INPUTS, OUTPUTS = 16, 8
SCALE = 0.25
Graph = Callable[[Net, str], str]


def matrix(net: Net, rows: int = OUTPUTS, name: str = "w", scale: float = 1.0) -> str:
    """[in, out] floats."""
    trits = random_trits(rows, INPUTS, len(name))
    return net.const(name, np.ascontiguousarray(trits.T).astype(np.float32) * np.float32(scale))


def matmul_and_scale(net: Net, x: str) -> str:
    return net.add("Mul", net.add("MatMul", x, matrix(net)), SCALE)


def dequantize_linear(net: Net, x: str) -> str:
    trits = net.const("w", np.ascontiguousarray(random_trits(OUTPUTS, INPUTS).T))
    return net.add("MatMul", x, net.add("DequantizeLinear", trits, net.const("s", np.asarray(SCALE, np.float32))))


def bitnet(net: Net, x: str) -> str:
    return net.bitlinear(x, "w", random_trits(OUTPUTS, INPUTS), SCALE)


def rms_norm(net: Net, x: str) -> str:
    return matmul_and_scale(net, net.rms_norm(x, np.linspace(0.5, 1.5, INPUTS, dtype=np.float32)))


def layer_norm(net: Net, x: str) -> str:
    gain, bias = (net.const(name, np.linspace(0.5, 1.5, INPUTS, dtype=np.float32)) for name in ("gain", "bias"))
    return matmul_and_scale(net, net.add("LayerNormalization", x, gain, bias, axis=-1, epsilon=1e-6))


def silu(net: Net, x: str) -> str:
    inner = net.add("MatMul", x, matrix(net, INPUTS, "inner", SCALE))
    return matmul_and_scale(net, net.add("Mul", inner, net.add("Sigmoid", inner)))


def silu_at_the_end(net: Net, x: str) -> str:
    y = matmul_and_scale(net, x)
    return net.add("Mul", y, net.add("Sigmoid", y))


def embedding(net: Net, x: str) -> str:
    return net.bitlinear(x, "head", random_trits(OUTPUTS, INPUTS), SCALE)


def gru(net: Net, x: str) -> str:
    weights = [
        net.const(name, random_trits(3 * INPUTS, INPUTS, seed)[np.newaxis] * np.float32(SCALE))
        for seed, name in enumerate("WR")
    ]
    three = net.const("three", np.asarray([1, 1, INPUTS]))
    h = net.add("Reshape", net.input("h", (1, INPUTS)), three)
    y = net.add(
        "GRU", net.add("Reshape", x, three), *weights, "", "", h, outputs=2, hidden_size=INPUTS, linear_before_reset=1
    )
    flat = net.const("flat", np.asarray([1, INPUTS]))
    net.output("h.out", net.add("Reshape", f"{y}_1", flat), (1, INPUTS))
    return matmul_and_scale(net, net.add("Reshape", y, flat))


FLOAT_ACTIVATIONS = "its activations are float: no absmax quantiser is in front of it"
FLOAT_INPUT = "its activations are float: the input is not quantised"
"""What a net is told, which a vector without state and norms is taken for."""
COMPILED: dict[str, tuple[Graph, bool]] = {
    "GRU": (gru, True),
    "MatMul then Mul(scale)": (matmul_and_scale, True),
    "DequantizeLinear": (dequantize_linear, True),
    "dynamic absmax quantiser": (bitnet, False),
    "RMSNorm": (rms_norm, True),
    "LayerNormalization": (layer_norm, True),
    "SiLU": (silu, True),
    "Gather embedding": (embedding, False),
}
"""The graph, and whether its activations are float, so that quantising them has to be asked for."""


def fed_by_a_token(graph: Graph) -> Net:
    net = Net()
    table = np.random.default_rng(1).normal(size=(32, INPUTS)).astype(np.float32)
    net.output("y", graph(net, net.token((1,), table)), (1, OUTPUTS))
    return net


def fed_by_a_vector(graph: Graph) -> Net:
    net = Net()
    net.output("y", graph(net, net.input("x", (1, INPUTS))), (1, OUTPUTS))
    return net


FED = {"token": fed_by_a_token, "vector": fed_by_a_vector}
ALL = [(name, fed) for fed in FED for name in COMPILED]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bundle of the GRU, whose kernel is large enough for all, and a folder for that kernel's builds."""
    pytest.importorskip("pynq")
    for tool in ("make", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("acceptance")
    own = {"XDG_CACHE_HOME": str(folder / "kernels"), "CXXFLAGS": "-O1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    model = fed_by_a_token(gru).save(folder)
    assert main(["compile", str(model), "-b", "kv260", "-o", str(folder / "gru"), "--quantise-activations"]) == 0
    yield folder / "gru"
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


def compiled(name: str, fed: str, output: Path, *options: str) -> Path:
    graph, quantise = COMPILED[name]
    model = FED[fed](graph).save(output.parent)
    wish = ["--quantise-activations"] if quantise else []
    assert main(["compile", str(model), "-b", "kv260", "-o", str(output), *options, *wish]) == 0
    return output


@pytest.mark.parametrize(("name", "fed"), ALL)
def test_compiles(name: str, fed: str, tmp_path: Path) -> None:
    compiled(name, fed, tmp_path / "build")


@pytest.mark.long
@pytest.mark.parametrize(("name", "fed"), ALL)
def test_verifies(name: str, fed: str, kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = compiled(name, fed, tmp_path / "build", "--overlay", str(kernel))
    assert main(["verify", str(bundle), "--tokens", "32"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(("name", "fed"), [(name, fed) for name, fed in ALL if COMPILED[name][1]])
def test_float_activations_are_quantised_only_when_asked(
    name: str, fed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = FED[fed](COMPILED[name][0]).save(tmp_path)
    assert main(["compile", str(model), "-b", "kv260", "-o", str(tmp_path / "build")]) == 2
    told = capsys.readouterr().err
    assert FLOAT_ACTIVATIONS in told or (fed == "vector" and FLOAT_INPUT in told)
    assert "--quantise-activations" in told
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("fed", FED)
def test_an_output_that_is_no_product_is_refused(fed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = FED[fed](silu_at_the_end).save(tmp_path)
    output = str(tmp_path / "build")
    assert main(["compile", str(model), "-b", "kv260", "-o", output, "--quantise-activations"]) == 2
    assert "the engine gives one output, the rows of a last ternary product (the logits)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [model]


def test_more_logits_than_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A logit may become the next token, which then has no row."""
    net = Net()
    table = np.ones((OUTPUTS - 1, INPUTS), np.float32)
    net.output("y", bitnet(net, net.token((1,), table)), (1, OUTPUTS))
    model = net.save(tmp_path)
    assert main(["compile", str(model), "-b", "kv260", "-o", str(tmp_path / "build")]) == 2
    told = capsys.readouterr().err
    assert "output 'y' has 8 logits, and the embedding table has rows for 7 tokens only" in told.replace("\n", " ")
    assert list(tmp_path.iterdir()) == [model]
