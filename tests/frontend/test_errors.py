"""What is refused, and in which words."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import WIDTH, Net, random_trits
from skeleton import only_block, refusal
from tritloom.frontend import import_onnx
from tritloom.ir.tern import WeightOp

# Weights


def test_integers_that_are_not_ternary(tmp_path: Path) -> None:
    values = random_trits(seed=2)
    values[0, :3] = (2, 2, -3)
    net = Net()
    net.output("y", net.bitlinear(net.token(), "layer.w", values))
    counts = {value: int((values == value).sum()) for value in (-3, -1, 0, 1, 2)}
    error = refusal(net.save(tmp_path))
    first, histogram, distance = error.message.splitlines()
    assert first == "tensor 'layer.w' (int8, 8x8) is not ternary: 5 distinct values"
    assert histogram == "  histogram: " + ", ".join(f"{value}: {count:,}" for value, count in counts.items())
    assert distance.startswith("  the nearest ternary tensor (scale ")
    assert error.hint == (
        "export the quantised weights (-1, 0, +1 and a scale), or masters with the absmean quantiser in the graph;"
        " or quantise them now, after training: --ternarise absmean (or twn)"
    )


def test_float_weights(tmp_path: Path) -> None:
    net = Net()
    codes, step = net.quantize(net.token())
    values = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    net.output("y", net.add("MatMul", net.add("Div", codes, step), net.const("w", values)))
    message = refusal(net.save(tmp_path)).message
    assert message.splitlines()[0] == "tensor 'w' (float, 8x8) is not ternary: 64 distinct values"
    bins = re.fullmatch(r"  histogram: -\S+ to \S+ in 7 bins: (.*)", message.splitlines()[1])
    assert bins is not None
    assert sum(int(count) for count in bins[1].split()) == WIDTH * WIDTH
    assert "% rms away" in message


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite(bad: float, tmp_path: Path) -> None:
    masters = np.ones((WIDTH, WIDTH), np.float32)
    masters[2, 1] = bad
    net = Net()
    net.output("y", net.naive_bitlinear(net.token(), masters))
    assert refusal(net.save(tmp_path)).message == (
        f"tensor 'w' holds 1 values that are NaN or infinite (the first, {bad}, at element 17 of 64)"
    )


def test_a_scale_that_is_not_finite(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.token(), scale=float("nan")))
    message = refusal(net.save(tmp_path)).message
    assert message.startswith("constant 'c")
    assert message.endswith("is nan")


@pytest.mark.parametrize("scale", [0.0, -0.5])
def test_a_scale_that_is_not_positive(scale: float, tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.token(), scale=scale))
    assert refusal(net.save(tmp_path)).message.startswith(f"the scale of tensor 'w' is {scale:g} (at 'node_Gemm_")


@pytest.mark.parametrize(("scale", "told"), [(1e-42, "1.00053e-42"), (1.4e-36, "1.4e-36")])
def test_a_scale_that_is_too_small(scale: float, told: str, tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.token(), scale=scale))
    error = refusal(net.save(tmp_path))
    assert error.message == (
        f"the scale of tensor 'w' is {told} (at 'node_Gemm_10'): divided by 127 it is no normal float32 number"
    )
    assert error.hint == (
        "a weight scale must be at least 1.5e-36: look for a weight that was never trained,"
        " or a scale that was divided twice"
    )


def test_the_smallest_scale(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.token(), scale=1.5e-36))
    module = import_onnx(net.save(tmp_path)).module
    assert [op.scale.value.data for op in module.ops if isinstance(op, WeightOp)] == [np.float32(1.5e-36)]


@pytest.mark.parametrize("transposed", [False, True])
def test_one_weight_that_is_not_ternary(transposed: bool, tmp_path: Path) -> None:
    values = (np.indices((128, 128)).sum(axis=0) % 2).astype(np.int8)
    values[3, 5] = 2
    net = Net()
    codes, step = net.quantize(net.token(table=np.ones((16, 128), np.float32)))
    product = net.add("Gemm", codes, net.trits("w", values), transB=int(not transposed))
    net.output("y", net.add("Div", product, step), (1, 128))
    assert refusal(net.save(tmp_path)).message.splitlines() == [
        "tensor 'w' (int8, 128x128) is not ternary: 3 distinct values",
        "  histogram: 0: 8,191, 1: 8,192, 2: 1",
        "  the nearest ternary tensor (scale 1) is 1.1% rms away,"
        " 1 of 16,384 values by more than a tenth of the scale (the first, 2, at [3, 5])",
    ]


def test_a_gain_that_is_not_finite(tmp_path: Path) -> None:
    net = Net()
    gain = np.ones(WIDTH, np.float32)
    gain[3] = np.inf
    net.output("y", net.bitlinear(net.rms_norm(net.token(), gain)))
    assert (
        "holds 1 values that are NaN or infinite (the first, inf, at element 3 of 8)"
        in refusal(net.save(tmp_path)).message
    )


def test_a_table_that_is_not_finite(tmp_path: Path) -> None:
    table = np.ones((16, WIDTH), np.float32)
    table[1] = np.nan
    net = Net()
    net.output("y", net.bitlinear(net.token(table=table)))
    assert refusal(net.save(tmp_path)).message == (
        "tensor 'table' holds 8 values that are NaN or infinite (the first, nan, at element 8 of 128)"
    )


# Interface


def test_no_token(tmp_path: Path) -> None:
    """A model of several vectors at once is taken for a feed-forward net."""
    net = Net()
    net.output("y", net.bitlinear(net.input("x", (2, WIDTH))), (2, WIDTH))
    error = refusal(net.save(tmp_path))
    assert "Abs: it computes a scale from each input: an integer net has static scales only" in error.message
    assert "quantise statically, with calibration data; or give the model one vector, [1, d]" in error.message


def test_a_shape_that_its_tensor_does_not_fill(tmp_path: Path) -> None:
    """onnx's shape inference would count up to it."""
    net = Net()
    net.output("y", net.bitlinear(net.add("Mul", net.token(), net.const("gain", np.ones(WIDTH, np.float32)))))
    model = net.model()
    next(tensor for tensor in model.graph.initializer if tensor.name == "gain").dims[0] = 1 << 31
    onnx.save(model, str(tmp_path / "model.onnx"))
    error = refusal(tmp_path / "model.onnx")
    assert error.message == ("tensor 'gain' [2147483648] takes 8,589,934,592 bytes, which the file does not have")


def test_a_sequence_as_an_output(tmp_path: Path) -> None:
    """Behind an operator of another domain onnx does not see that its type is another."""
    net = Net()
    net.output("y", net.add("QuickGelu", net.token(), domain="com.microsoft"))
    net.nodes[-1].op_type = "SplitToSequence"
    assert "SplitToSequence" in refusal(net.save(tmp_path)).message


def test_more_inputs_than_a_step_has(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    net.input("position", (1,), TensorProto.INT64)
    net.output("y", net.bitlinear(x))
    assert refusal(net.save(tmp_path)).message == (
        "the model takes more than a token and states: 'input_ids' INT64 [1], 'position' INT64 [1]"
    )


@pytest.mark.parametrize("shape", [(2, 4), (4,), (0,)])
def test_several_positions(shape: tuple[int, ...], tmp_path: Path) -> None:
    """Several sequences, none, or a sequence where the shapes behind the token are those of one position."""
    net = Net()
    net.output("y", net.bitlinear(net.token((1,))), (1, WIDTH))
    model = net.model()
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("input_ids", TensorProto.INT64, shape))
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    error = refusal(path)
    kind = "it is empty" if 0 in shape else "several positions at once are not accepted"
    assert error.message == f"input 'input_ids' has shape {list(shape)}: {kind}"
    assert error.hint == (
        "export one decoding step, which the host runs once a token:"
        " a step takes one integer token ([1] or [1, 1]) and float32 states ([d], [1, d] or [1, 1, d])"
    )


@pytest.mark.parametrize("key", ["tritloom.bos_token_id", "tritloom.eos_token_id"])
@pytest.mark.parametrize("text", ["16", "x", "-1", "", "\u00b2"])
def test_a_special_token_outside_the_vocabulary(text: str, key: str, tmp_path: Path) -> None:
    error = refusal(with_metadata(key, text, tmp_path))
    assert error.message == (
        f"metadata '{key}' is {text!r}, which is no token:"
        " tokens are integers from 0 to 15, the rows of the embedding table"
    )
    assert error.hint == "correct the entry, or remove it if the model has no such token"


def test_the_last_token_is_a_special_token(tmp_path: Path) -> None:
    path = with_metadata("tritloom.eos_token_id", "15", tmp_path)
    assert import_onnx(path).metadata == {"tritloom.eos_token_id": "15"}


def with_metadata(key: str, text: str, folder: Path) -> Path:
    net = Net()
    net.output("y", net.bitlinear(net.token()))
    model = net.model()
    onnx.helper.set_model_props(model, {key: text})
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


def test_dynamic_dimensions(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.token(("batch",))), ("batch", WIDTH))
    net.input("h", ("batch", "hidden"))
    error = refusal(net.save(tmp_path))
    assert error.message == "dynamic dimensions that cannot be resolved: [batch, hidden] of input 'h'"
    assert error.hint == (
        "only the batch and position dimensions may be symbolic (they become 1); give states a fixed length"
    )


# Operators


def test_every_unsupported_operator_is_listed(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    a = net.add("Softplus", x)
    b = net.add("Softmax", net.add("Add", a, net.add("Exp", x)), axis=-1)
    net.output("y", net.bitlinear(net.add("Mul", b, net.add("Elu", x))))
    error = refusal(net.save(tmp_path))
    assert error.message.splitlines() == [
        "4 nodes are not supported:",
        "  Softmax: attention is not supported",
        "    'node_Softmax_4' [1, 8]",
        "    instead: use a recurrent token mixer (MLGRU) with explicit state",
        "  Softplus: the vector unit has no such function",
        "    'node_Softplus_1' [1, 8]",
        "    instead: use Sigmoid, SiLU (x*Sigmoid(x)), GELU, Relu or arithmetic",
        "  Exp: the vector unit has no such function",
        "    'node_Exp_2' [1, 8]",
        "    instead: use Sigmoid, SiLU (x*Sigmoid(x)), GELU, Relu or arithmetic",
        "  Elu: the vector unit has no such function",
        "    'node_Elu_5' [1, 8]",
        "    instead: use Sigmoid, SiLU (x*Sigmoid(x)), GELU, Relu or arithmetic",
    ]
    assert error.hint == "docs/import.md lists what is recognised; rewrite these nodes in the model and export it again"


def floored(net: Net, x: str, name: str) -> str:
    """A BitLinear whose quantiser floors."""
    step = net.step(x)
    codes = net.add("Clip", net.add("Floor", net.add("Mul", x, step)), -128.0, 127.0)
    return net.add("Mul", net.add("Gemm", codes, net.trits(name, random_trits()), transB=1), net.add("Div", 0.5, step))


def test_one_block_an_operator_and_reason(tmp_path: Path) -> None:
    """The products behind the floors are not told: they follow."""
    net = Net()
    x = net.token()
    for layer in range(8):
        x = floored(net, x, f"w{layer}")
    net.output("y", net.add("Softplus", x))
    assert refusal(net.save(tmp_path)).message.splitlines() == [
        "9 nodes are not supported:",
        "  Softplus: the vector unit has no such function",
        "    'node_Softplus_97' [1, 8]",
        "    instead: use Sigmoid, SiLU (x*Sigmoid(x)), GELU, Relu or arithmetic",
        "  Floor (8 nodes): rounding exists only inside an absmax quantiser",
        "    'node_Floor_91' [1, 8], 'node_Floor_79' [1, 8], 'node_Floor_67' [1, 8], 'node_Floor_55' [1, 8],",
        "    'node_Floor_43' [1, 8], 'node_Floor_31' [1, 8] and 2 more",
        "    instead: write the quantiser as round(x * 127/max|x|), clamped to -128..127,"
        " in front of a ternary product",
    ]


def test_a_product_behind_a_refused_function_is_told(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.add("Gemm", net.add("Softplus", net.token()), net.trits("w", random_trits()), transB=1))
    assert refusal(net.save(tmp_path)).message.splitlines() == [
        "2 nodes are not supported:",
        "  Gemm: its activations are float: no absmax quantiser is in front of it",
        "    'node_Gemm_3' [1, 8]",
        "    instead: put the absmax quantiser in front, as BitLinear does: q = round(x*s), then (T q) * beta/s;"
        " or let --quantise-activations do so",
        "  Softplus: the vector unit has no such function",
        "    'node_Softplus_1' [1, 8]",
        "    instead: use Sigmoid, SiLU (x*Sigmoid(x)), GELU, Relu or arithmetic",
    ]


@pytest.mark.parametrize("gain", [None, np.ones(WIDTH, np.float32)])
def test_a_norm_with_a_negative_epsilon(gain: np.ndarray | None, tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.rms_norm(net.token(), gain, eps=-1e-3)))
    assert only_block(net, tmp_path) == [
        "  Mul: the epsilon of its norm is -0.001; it must be zero or positive",
        "    'node_Mul_6' [1, 8]",
        "    instead: set the epsilon of the norm to a small positive number, such as 1e-6",
    ]


def test_a_fused_norm_with_a_negative_epsilon(tmp_path: Path) -> None:
    net = Net(23)
    gain = net.const("g", np.ones(WIDTH, np.float32))
    net.output("y", net.bitlinear(net.add("RMSNormalization", net.token(), gain, epsilon=-1.0)))
    assert only_block(net, tmp_path) == [
        "  RMSNormalization: the epsilon of its norm is -1; it must be zero or positive",
        "    'node_RMSNormalization_1' [1, 8]",
        "    instead: set the epsilon of the norm to a small positive number, such as 1e-6",
    ]


def test_a_norm_of_another_power(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.rms_norm(net.token(), power=-1e-3)))
    assert only_block(net, tmp_path) == [
        "  Pow: its exponent is -0.001, and only x^2, x^3, x^0.5 and x^-1 exist",
        "    'node_Pow_1' [1, 8]",
        "    instead: an RMSNorm squares: x / sqrt(mean(x*x) + eps) * gain; write other powers as products",
    ]


def test_float_activations(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.add("Gemm", net.token(), net.trits("w", random_trits()), transB=1))
    assert only_block(net, tmp_path) == [
        "  Gemm: its activations are float: no absmax quantiser is in front of it",
        "    'node_Gemm_2' [1, 8]",
        "    instead: put the absmax quantiser in front, as BitLinear does: q = round(x*s), then (T q) * beta/s;"
        " or let --quantise-activations do so",
    ]


def test_sums_without_their_scale(tmp_path: Path) -> None:
    net = Net()
    codes, _ = net.quantize(net.token())
    net.output("y", net.add("Relu", net.add("Gemm", codes, net.trits("w", random_trits()), transB=1)))
    assert only_block(net, tmp_path) == [
        "  Gemm: its integer sums are used without the scale of their codes",
        "    'node_Gemm_10' [1, 8]",
        "    instead: put the absmax quantiser in front, as BitLinear does: q = round(x*s), then (T q) * beta/s",
    ]


def test_codes_of_another_width(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    step = net.add("Div", 7.0, net.add("ReduceMax", net.add("Abs", x), net.axes(), keepdims=1))
    codes = net.add("Round", net.add("Mul", x, step))
    net.output("y", net.add("Div", net.add("Gemm", codes, net.trits("w", random_trits()), transB=1), step))
    assert only_block(net, tmp_path) == [
        "  Round: its codes reach 7, not 127",
        "    'node_Round_5' [1, 8]",
        "    instead: quantise to int8 per token: s = 127/max(max|x|, 1e-5), q = clamp(round(x*s), -128, 127)",
    ]


def test_weights_computed_at_run_time(tmp_path: Path) -> None:
    net = Net()
    codes, step = net.quantize(net.token())
    weight = net.add("Sign", net.const("w", np.eye(WIDTH, dtype=np.float32)))
    net.output("y", net.add("Div", net.add("Gemm", codes, weight, transB=1), step))
    assert only_block(net, tmp_path) == [
        "  Gemm: its weights are computed in a way that is not recognised",
        "    'node_Gemm_10' [1, 8]",
        "    instead: store int8 trits behind a Cast, floats {-s, 0, +s}, or masters with absmean quantisation",
    ]


def test_a_mean_outside_a_norm(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    net.output("y", net.add("Add", x, net.add("ReduceMean", x, net.axes(), keepdims=1)))
    assert only_block(net, tmp_path) == [
        "  ReduceMean: reductions exist only inside an RMSNorm and an absmax quantiser",
        "    'node_ReduceMean_1' [1, 1]",
        "    instead: write the norm as x / sqrt(mean(x*x) + eps) * gain over the last axis",
    ]


def test_a_scalar_that_is_computed(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    one = net.add("Slice", x, net.const("a", [0]), net.const("b", [1]), net.const("c", [1]))
    net.output("y", net.add("Mul", x, one))
    assert only_block(net, tmp_path) == [
        "  Mul: it combines a vector with a computed scalar or a vector of another length",
        "    'node_Mul_2' [1, 8]",
        "    instead: only norms, quantisers and constants scale a vector; use vectors of one length",
    ]


def test_a_foreign_domain(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.add("FusedThing", net.token(), domain="my.ops"))
    assert only_block(net, tmp_path) == [
        "  my.ops::FusedThing: there is no such operation on the engine",
        "    'node_FusedThing_1' [?]",
        "    instead: express it with Add, Sub, Mul, Div, Max, Min, Sqrt, Sigmoid or Relu, or move it out of the model",
    ]
