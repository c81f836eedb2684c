"""Eight small graphs, 16 to 8, on which compilers for FPGAs fail: each compiles and verifies, or is refused.

A refusal says what to write instead. A graph may be fed by a token, through an embedding table, or by a vector of
floats. The engine takes tokens.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx_models import Net, random_trits
from skeleton import refusal
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


def compiled(name: str, output: Path, *options: str) -> Path:
    graph, quantise = COMPILED[name]
    model = fed_by_a_token(graph).save(output.parent)
    wish = ["--quantise-activations"] if quantise else []
    assert main(["compile", str(model), "-b", "kv260", "-o", str(output), *options, *wish]) == 0
    return output


@pytest.mark.parametrize("name", COMPILED)
def test_compiles(name: str, tmp_path: Path) -> None:
    compiled(name, tmp_path / "build")


@pytest.mark.long
@pytest.mark.parametrize("name", COMPILED)
def test_verifies(name: str, kernel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = compiled(name, tmp_path / "build", "--overlay", str(kernel))
    assert main(["verify", str(bundle), "--tokens", "32"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name, (_, quantise) in COMPILED.items() if quantise])
def test_float_activations_are_quantised_only_when_asked(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fed_by_a_token(COMPILED[name][0]).save(tmp_path)
    assert main(["compile", str(model), "-b", "kv260", "-o", str(tmp_path / "build")]) == 2
    told = capsys.readouterr().err
    assert FLOAT_ACTIVATIONS in told
    assert "--quantise-activations" in told
    assert not (tmp_path / "build").exists()


def test_an_output_that_is_no_product_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = fed_by_a_token(silu_at_the_end).save(tmp_path)
    output = str(tmp_path / "build")
    assert main(["compile", str(model), "-b", "kv260", "-o", output, "--quantise-activations"]) == 2
    assert "the engine gives one output, the rows of a last ternary product (the logits)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [model]


VECTORS = {
    "GRU": "a feed-forward net has one input, this model has 2: 'x' [1, 16], 'h' [1, 16]",
    "MatMul then Mul(scale)": "its activations are float: the input is not quantised",
    "DequantizeLinear": "its activations are float: the input is not quantised",
    "dynamic absmax quantiser": "it computes a scale from each input",
    "RMSNorm": "it computes a scale from each input",
    "LayerNormalization": "it normalises by statistics of each input",
    "SiLU": "its activations are float: the input is not quantised",
    "Gather embedding": "it computes a scale from each input",
}
"""A model without a token is a feed-forward net, which has static scales and no state."""


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_of_floats_is_refused_with_a_rewrite(name: str, tmp_path: Path) -> None:
    error = refusal(fed_by_a_vector(COMPILED[name][0]).save(tmp_path))
    assert VECTORS[name] in error.message
    if "it computes a scale" in VECTORS[name]:
        assert "feed a vector as the row of a table that the token picks: Gather(rows, token)" in error.message
