"""Asymmetric and fixed quantisers of activations, in the spellings of the tools that write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnx_models import VOCABULARY, WIDTH, Net, random_trits
from skeleton import import_net, model_of, only_block, op_names, scales
from tritloom.frontend import Imported
from tritloom.ir.interpreter import Interpreter
from tritloom.ir.tern import QuantizeStaticOp
from tritloom.verify.reference import Interface, Reference

Build = Callable[[Net, str], str]
BIAS = np.linspace(-1, 1, WIDTH).astype(np.float32)
STEP = 0.03


def net_of(build: Build, opset: int = 20) -> Net:
    net = Net(opset)
    net.output("y", build(net, net.token()))
    return net


def agrees(folder: Path, imported: Imported) -> None:
    """Interpreter and onnxruntime on every token; a code at a tie moves a sum by a step or two."""
    reference = Reference(folder / "net.onnx", Interface.of(model_of(imported)))
    tokens = list(range(VOCABULARY))
    want = reference.run(tokens).values["y"]
    got = Interpreter(imported.module, imported.store).run(tokens).outputs["y"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())


def floats(net: Net, value: str) -> str:
    return net.add("Cast", value, to=TensorProto.FLOAT)


# DynamicQuantizeLinear


def matmul_integer(net: Net, x: str) -> str:
    codes = net.add("DynamicQuantizeLinear", x, outputs=3)
    sums = net.add("MatMulInteger", codes, net.const("w", random_trits()), f"{codes}_2")
    return net.add("Mul", net.add("Mul", floats(net, sums), f"{codes}_1"), 0.25)


def scale_of_both(net: Net, x: str) -> str:
    """As onnxruntime's quantize_dynamic has it: the scales are multiplied first, the bias is added last."""
    codes = net.add("DynamicQuantizeLinear", x, outputs=3)
    weight, zero = net.const("w", random_trits() * 126 + 1), net.const("wz", np.asarray(1, np.int8))
    sums = net.add("MatMulInteger", codes, weight, f"{codes}_2", zero)
    scaled = net.add("Mul", floats(net, sums), net.add("Mul", f"{codes}_1", 0.25 / 126))
    return net.add("Add", scaled, net.const("b", BIAS))


def dequantised(net: Net, x: str) -> str:
    codes = net.add("DynamicQuantizeLinear", x, outputs=3)
    back = net.add("DequantizeLinear", codes, f"{codes}_1", f"{codes}_2")
    return net.add("Gemm", back, net.const("w", random_trits().astype(np.float32) * np.float32(0.25)), transB=1)


def microsoft(net: Net, x: str) -> str:
    operands = [
        x,
        net.const("w", random_trits()),
        net.const("s", np.asarray([0.25], np.float32)),
        "",
        net.const("b", BIAS),
    ]
    return net.add("DynamicQuantizeMatMul", *operands, domain="com.microsoft")


def microsoft_in_two(net: Net, x: str) -> str:
    codes = net.add("DynamicQuantizeLinear", x, outputs=3)
    scale, zero = net.const("s", np.asarray([0.25], np.float32)), net.const("wz", np.asarray([0], np.int8))
    operands = [codes, net.const("w", random_trits()), f"{codes}_1", scale, f"{codes}_2", zero, net.const("b", BIAS)]
    return net.add("MatMulIntegerToFloat", *operands, domain="com.microsoft")


RANGES = [matmul_integer, scale_of_both, dequantised, microsoft, microsoft_in_two]


@pytest.mark.parametrize("build", RANGES)
def test_range_quantiser(build: Build, tmp_path: Path) -> None:
    imported = import_net(net_of(build), tmp_path)
    bias = ["load", "add"] if build not in (matmul_integer, dequantised) else []
    assert op_names(imported) == ["embedding", "quantize_range", "dot", "dequantize", *bias, "return"]
    assert scales(imported) == [pytest.approx(0.25, rel=1e-6)]
    agrees(tmp_path, imported)


def test_scales_of_rows_behind_a_range(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        scale = net.const("s", np.linspace(0.1, 0.9, WIDTH).astype(np.float32))
        return net.add("DynamicQuantizeMatMul", x, net.const("w", random_trits()), scale, domain="com.microsoft")

    imported = import_net(net_of(build), tmp_path)
    assert op_names(imported) == ["embedding", "quantize_range", "dot", "dequantize", "load", "mul", "return"]
    agrees(tmp_path, imported)


def test_another_zero_point_than_the_quantiser_s(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        codes = net.add("DynamicQuantizeLinear", x, outputs=3)
        other = net.add("DynamicQuantizeLinear", net.add("Sigmoid", x), outputs=3)
        sums = net.add("MatMulInteger", codes, net.const("w", random_trits()), f"{other}_2")
        return net.add("Mul", floats(net, sums), f"{codes}_1")

    line = only_block(net_of(build), tmp_path)[0]
    assert "MatMulInteger: its activations have another zero point than their quantiser" in line


def test_codes_whose_zero_stays(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        codes = net.add("DynamicQuantizeLinear", x, outputs=3)
        sums = net.add("MatMulInteger", codes, net.const("w", random_trits()))
        return net.add("Mul", floats(net, sums), f"{codes}_1")

    assert "have another zero point than their quantiser" in only_block(net_of(build), tmp_path)[0]


def test_another_scale_than_the_quantiser_s(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        codes = net.add("DynamicQuantizeLinear", x, outputs=3)
        other = net.add("DynamicQuantizeLinear", net.add("Sigmoid", x), outputs=3)
        sums = net.add("MatMulInteger", codes, net.const("w", random_trits()), f"{codes}_2")
        return net.add("Mul", floats(net, sums), f"{other}_1")

    assert "its integer sums are used without the scale of their codes" in only_block(net_of(build), tmp_path)[0]


# Fixed steps


def operands(net: Net, zero: int, kind: type[np.generic], step: float = STEP) -> list[str]:
    return [net.const("s", np.asarray(step, np.float32)), net.const("z", np.asarray(zero, kind))]


def qdq(zero: int, kind: type[np.generic]) -> Build:
    def build(net: Net, x: str) -> str:
        grid = operands(net, zero, kind)
        back = net.add("DequantizeLinear", net.add("QuantizeLinear", x, *grid), *grid)
        return net.add("Gemm", back, net.const("w", random_trits().astype(np.float32) * np.float32(0.25)), transB=1)

    return build


def qcdq(net: Net, x: str) -> str:
    grid = operands(net, 0, np.int8)
    codes = net.add("QuantizeLinear", x, *grid)
    low, high = (net.const(name, np.asarray(bound, np.int8)) for name, bound in (("low", -7), ("high", 7)))
    back = net.add("DequantizeLinear", net.add("Clip", codes, low, high), *grid)
    return net.add("Gemm", back, net.const("w", random_trits().astype(np.float32) * np.float32(0.25)), transB=1)


def integer_product(net: Net, x: str) -> str:
    codes = net.add("QuantizeLinear", x, *operands(net, 100, np.uint8))
    sums = net.add("MatMulInteger", codes, net.const("w", random_trits()), "z")
    return net.add("Mul", floats(net, sums), STEP * 0.25)


def rounded(zero: float) -> Build:
    """As torch writes a learned step, with and without a zero point."""

    def build(net: Net, x: str) -> str:
        codes = net.add("Round", net.add("Div", x, STEP))
        if zero:
            codes = net.add("Add", codes, zero)
        codes = net.add("Clip", codes, -128.0 + zero, 127.0)
        if zero:
            codes = net.add("Sub", codes, zero)
        back = net.add("Mul", codes, STEP)
        return net.add("Gemm", back, net.const("w", random_trits().astype(np.float32) * np.float32(0.25)), transB=1)

    return build


def clamped_before(net: Net, x: str) -> str:
    codes = net.add("Round", net.add("Clip", net.add("Mul", x, 1 / STEP), -8.0, 7.0))
    return net.add("Gemm", net.add("Mul", codes, STEP), net.const("w", random_trits().astype(np.float32) / 4), transB=1)


FIXED = {
    "int8": (qdq(0, np.int8), (0, -128, 127, 0)),
    "int8 with a zero": (qdq(-3, np.int8), (-3, -128, 127, 0)),
    "uint8": (qdq(128, np.uint8), (0, -128, 127, 128)),
    "uint8 with a zero": (qdq(9, np.uint8), (-119, -128, 127, 128)),
    "QCDQ": (qcdq, (0, -7, 7, 0)),
    "integer product": (integer_product, (-28, -128, 127, 128)),
    "Round": (rounded(0), (0, -128, 127, 0)),
    "Round with a zero": (rounded(5.0), (5, -123, 127, 0)),
    "clamped before": (clamped_before, (0, -8, 7, 0)),
}


@pytest.mark.parametrize("form", FIXED)
def test_fixed_step(form: str, tmp_path: Path) -> None:
    build, codes = FIXED[form]
    imported = import_net(net_of(build), tmp_path)
    assert op_names(imported) == ["embedding", "quantize_static", "dot", "dequantize", "return"]
    op = next(op for op in model_of(imported).body.block.ops if isinstance(op, QuantizeStaticOp))
    assert tuple(number.value.data for number in (op.zero_code, op.low, op.high, op.offset)) == codes
    assert op.step.value.data == pytest.approx(STEP, rel=1e-6)
    assert scales(imported) == [pytest.approx(0.25, rel=1e-6)]
    agrees(tmp_path, imported)


def test_quant_of_an_activation(tmp_path: Path) -> None:
    """onnxruntime has no QONNX: it is compared with the same net in Round and Clip."""

    def quant(net: Net, x: str) -> str:
        back = net.add("Quant", x, STEP, 0.0, 4.0, domain="qonnx.custom_op.general", signed=1, narrow=0)
        return net.add("Gemm", back, net.const("w", random_trits().astype(np.float32) / 4), transB=1)

    one, other = (import_net(net_of(build), tmp_path) for build in (quant, clamped_before))
    assert op_names(one) == op_names(other)
    tokens = list(range(VOCABULARY))
    got, want = (Interpreter(each.module, each.store).run(tokens).outputs["y"] for each in (one, other))
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda net, x: net.add("Round", net.add("Mul", x, 8.0)), "nothing bounds its codes"),
        (
            lambda net, x: net.add("Clip", net.add("Round", net.add("Mul", x, 8.0)), -512.0, 511.0),
            "its codes are -512..511 with 0 for 0",
        ),
        (
            lambda net, x: net.add("Clip", net.add("Add", net.add("Round", net.add("Mul", x, 8.0)), 300.0), 0.0, 255.0),
            "its codes are 0..255 with 300 for 0",
        ),
    ],
)
def test_what_is_no_quantiser_of_8_bits(build: Build, reason: str, tmp_path: Path) -> None:
    def product(net: Net, x: str) -> str:
        return net.add("Gemm", build(net, x), net.const("w", random_trits().astype(np.float32)), transB=1)

    assert reason in only_block(net_of(product), tmp_path)[0]


def test_the_zero_that_is_taken_off_is_another(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        codes = net.add("Clip", net.add("Add", net.add("Round", net.add("Div", x, STEP)), 4.0), -128.0, 127.0)
        back = net.add("Mul", net.add("Sub", codes, 3.0), STEP)
        return net.add("Gemm", back, net.const("w", random_trits().astype(np.float32)), transB=1)

    assert "3 is taken off its codes, whose zero is 4" in only_block(net_of(build), tmp_path)[0]


def test_a_zero_point_of_the_dequantisation_that_is_another(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        codes = net.add("QuantizeLinear", x, *operands(net, 100, np.uint8))
        back = net.add("DequantizeLinear", codes, "s", net.const("other", np.asarray(99, np.uint8)))
        return net.add("Gemm", back, net.const("w", random_trits().astype(np.float32)), transB=1)

    assert "have another zero point than their quantiser" in only_block(net_of(build), tmp_path)[0]


@settings(max_examples=40, deadline=None)
@given(
    step=st.floats(2.0**-10, 1.0, width=32),
    kind=st.sampled_from([np.int8, np.uint8]),
    zero=st.integers(0, 127),
    seed=st.integers(0, 99),
)
def test_any_static_grid(
    step: float, kind: type[np.generic], zero: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def build(net: Net, x: str) -> str:
        grid = operands(net, zero, kind, step)
        back = net.add("DequantizeLinear", net.add("QuantizeLinear", x, *grid), *grid)
        return net.add("Gemm", back, net.const("w", random_trits(seed=seed).astype(np.float32)), transB=1)

    folder = tmp_path_factory.mktemp("grid")
    imported = import_net(net_of(build), folder)
    np.testing.assert_array_equal(imported.store.trits("w"), random_trits(seed=seed))
    agrees(folder, imported)


# Values on a grid that stay floats


def weight(net: Net) -> str:
    return net.const("w", random_trits().astype(np.float32) * np.float32(0.25))


def qdq_around(net: Net, x: str, name: str, zero: int, kind: type[np.generic], step: float = STEP) -> str:
    grid = [net.const(f"{name}.s", np.asarray(step, np.float32)), net.const(f"{name}.z", np.asarray(zero, kind))]
    return net.add("DequantizeLinear", net.add("QuantizeLinear", x, *grid), *grid)


def everywhere(net: Net, x: str) -> str:
    """As static quantisation writes QDQ: around every operator, a value for a product and for a gate at once."""
    x = qdq_around(net, x, "x", 120, np.uint8)
    product = qdq_around(net, net.add("Gemm", x, weight(net), transB=1), "y", -5, np.int8, 0.0437)
    gate = qdq_around(net, net.add("Sigmoid", product), "gate", 0, np.uint8, 1 / 255)
    return net.add("Add", net.add("Mul", gate, x), product)


def on_another_grid(net: Net, x: str) -> str:
    codes = net.add("QuantizeLinear", x, *operands(net, 100, np.uint8))
    other = [net.const("t", np.asarray(0.04, np.float32)), net.const("u", np.asarray(98, np.uint8))]
    return net.add("Sigmoid", net.add("DequantizeLinear", codes, *other))


def fake_quantised(net: Net, x: str) -> str:
    codes = net.add("Clip", net.add("Round", net.add("Div", x, STEP)), -8.0, 7.0)
    grid = net.add("Mul", codes, STEP)
    return net.add("Add", net.add("Gemm", grid, weight(net), transB=1), grid)


def rounded_between(net: Net, x: str) -> str:
    return net.add("Sigmoid", net.add("Round", net.add("Clip", net.add("Mul", x, 2.0), -3.0, 3.0)))


def rounded_with_a_zero(net: Net, x: str) -> str:
    shifted = net.add("Add", net.add("Round", net.add("Div", x, STEP)), 3.0)
    return net.add("Sigmoid", net.add("Sub", net.add("Clip", shifted, 0.0, 15.0), 3.0))


GRIDS = [everywhere, on_another_grid, fake_quantised, rounded_between, rounded_with_a_zero]


@pytest.mark.parametrize("build", GRIDS)
def test_grid(build: Build, tmp_path: Path) -> None:
    imported = import_net(net_of(build), tmp_path)
    assert ("quantize_static" in op_names(imported)) == (build in (everywhere, fake_quantised))
    agrees(tmp_path, imported)


def test_a_grid_is_onnx_s_bit_for_bit(tmp_path: Path) -> None:
    """Ties and both ends included."""
    table = (np.arange(-320, 320, dtype=np.float32) * np.float32(0.5)).reshape(VOCABULARY, -1)

    def build(net: Net) -> None:
        net.output("y", qdq_around(net, net.token(table=table), "x", 7, np.int8, 1.0), (1, table.shape[1]))

    net = Net()
    build(net)
    imported = import_net(net, tmp_path)
    tokens = list(range(VOCABULARY))
    want = Reference(tmp_path / "net.onnx", Interface.of(model_of(imported))).run(tokens).values["y"]
    got = Interpreter(imported.module, imported.store).run(tokens).outputs["y"]
    np.testing.assert_array_equal(got, want)
    assert {-135.0, 120.0} <= set(np.unique(want))


def test_a_round_that_nothing_bounds(tmp_path: Path) -> None:
    net = net_of(lambda net, x: net.add("Sigmoid", net.add("Round", x)))
    assert "nothing bounds its codes" in only_block(net, tmp_path)[0]


# QLinear operators


def q_linear(net: Net, x: str) -> str:
    """As static quantisation writes integer operators: codes go from one to the next."""

    def grid(name: str, step: float, zero: int) -> list[str]:
        return [
            net.const(f"{name}.s", np.asarray(step, np.float32)),
            net.const(f"{name}.z", np.asarray(zero, np.uint8)),
        ]

    x_grid, w_grid, y_grid = grid("x", STEP, 120), grid("w", 0.25, 0), grid("y", 0.0437, 131)
    w_grid[1] = net.const("w.zero", np.asarray(0, np.int8))
    codes = net.add("QuantizeLinear", x, *x_grid)
    sums = net.add("QLinearMatMul", codes, *x_grid, net.const("w", random_trits()), *w_grid, *y_grid)
    gate_grid, result_grid = grid("gate", 1 / 255, 0), grid("result", 0.06, 100)
    gate = net.add("QLinearSigmoid", sums, *y_grid, *gate_grid, domain="com.microsoft")
    gated = net.add("QLinearMul", gate, *gate_grid, codes, *x_grid, *result_grid, domain="com.microsoft")
    total = net.add("QLinearAdd", gated, *result_grid, sums, *y_grid, *result_grid, domain="com.microsoft")
    return net.add("DequantizeLinear", total, *result_grid)


def test_q_linear_operators(tmp_path: Path) -> None:
    """onnxruntime's own kernels, not what they are written out as; a tie of theirs is a step."""
    imported = import_net(net_of(q_linear), tmp_path)
    assert op_names(imported).count("quantize_static") == 1
    tokens = list(range(VOCABULARY))
    got = Interpreter(imported.module, imported.store).run(tokens).outputs["y"]
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    want = np.stack([session.run(None, {"input_ids": np.array([token])})[0][0] for token in tokens])
    steps = np.round((got - want) / 0.06)
    assert np.abs(steps).max() <= 1
    assert np.count_nonzero(steps) < 0.005 * steps.size
    assert np.unique(want).size > 20
