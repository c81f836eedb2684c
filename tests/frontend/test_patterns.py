"""Each pattern in the spellings that it accepts, and beside it what it must leave alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from onnx_models import VOCABULARY, WIDTH, Net, random_trits
from skeleton import import_net, model_of, op_counts, op_names, refusal, scales, weights
from tritloom.frontend import Imported
from tritloom.ir.bindings import bound_tensor
from tritloom.ir.interpreter import Interpreter
from tritloom.ir.tern import DotOp, QuantizeAbsmaxOp, RmsNormOp, SliceOp, TableOp

GAIN = np.linspace(0.5, 2.0, WIDTH).astype(np.float32)


def one_op(build: Callable[[Net, str], str], folder: Path, opset: int = 20, width: int = WIDTH) -> Imported:
    """token -> embedding -> build -> output."""
    net = Net(opset)
    net.output("y", build(net, net.token()), (1, width))
    return import_net(net, folder)


def trits_of(imported: Imported) -> NDArray[np.int8]:
    return imported.store.trits(weights(imported)[0].sym_name.data)


# RMSNorm


def norm_pow(net: Net, x: str) -> str:
    return net.rms_norm(x, GAIN)


def norm_legacy(net: Net, x: str) -> str:
    mean = net.add("ReduceMean", net.add("Mul", x, x), net.axes(), keepdims=1)
    return net.add("Mul", net.const("g", GAIN), net.add("Div", x, net.add("Sqrt", net.add("Add", 1e-6, mean))))


def norm_gain_first(net: Net, x: str) -> str:
    mean = net.add("ReduceMean", net.add("Pow", x, 2.0), net.axes(), keepdims=1)
    inverse = net.add("Pow", net.add("Add", mean, 1e-6), -0.5)
    return net.add("Mul", net.add("Mul", x, net.const("g", GAIN)), inverse)


def norm_divided_one(net: Net, x: str) -> str:
    mean = net.add("ReduceMean", net.add("Pow", x, 2.0), net.axes(), keepdims=1)
    inverse = net.add("Div", 1.0, net.add("Sqrt", net.add("Add", mean, 1e-6)))
    return net.add("Mul", x, net.add("Mul", inverse, net.const("g", GAIN)))


def norm_fused(net: Net, x: str) -> str:
    return net.add("RMSNormalization", x, net.const("g", GAIN), axis=-1, epsilon=1e-6)


@pytest.mark.parametrize("build", [norm_pow, norm_legacy, norm_gain_first, norm_divided_one, norm_fused])
def test_rms_norm(build: Callable[[Net, str], str], tmp_path: Path) -> None:
    imported = one_op(build, tmp_path, opset=23 if build is norm_fused else 20)
    assert op_names(imported) == ["embedding", "rms_norm", "return"]
    norm = next(op for op in model_of(imported).body.block.ops if isinstance(op, RmsNormOp))
    assert norm.eps.value.data == pytest.approx(1e-6)
    np.testing.assert_array_equal(imported.store.root_vector(norm.gain.root_reference.data), GAIN)


def test_rms_norm_without_gain_gets_ones(tmp_path: Path) -> None:
    imported = one_op(lambda net, x: net.rms_norm(x), tmp_path)
    assert op_names(imported) == ["embedding", "rms_norm", "return"]
    np.testing.assert_array_equal(imported.store.root_vector(f"ones_{WIDTH}"), np.ones(WIDTH, np.float32))


def test_one_norm_core_under_several_gains(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        core = net.rms_norm(x)
        return net.add("Add", net.add("Mul", core, net.const("g", GAIN)), net.add("Mul", core, net.const("h", -GAIN)))

    imported = one_op(build, tmp_path)
    assert op_names(imported) == ["embedding", "rms_norm", "rms_norm", "add", "return"]
    first, second = (op for op in model_of(imported).body.block.ops if isinstance(op, RmsNormOp))
    assert first.operand is second.operand


def test_a_gain_that_is_computed_stays_a_product(tmp_path: Path) -> None:
    imported = one_op(lambda net, x: net.add("Mul", net.rms_norm(x), net.add("Sigmoid", x)), tmp_path)
    assert op_counts(imported) == {"embedding": 1, "sigmoid": 1, "rms_norm": 1, "mul": 1, "return": 1}


# Quantiser


def codes_by_multiplication(net: Net, x: str) -> tuple[str, str]:
    return net.quantize(x)


def codes_without_clamp(net: Net, x: str) -> tuple[str, str]:
    step = net.step(x)
    return net.add("Round", net.add("Mul", step, x)), step


def codes_without_floor(net: Net, x: str) -> tuple[str, str]:
    largest = net.add("ReduceMax", net.add("Abs", x), net.axes(), keepdims=1)
    step = net.add("Div", 127.0, largest)
    return net.add("Clip", net.add("Round", net.add("Mul", x, step)), -127.0, 127.0), step


def codes_by_division(net: Net, x: str) -> tuple[str, str]:
    largest = net.add("Max", net.add("ReduceMax", net.add("Abs", x), net.axes(), keepdims=1), 1e-5)
    inverse = net.add("Div", largest, 127.0)
    codes = net.add("Max", net.add("Min", net.add("Round", net.add("Div", x, inverse)), 127.0), -128.0)
    return codes, net.add("Reciprocal", inverse)


QUANTIZERS = [codes_by_multiplication, codes_without_clamp, codes_without_floor, codes_by_division]


@pytest.mark.parametrize("quantize", QUANTIZERS)
def test_absmax_quantiser(quantize: Callable[[Net, str], tuple[str, str]], tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        codes, step = quantize(net, x)
        return net.add("Div", net.add("Gemm", codes, net.trits("w", random_trits()), transB=1), step)

    imported = one_op(build, tmp_path)
    assert op_names(imported) == ["embedding", "quantize_absmax", "dot", "dequantize", "return"]
    op = next(op for op in model_of(imported).body.block.ops if isinstance(op, QuantizeAbsmaxOp))
    assert bound_tensor(op.codes) is not None
    assert (bound_tensor(op.scale) is None) == (quantize is codes_by_division)
    assert scales(imported) == [1.0]


# Product


def scaled_before(net: Net, x: str, w: str) -> str:
    codes, step = net.quantize(x)
    return net.add("MatMul", net.add("Div", codes, step), net.add("Mul", net.add("Transpose", w, perm=[1, 0]), 0.25))


def scaled_after(net: Net, x: str, w: str) -> str:
    codes, step = net.quantize(x)
    return net.add("Mul", net.add("Gemm", codes, w, transB=1), net.add("Div", 0.25, step))


def scaled_in_two_steps(net: Net, x: str, w: str) -> str:
    codes, step = net.quantize(x)
    return net.add("Div", net.add("Mul", net.add("Gemm", codes, w, transB=1), 0.25), step)


def scaled_late(net: Net, x: str, w: str) -> str:
    codes, step = net.quantize(x)
    return net.add("Mul", 0.25, net.add("Div", net.add("Gemm", codes, w, transB=1), step))


def scaled_by_alpha(net: Net, x: str, w: str) -> str:
    codes, step = net.quantize(x)
    return net.add("Mul", net.add("Gemm", codes, w, transB=1, alpha=0.25), net.add("Reciprocal", step))


PRODUCTS = [scaled_before, scaled_after, scaled_in_two_steps, scaled_late, scaled_by_alpha]


def stored_int8(net: Net) -> str:
    return net.trits("w", random_trits(seed=5))


def stored_float(net: Net) -> str:
    values = random_trits(seed=5).astype(np.float32)
    values[values == 0] = -0.0
    return net.const("w", values)


@pytest.mark.parametrize("store", [stored_int8, stored_float])
@pytest.mark.parametrize("product", PRODUCTS)
def test_ternary_product(product: Callable[[Net, str, str], str], store: Callable[[Net], str], tmp_path: Path) -> None:
    imported = one_op(lambda net, x: product(net, x, store(net)), tmp_path)
    assert op_names(imported) == ["embedding", "quantize_absmax", "dot", "dequantize", "return"]
    assert scales(imported) == [0.25]
    np.testing.assert_array_equal(trits_of(imported), random_trits(seed=5))
    dot = next(op for op in model_of(imported).body.block.ops if isinstance(op, DotOp))
    raw_sums = product in (scaled_after, scaled_in_two_steps, scaled_late)
    assert (bound_tensor(dot.result) is not None) == raw_sums


def test_scaled_floats_are_ternary(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        codes, step = net.quantize(x)
        values = random_trits(seed=6).T.astype(np.float32) * np.float32(0.3)
        return net.add("MatMul", net.add("Div", codes, step), net.const("w", values))

    imported = one_op(build, tmp_path)
    assert scales(imported) == [float(np.float32(0.3))]
    np.testing.assert_array_equal(trits_of(imported), random_trits(seed=6))


def naive_dynamo(net: Net, x: str, masters: NDArray[np.float32]) -> str:
    return net.naive_bitlinear(x, masters)


def naive_legacy(net: Net, x: str, masters: NDArray[np.float32]) -> str:
    codes, step = net.quantize(x)
    weight = net.const("w", masters)
    inverse = net.add("Reciprocal", net.add("Clip", net.add("ReduceMean", net.add("Abs", weight), keepdims=0), 1e-5))
    trits = net.add("Clip", net.add("Round", net.add("Mul", weight, inverse)), -1.0, 1.0)
    return net.add("MatMul", net.add("Div", codes, step), net.add("Transpose", net.add("Div", trits, inverse)))


@pytest.mark.parametrize("build", [naive_dynamo, naive_legacy])
def test_masters_are_quantised_as_the_graph_says(
    build: Callable[[Net, str, NDArray[np.float32]], str], tmp_path: Path
) -> None:
    masters = np.random.default_rng(3).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    imported = one_op(lambda net, x: build(net, x, masters), tmp_path)
    beta = np.float32(np.abs(masters).mean(dtype=np.float64))
    assert op_names(imported) == ["embedding", "quantize_absmax", "dot", "dequantize", "return"]
    assert scales(imported) == [float(beta)]
    np.testing.assert_array_equal(trits_of(imported), np.clip(np.rint(masters / beta), -1, 1))
    assert imported.near_ties == {}


def test_a_master_on_a_rounding_boundary_is_counted(tmp_path: Path) -> None:
    masters = np.ones((WIDTH, WIDTH), np.float32)
    masters[0, 0], masters[0, 1] = 0.5, 1.5
    imported = one_op(lambda net, x: net.naive_bitlinear(x, masters), tmp_path)
    assert imported.near_ties == {"w": 1}


def test_bias_of_a_gemm(tmp_path: Path) -> None:
    def build(net: Net, x: str, bias: NDArray[np.float32]) -> str:
        codes, step = net.quantize(x)
        weight = net.trits("w", random_trits())
        return net.add("Gemm", net.add("Div", codes, step), weight, net.const("bias", bias), transB=1)

    biased = one_op(lambda net, x: build(net, x, GAIN), tmp_path)
    assert op_names(biased) == ["embedding", "quantize_absmax", "dot", "dequantize", "load", "add", "return"]
    plain = one_op(lambda net, x: build(net, x, np.zeros(WIDTH, np.float32)), tmp_path)
    assert op_names(plain) == ["embedding", "quantize_absmax", "dot", "dequantize", "return"]


def test_a_constant_behind_a_shared_value_stays_a_product(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        y = net.bitlinear(x)
        return net.add("Add", y, net.add("Mul", y, 0.5))

    imported = one_op(build, tmp_path)
    assert op_counts(imported) == {
        "embedding": 1, "quantize_absmax": 1, "dot": 1, "dequantize": 1, "fill": 1, "mul": 1, "add": 1, "return": 1,
    }  # fmt: skip


def test_tied_weights_are_one_symbol(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        weight = net.trits("w", random_trits())
        for _ in range(2):
            codes, step = net.quantize(x)
            x = net.add("Mul", net.add("Gemm", codes, weight, transB=1), net.add("Div", 0.02, step))
        return x

    imported = one_op(build, tmp_path)
    assert op_counts(imported)["dot"] == 2
    assert len(weights(imported)) == 1


# SiLU, split, elementwise


def test_silu(tmp_path: Path) -> None:
    imported = one_op(lambda net, x: net.add("Mul", net.add("Sigmoid", x), x), tmp_path)
    assert op_names(imported) == ["embedding", "silu", "return"]


def test_a_product_with_another_sigmoid_is_no_silu(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        return net.add("Mul", net.add("Mul", net.add("Relu", x), x), net.add("Sigmoid", x))

    assert op_counts(one_op(build, tmp_path)) == {"embedding": 1, "relu": 1, "mul": 2, "sigmoid": 1, "return": 1}


def halves_split(net: Net, x: str) -> tuple[str, str]:
    first = net.add("Split", x, outputs=2, axis=1, num_outputs=2)
    return first, f"{first}_1"


def halves_sizes(net: Net, x: str) -> tuple[str, str]:
    first = net.add("Split", x, net.const("sizes", np.asarray([4, 4])), outputs=2, axis=-1)
    return first, f"{first}_1"


def halves_slice(net: Net, x: str) -> tuple[str, str]:
    def part(name: str, low: int, high: int) -> str:
        bounds = [net.const(f"{name}{key}", np.asarray([at])) for key, at in (("a", low), ("b", high), ("c", 1))]
        return net.add("Slice", x, *bounds)

    return part("first", 0, 4), part("second", -4, 2**62)


@pytest.mark.parametrize("halves", [halves_split, halves_sizes, halves_slice])
def test_halves(halves: Callable[[Net, str], tuple[str, str]], tmp_path: Path) -> None:
    imported = one_op(lambda net, x: net.add("Sub", *halves(net, x)), tmp_path, width=4)
    assert op_names(imported) == ["embedding", "slice", "slice", "sub", "return"]
    offsets = [op.offset.value.data for op in model_of(imported).body.block.ops if isinstance(op, SliceOp)]
    assert offsets == [0, 4]


ELEMENTWISE: list[tuple[Callable[[Net, str], str], Callable[[NDArray[np.float32]], NDArray[np.float32]]]] = [
    (lambda net, x: net.add("Neg", x), lambda x: -x),
    (lambda net, x: net.add("Abs", x), np.abs),
    (lambda net, x: net.add("Relu", x), lambda x: np.maximum(x, 0)),
    (lambda net, x: net.add("Pow", x, 2.0), lambda x: x * x),
    (lambda net, x: net.add("Reciprocal", x), lambda x: 1 / x),
    (lambda net, x: net.add("Clip", x, -0.5, 0.25), lambda x: np.clip(x, -0.5, 0.25)),
    (
        lambda net, x: net.add("Max", x, 0.1, net.const("m", GAIN - 1)),
        lambda x: np.maximum(np.maximum(x, 0.1), GAIN - 1),
    ),
    (lambda net, x: net.add("Sub", 1.0, x), lambda x: 1 - x),
    (lambda net, x: net.add("Div", x, net.const("d", GAIN)), lambda x: x / GAIN),
    (lambda net, x: net.add("Sqrt", net.add("Abs", x)), lambda x: np.sqrt(np.abs(x))),
    (lambda net, x: net.add("HardSigmoid", x), lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
]


@pytest.mark.parametrize(("build", "meaning"), ELEMENTWISE)
def test_elementwise(
    build: Callable[[Net, str], str], meaning: Callable[[NDArray[np.float32]], NDArray[np.float32]], tmp_path: Path
) -> None:
    imported = one_op(build, tmp_path)
    table = imported.store.table("table").astype(np.float32)
    step = Interpreter(imported.module, imported.store).run(range(VOCABULARY))
    np.testing.assert_allclose(step.outputs["y"], meaning(table), rtol=1e-6)


def test_tanh_is_made_of_a_sigmoid(tmp_path: Path) -> None:
    """Around 0 it is a difference of numbers near 1: exact to the last place of 1, not of the result."""
    imported = one_op(lambda net, x: net.add("Tanh", x), tmp_path)
    assert op_counts(imported)["sigmoid"] == 1
    table = imported.store.table("table").astype(np.float32)
    step = Interpreter(imported.module, imported.store).run(range(VOCABULARY))
    np.testing.assert_allclose(step.outputs["y"], np.tanh(table), rtol=1e-6, atol=2**-22)


def test_nodes_that_only_reshape_are_looked_through(tmp_path: Path) -> None:
    def build(net: Net, x: str) -> str:
        flat = net.add("Reshape", x, net.const("flat", np.asarray([WIDTH])))
        row = net.add("Unsqueeze", flat, net.const("front", np.asarray([0])))
        all_of_it = net.add("Slice", row, *(net.const(f"b{i}", np.asarray([at])) for i, at in enumerate((0, WIDTH, 1))))
        once = net.add("Div", net.add("Mul", 1.0, all_of_it), 1.0)
        return net.add("Relu", net.add("Cast", net.add("Identity", once), to=TensorProto.FLOAT))

    assert op_names(one_op(build, tmp_path)) == ["embedding", "relu", "return"]


def test_a_vector_that_is_turned_round_is_another_one(tmp_path: Path) -> None:
    net = Net()
    bounds = (net.const(f"b{i}", np.asarray([at])) for i, at in enumerate((-1, -WIDTH - 1, 1, -1)))
    net.output("y", net.add("Relu", net.add("Slice", net.token(), *bounds)))
    assert "Slice" in refusal(net.save(tmp_path)).message


# Embedding


@pytest.mark.parametrize(("dtype", "form"), [(np.float16, "f16"), (ml_dtypes.bfloat16, "bf16"), (np.float32, "f32")])
@pytest.mark.parametrize("cast_first", [True, False])
def test_embedding_formats(dtype: type, form: str, cast_first: bool, tmp_path: Path) -> None:
    net = Net()
    values = np.random.default_rng(1).normal(size=(VOCABULARY, WIDTH)).astype(dtype)
    net.input("ids", (1, 1), TensorProto.INT32)
    table = net.const("table", values)
    ids = net.add("Cast", "ids", to=TensorProto.INT64)
    if cast_first:
        x = net.add("Gather", net.add("Cast", table, to=TensorProto.FLOAT), ids)
    else:
        x = net.add("Cast", net.add("Gather", table, ids), to=TensorProto.FLOAT)
    net.output("y", x, (1, 1, WIDTH))
    imported = import_net(net, tmp_path)
    assert op_names(imported) == ["embedding", "return"]
    tables = [op for op in imported.module.ops if isinstance(op, TableOp)]
    assert [op.format.data for op in tables] == [form]
    step = Interpreter(imported.module, imported.store).run(range(VOCABULARY))
    np.testing.assert_array_equal(step.outputs["y"], values.astype(np.float32))


def test_a_float32_table_of_half_values_is_stored_as_half(tmp_path: Path) -> None:
    net = Net()
    values = np.random.default_rng(1).normal(size=(VOCABULARY, WIDTH)).astype(np.float16).astype(np.float32)
    net.output("y", net.add("Relu", net.token(table=values)))
    imported = import_net(net, tmp_path)
    assert imported.store.table("table").dtype == np.float16
