"""Quantisers of activations, norms and gates in the spellings of other tools, and what of them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from forms import fake_quantised, raw
from onnx_models import VOCABULARY, WIDTH, Net, random_trits
from skeleton import import_net, model_of, only_block, op_names, refusal, scales
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.interpreter import Interpreter
from tritloom.ir.tern import RmsNormOp
from tritloom.verify.reference import Interface, Reference

GAIN = np.linspace(0.5, 2.0, WIDTH).astype(np.float32)
Build = Callable[[Net, str], str]


def net_of(build: Build, opset: int = 20) -> Net:
    net = Net(opset)
    net.output("y", build(net, net.token()))
    return net


def agrees(path: Path, imported: Imported, rtol: float = 1e-5) -> None:
    """Interpreter and onnxruntime on every token."""
    reference = Reference(path, Interface.of(model_of(imported)))
    tokens = list(range(VOCABULARY))
    want = reference.run(tokens).values["y"]
    got = Interpreter(imported.module, imported.store).run(tokens).outputs["y"]
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * np.abs(want).max())


# Activation quantisers


def largest(net: Net, x: str) -> str:
    return net.add("ReduceMax", net.add("Abs", x), net.axes(), keepdims=1)


def with_step(net: Net, x: str, step: str) -> str:
    return net.add("Clip", net.add("Round", net.add("Mul", x, step)), -128.0, 127.0)


def rescaled(net: Net, codes: str, step: str) -> str:
    return net.add("Div", net.add("Gemm", codes, net.trits("w", random_trits()), transB=1), step)


def of_extremes(net: Net, x: str) -> str:
    high = net.add("ReduceMax", x, net.axes(), keepdims=1)
    low = net.add("ReduceMin", x, net.axes(), keepdims=1)
    step = net.add("Div", 127.0, net.add("Max", high, net.add("Neg", low)))
    return rescaled(net, with_step(net, x, step), step)


def clamped_before(net: Net, x: str) -> str:
    step = net.add("Div", 127.0, largest(net, x))
    return rescaled(net, net.add("Round", net.add("Clip", net.add("Mul", x, step), -128.0, 127.0)), step)


def empty_inputs(net: Net, x: str) -> str:
    step = net.add("Div", 127.0, net.add("Clip", largest(net, x), 1e-5, ""))
    return rescaled(net, net.add("Clip", net.add("Round", net.add("Mul", x, step)), "", 127.0), step)


def computed_twice(net: Net, x: str) -> str:
    codes, _ = net.quantize(x)
    return rescaled(net, codes, net.step(x))


def quantize_linear(net: Net, x: str) -> str:
    step = net.add("Mul", largest(net, x), 1 / 127)
    zero = net.const("zero", np.asarray(0, np.int8))
    codes = net.add("QuantizeLinear", x, net.add("Squeeze", step), zero)
    back = net.add("DequantizeLinear", codes, net.add("Squeeze", step), zero)
    return net.add("Gemm", back, net.trits("w", random_trits()), transB=1)


def residue(net: Net, x: str) -> str:
    codes = net.add("Add", net.add("Sub", fake_quantised(net, x), x), x)
    return net.add("Gemm", codes, net.trits("w", random_trits()), transB=1)


def axes_as_attribute(net: Net, x: str) -> str:
    step = net.add("Div", 127.0, net.add("ReduceMax", net.add("Abs", x), axes=[-1], keepdims=1))
    return rescaled(net, with_step(net, x, step), step)


QUANTIZERS = [of_extremes, clamped_before, empty_inputs, computed_twice, quantize_linear, residue, axes_as_attribute]


@pytest.mark.parametrize("build", QUANTIZERS)
def test_absmax_quantiser(build: Build, tmp_path: Path) -> None:
    net = net_of(build, opset=13 if build is axes_as_attribute else 20)
    imported = import_net(net, tmp_path)
    assert op_names(imported) == ["embedding", "quantize_absmax", "dot", "dequantize", "return"]
    assert scales(imported) == [pytest.approx(1.0, rel=1e-6)]
    agrees(tmp_path / "net.onnx", imported)


def test_a_difference_that_is_no_residue_stays(tmp_path: Path) -> None:
    net = net_of(lambda net, x: net.add("Add", x, net.add("Sub", net.add("Sigmoid", x), x)))
    assert op_names(import_net(net, tmp_path)) == ["embedding", "sigmoid", "sub", "add", "return"]


# Norms


def without_epsilon(net: Net, x: str) -> str:
    mean = net.add("ReduceMean", net.add("Mul", x, x), net.axes(), keepdims=1)
    return net.add("Mul", net.add("Div", x, net.add("Sqrt", mean)), net.const("g", GAIN))


def sum_of_squares(net: Net, x: str) -> str:
    mean = net.add("Div", net.add("ReduceSumSquare", x, net.axes(), keepdims=1), float(WIDTH))
    return net.add("Mul", net.add("Div", x, net.add("Sqrt", net.add("Add", mean, 1e-6))), net.const("g", GAIN))


def simplified(net: Net, x: str) -> str:
    return net.add("SimplifiedLayerNormalization", x, net.const("g", GAIN), axis=-1, epsilon=1e-6)


@pytest.mark.parametrize(
    ("build", "eps", "opset"),
    [(without_epsilon, 0.0, 20), (sum_of_squares, 1e-6, 20), (simplified, 1e-6, 20), (simplified, 1e-6, 17)],
)
def test_rms_norm(build: Build, eps: float, opset: int, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(net_of(build, opset).model(), str(path))
    imported = import_onnx(path)
    assert op_names(imported) == ["embedding", "rms_norm", "return"]
    norm = next(op for op in model_of(imported).body.block.ops if isinstance(op, RmsNormOp))
    assert norm.eps.value.data == pytest.approx(eps)
    agrees(path, imported)


def test_skip_norm_is_a_sum_and_a_norm(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        skip, gain = net.add("Sigmoid", x), net.const("g", GAIN)
        normed = net.add("SkipSimplifiedLayerNormalization", x, skip, gain, outputs=4, domain="com.microsoft")
        return net.add("Add", normed, f"{normed}_3")

    net = net_of(build)
    for node in net.nodes:
        if node.op_type.startswith("Skip"):
            node.output[1] = node.output[2] = ""
    imported = import_net(net, tmp_path)
    assert op_names(imported) == ["embedding", "sigmoid", "add", "rms_norm", "add", "return"]
    agrees(tmp_path / "net.onnx", imported)


def two_vectors(net: Net) -> tuple[str, str]:
    return net.const("g", GAIN), net.const("b", GAIN[::-1].copy())


def layer_norm(net: Net, x: str) -> str:
    return net.add("LayerNormalization", x, *two_vectors(net), axis=-1, epsilon=0.05)


def written_out(net: Net, x: str) -> str:
    """As torch writes it below opset 17."""
    centred = net.add("Sub", x, net.add("ReduceMean", x, net.axes(), keepdims=1))
    variance = net.add("ReduceMean", net.add("Pow", centred, 2.0), net.axes(), keepdims=1)
    normed = net.add("Div", centred, net.add("Sqrt", net.add("Add", variance, 0.05)))
    gain, bias = two_vectors(net)
    return net.add("Add", net.add("Mul", normed, gain), bias)


def centred_twice(net: Net, x: str) -> str:
    """One difference for the variance, another for the quotient."""
    mean = net.add("ReduceMean", x, net.axes(), keepdims=1)
    squares = net.add("ReduceMean", net.add("Pow", net.add("Sub", x, mean), 2.0), net.axes(), keepdims=1)
    root = net.add("Sqrt", net.add("Add", squares, 0.05))
    gain, bias = two_vectors(net)
    return net.add("Add", net.add("Mul", net.add("Div", net.add("Sub", x, mean), root), gain), bias)


def skip_layer_norm(net: Net, x: str) -> str:
    skip = net.add("Sigmoid", x)
    return net.add("SkipLayerNormalization", x, skip, *two_vectors(net), domain="com.microsoft", epsilon=0.05)


@pytest.mark.parametrize("build", [layer_norm, written_out, centred_twice, skip_layer_norm])
def test_layer_norm(build: Build, tmp_path: Path) -> None:
    imported = import_net(net_of(build), tmp_path)
    before = ["sigmoid", "add"] if build is skip_layer_norm else []
    assert op_names(imported) == ["embedding", *before, "center", "rms_norm", "load", "add", "return"]
    norm = next(op for op in model_of(imported).body.block.ops if isinstance(op, RmsNormOp))
    assert norm.eps.value.data == pytest.approx(0.05)
    agrees(tmp_path / "net.onnx", imported)


def test_a_layer_norm_without_bias(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        return net.add("LayerNormalization", x, net.const("g", GAIN), net.const("b", np.zeros(WIDTH)), axis=1)

    assert op_names(import_net(net_of(build), tmp_path)) == ["embedding", "center", "rms_norm", "return"]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (
            lambda net, x: net.add("LayerNormalization", x, net.const("g", np.ones((1, WIDTH))), axis=0),
            "more than the last",
        ),
        (
            lambda net, x: net.add("LayerNormalization", x, net.add("Sigmoid", x), axis=-1),
            "its gain or bias is computed",
        ),
        (
            lambda net, x: net.add("LayerNormalization", x, net.const("g", GAIN), axis=-1, epsilon=-1.0),
            "the epsilon of its norm is -1; it must be zero or positive",
        ),
    ],
)
def test_a_layer_norm_that_is_refused(build: Build, reason: str, tmp_path: Path) -> None:
    assert reason in only_block(net_of(build), tmp_path)[0]


# Gates


def exact_gelu(net: Net, x: str) -> str:
    gate = net.add("Add", net.add("Erf", net.add("Div", x, 2**0.5)), 1.0)
    return net.add("Mul", net.add("Mul", x, gate), 0.5)


def half_first(net: Net, x: str) -> str:
    gate = net.add("Add", 1.0, net.add("Erf", net.add("Mul", x, 0.5**0.5)))
    return net.add("Mul", gate, net.add("Mul", 0.5, x))


def tanh_gelu(net: Net, x: str) -> str:
    inner = net.add("Mul", net.add("Add", x, net.add("Mul", net.add("Pow", x, 3.0), 0.044715)), (2 / np.pi) ** 0.5)
    return net.add("Mul", net.add("Mul", x, 0.5), net.add("Add", net.add("Tanh", inner), 1.0))


def microsoft(op: str, bias: bool = False) -> Build:
    def build(net: Net, x: str) -> str:
        return net.add(op, x, *([net.const("b", GAIN)] if bias else []), domain="com.microsoft")

    return build


GELUS: dict[str, Build] = {
    "Gelu": lambda net, x: net.add("Gelu", x),
    "Gelu by tanh": lambda net, x: net.add("Gelu", x, approximate="tanh"),
    "exact": exact_gelu,
    "half first": half_first,
    "tanh": tanh_gelu,
    "com.microsoft Gelu": microsoft("Gelu"),
    "BiasGelu": microsoft("BiasGelu", bias=True),
    "FastGelu": microsoft("FastGelu"),
    "FastGelu with a bias": microsoft("FastGelu", bias=True),
}


@pytest.mark.parametrize("form", GELUS)
@pytest.mark.parametrize("size", [1e-3, 1.0, 4.0, 40.0])
def test_gelu(form: str, size: float, tmp_path: Path) -> None:
    """Also of small values, where the gate is near a half, and of large ones, where it is 0 or 1."""
    table = np.random.default_rng(2).uniform(-size, size, (VOCABULARY, WIDTH)).astype(np.float32)
    net = Net()
    net.output("y", GELUS[form](net, net.token(table=table)))
    imported = import_net(net, tmp_path)
    assert set(op_names(imported)) <= {"embedding", "load", "fill", "mul", "add", "min", "sigmoid", "return"}
    agrees(tmp_path / "net.onnx", imported, rtol=2e-6)


def test_the_exact_gelu_is_one_pattern(tmp_path: Path) -> None:
    """Its Erf is no operation of its own: of small values it would lose the last places."""
    forms = [op_names(import_net(net_of(GELUS[form]), tmp_path)) for form in ("Gelu", "exact", "half first")]
    assert forms[0] == forms[1] == forms[2]
    assert forms[0].count("sigmoid") == 1


ELEMENTWISE: dict[str, tuple[Build, int]] = {
    "Erf": (lambda net, x: net.add("Erf", x), 20),
    "HardSwish": (lambda net, x: net.add("HardSwish", x), 20),
    "LeakyRelu": (lambda net, x: net.add("LeakyRelu", x, alpha=0.1), 20),
    "squared Relu": (lambda net, x: net.add("Pow", net.add("Relu", x), 2.0), 20),
    "cube": (lambda net, x: net.add("Pow", x, 3.0), 20),
}


@pytest.mark.parametrize("form", ELEMENTWISE)
def test_other_functions(form: str, tmp_path: Path) -> None:
    build, opset = ELEMENTWISE[form]
    agrees(tmp_path / "net.onnx", import_net(net_of(build, opset), tmp_path), rtol=2e-6)


def exponential(net: Net, x: str) -> str:
    return net.add("Div", x, net.add("Add", net.add("Exp", net.add("Neg", x)), 1.0))


def quick_gelu(alpha: float) -> Build:
    return lambda net, x: net.add("QuickGelu", x, alpha=alpha, domain="com.microsoft")


@pytest.mark.parametrize(
    ("build", "opset", "names"),
    [
        (exponential, 20, ["silu"]),
        (quick_gelu(1.0), 20, ["silu"]),
        (quick_gelu(1.5), 20, ["fill", "mul", "sigmoid", "mul"]),
        (lambda net, x: net.add("Swish", x), 24, ["silu"]),
        (lambda net, x: net.add("Swish", x, alpha=1.5), 24, ["fill", "mul", "sigmoid", "mul"]),
    ],
)
def test_silu(build: Build, opset: int, names: list[str], tmp_path: Path) -> None:
    imported = import_net(net_of(build, opset), tmp_path)
    assert op_names(imported) == ["embedding", *names, "return"]
    agrees(tmp_path / "net.onnx", imported, rtol=2e-6)


@pytest.mark.parametrize("alpha", [1.0, 1.5])
def test_swiglu(alpha: float, tmp_path: Path) -> None:
    """Opset 28, which onnx may not know yet."""

    def build(net: Net, x: str) -> str:
        return net.add("SwiGLU", x, net.add("Sigmoid", x), alpha=alpha)

    path = tmp_path / "net.onnx"
    net = net_of(build, 28)
    graph = onnx.helper.make_graph(net.nodes, "net", net.inputs, net.outputs, net.initializers)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 28)], ir_version=10), str(path))
    imported = import_onnx(path)
    gate = ["silu"] if alpha == 1.0 else ["fill", "mul", "sigmoid", "mul"]
    assert sorted(op_names(imported)) == sorted(["embedding", *gate, "sigmoid", "mul", "return"])
    agrees(path, imported, rtol=2e-6)


# Weights that are refused


def dequantized(scale: np.ndarray, **attributes: int) -> Build:
    def build(net: Net, x: str) -> str:
        weight = raw(net, "w", "INT8", np.where(random_trits() >= 0, 1, -1))
        matrix = net.add("DequantizeLinear", weight, net.const("s", scale.astype(np.float32)), **attributes)
        return net.add("Gemm", fake_quantised(net, x), matrix, transB=1)

    return build


@pytest.mark.parametrize(
    "build",
    [
        dequantized(np.linspace(1, 2, WIDTH), axis=1),
        dequantized(np.asarray([[1, 2]] * WIDTH), axis=1, block_size=4),
    ],
)
def test_scales_that_differ_inside_of_a_row(build: Build, tmp_path: Path) -> None:
    error = refusal(net_of(build, opset=21).save(tmp_path))
    assert error.message == "tensor 'w' has scales that differ inside of a row (row 0: 1 to 2)"
    assert "train with one scale for the tensor, or one for each output" in error.hint


def test_blocks_of_zeros_have_any_scale(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        trits = random_trits()
        trits[:, 4:] = 0
        scale = np.tile(np.asarray([0.5, 0.0], np.float32), (WIDTH, 1))
        weight = net.add("DequantizeLinear", net.const("w", trits), net.const("s", scale), axis=1, block_size=4)
        return net.add("Gemm", fake_quantised(net, x), weight, transB=1)

    assert scales(import_net(net_of(build, opset=21), tmp_path)) == [0.5]


def test_a_scale_along_the_inputs(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        matrix = net.add("Mul", net.trits("w", random_trits()), net.const("s", GAIN.reshape(1, -1)))
        return net.add("Gemm", fake_quantised(net, x), matrix, transB=1)

    assert "its scale runs along the inputs of the weight" in only_block(net_of(build), tmp_path)[0]


@pytest.mark.parametrize(
    ("bits", "narrow", "told"),
    [(2.0, 0, "bit width 2, signed 1, narrow 0"), (4.0, 1, "bit width 4, signed 1, narrow 1")],
)
def test_quant_that_is_not_ternary(bits: float, narrow: int, told: str, tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        weight = net.const("w", random_trits().astype(np.float32))
        matrix = net.add("Quant", weight, 1.0, 0.0, bits, domain="onnx.brevitas", signed=1, narrow=narrow)
        return net.add("Gemm", fake_quantised(net, x), matrix, transB=1)

    assert f"its codes are not ternary ({told})" in only_block(net_of(build), tmp_path)[0]


def test_bipolar_weights_are_ternary(tmp_path: Path) -> None:
    masters = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)

    def build(net: Net, x: str) -> str:
        matrix = net.add("BipolarQuant", net.const("w", masters), 0.5, domain="qonnx.custom_op.general")
        return net.add("Gemm", fake_quantised(net, x), matrix, transB=1)

    imported = import_net(net_of(build), tmp_path)
    assert scales(imported) == [0.5]
    np.testing.assert_array_equal(imported.store.trits("w"), np.where(masters >= 0, 1, -1))


def test_codes_that_are_not_ternary(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        codes = np.full((WIDTH, 1, 4), 0b11100100, np.uint8)
        operands = [fake_quantised(net, x), net.const("w", codes), net.const("s", np.ones((WIDTH, 1), np.float32))]
        sizes = {"K": WIDTH, "N": WIDTH, "bits": 2, "block_size": 16}
        return net.add("MatMulNBits", *operands, domain="com.microsoft", **sizes)

    message = refusal(net_of(build).save(tmp_path)).message
    assert "is not ternary: 4 distinct values" in message
    assert "-2: 16, -1: 16, 0: 16, 1: 16" in message


def test_act_order_is_refused_by_name(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        operands = [fake_quantised(net, x), net.const("w", np.zeros((WIDTH, 1, 4), np.uint8))]
        operands += [net.const("s", np.ones(WIDTH, np.float32)), "", net.const("order", np.zeros(WIDTH, np.int32))]
        sizes = {"K": WIDTH, "N": WIDTH, "bits": 2, "block_size": 16}
        return net.add("MatMulNBits", *operands, domain="com.microsoft", **sizes)

    line = only_block(net_of(build), tmp_path)[0]
    assert line.startswith("  com.microsoft::MatMulNBits: ")
    assert "act-order indices" in line


def test_stacked_states(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.token()))
    net.input("state", (2, WIDTH))
    error = refusal(net.save(tmp_path))
    assert error.message == "input 'state' [2, 8] stacks 2 states in one tensor"
    assert error.hint.startswith("give each layer a state of its own, an input and an output [1, 8]")


def test_a_bias_is_scaled_by_beta(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        bias = net.const("b", GAIN)
        return net.add("Gemm", fake_quantised(net, x), net.trits("w", random_trits()), bias, transB=1, beta=0.5)

    imported = import_net(net_of(build), tmp_path)
    assert op_names(imported) == ["embedding", "quantize_absmax", "dot", "dequantize", "load", "add", "return"]
    agrees(tmp_path / "net.onnx", imported)
