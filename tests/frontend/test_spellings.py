"""Quantisers of activations, norms and gates in the spellings of other tools, and what of them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from forms import fake_quantised, raw
from onnx import TensorProto
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


def static_quantizer(net: Net, x: str) -> str:
    operands = [net.const("s", np.asarray(0.1, np.float32)), net.const("z", np.asarray(0, np.int8))]
    codes = net.add("DequantizeLinear", net.add("QuantizeLinear", x, *operands), *operands)
    return net.add("Gemm", codes, net.trits("w", random_trits()), transB=1)


def dynamic_quantizer(net: Net, x: str) -> str:
    codes = net.add("DynamicQuantizeLinear", x, outputs=3)
    sums = net.add("MatMulInteger", codes, net.const("w", random_trits()), f"{codes}_2")
    return net.add("Mul", net.add("Cast", sums, to=TensorProto.FLOAT), f"{codes}_1")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (static_quantizer, "its step is not max|x|/127 of this very vector"),
        (dynamic_quantizer, "its codes are asymmetric (uint8 with a zero point)"),
    ],
)
def test_other_quantisers_are_other_models(build: Build, reason: str, tmp_path: Path) -> None:
    assert reason in only_block(net_of(build), tmp_path)[0]


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


# Gates


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
