"""The interpreter: positions together or one by one, state, traces, and one meaning in both dialects."""

from __future__ import annotations

import numpy as np
import pytest
from modules import module_text
from support.synthetic import synthetic_model
from tritloom.ir import engine, numerics
from tritloom.ir.engine import instruction_ops
from tritloom.ir.interpreter import Interpreter, Step, Trace
from tritloom.ir.mlir import ModuleOp
from tritloom.ir.store import WeightStore
from tritloom.ir.text import parse_ir
from tritloom.passes import CompilerContext, parse_passes, run_passes

F32 = np.float32
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]
FUSED = "fuse-norm,fuse-quantize-linear,fuse-gates,merge-linears,absorb-scales"
STAGES = {"imported": "", "fused": FUSED, "mapped": f"{FUSED},choose-mapping,schedule"}


def model(passes: str) -> tuple[ModuleOp, WeightStore]:
    module, store = synthetic_model(seed=3)
    if passes:
        run_passes(module, parse_passes(passes), CompilerContext(store=store))
    return module, store


def same(one: Step, other: Step) -> bool:
    left = {**one.outputs, **one.states}
    right = {**other.outputs, **other.states}
    return left.keys() == right.keys() and all(left[name].tobytes() == right[name].tobytes() for name in left)


@pytest.mark.parametrize("passes", STAGES.values(), ids=STAGES)
def test_positions_together_are_positions_one_by_one(passes: str) -> None:
    interpreter = Interpreter(*model(passes))
    together = interpreter.run(TOKENS)
    states, rows = interpreter.zero_states(), []
    for token in TOKENS:
        step = interpreter.run([token], states)
        states = step.states
        rows.append(step.outputs["logits"])
    assert same(together, Step({"logits": np.concatenate(rows)}, states))
    assert together.outputs["logits"].shape == (len(TOKENS), 70)


@pytest.mark.parametrize("passes", STAGES.values(), ids=STAGES)
def test_state_is_carried_over(passes: str) -> None:
    interpreter = Interpreter(*model(passes))
    whole = interpreter.run(TOKENS)
    first = interpreter.run(TOKENS[:3])
    kept = {name: value.copy() for name, value in first.states.items()}
    second = interpreter.run(TOKENS[3:], first.states)
    logits = np.concatenate([first.outputs["logits"], second.outputs["logits"]])
    assert same(whole, Step({"logits": logits}, second.states))
    assert all(kept[name].tobytes() == first.states[name].tobytes() for name in kept)
    fresh = interpreter.run(TOKENS[3:])
    assert fresh.outputs["logits"].tobytes() != second.outputs["logits"].tobytes()


def test_the_engine_form_is_the_fused_form() -> None:
    fused, mapped = (Interpreter(*model(STAGES[stage])).run(TOKENS) for stage in ("fused", "mapped"))
    assert same(fused, mapped)


def test_fusion_changes_no_more_than_rounding() -> None:
    """The fold is exact in real arithmetic; in float32 a code may go the other way at a tie."""
    plain, fused = (Interpreter(*model(STAGES[stage])).run(TOKENS) for stage in ("imported", "fused"))
    a, b = plain.outputs["logits"].astype(np.float64), fused.outputs["logits"].astype(np.float64)
    assert np.sqrt(np.mean((a - b) ** 2)) < 0.02 * np.sqrt(np.mean(a**2))


def test_no_tokens() -> None:
    step = Interpreter(*model("")).run([])
    assert step.outputs["logits"].shape == (0, 70)
    assert all((value == 0).all() for value in step.states.values())


def test_traces_are_every_tensor_in_program_order() -> None:
    module, store = model(STAGES["mapped"])
    seen: list[Trace] = []
    Interpreter(module, store).run(TOKENS, observer=seen.append)
    program = instruction_ops(module)
    wanted = []
    for op in program:
        match op:
            case engine.QuantizeOp():
                wanted += [(op, "codes"), (op, "scale")]
            case engine.LinearOp() if op.state is not None:
                wanted += [(op, "acc"), (op, "out"), (op, "state")]
            case engine.LinearOp():
                wanted += [(op, "acc"), (op, "out")]
            case _:
                wanted += [(op, "out")]
    assert [(trace.op, trace.what) for trace in seen] == wanted
    assert all(len(trace.data) == len(TOKENS) for trace in seen)
    kinds = {"codes": np.int8, "acc": np.int32, "scale": np.float32, "out": np.float32, "state": np.float32}
    assert all(trace.data.dtype == kinds[trace.what] for trace in seen)


def test_swiglu_accumulators_are_traced_in_the_order_of_the_engine() -> None:
    module, store = model(STAGES["mapped"])
    seen: list[Trace] = []
    Interpreter(module, store).run(TOKENS, observer=seen.append)
    index = next(i for i, t in enumerate(seen) if isinstance(t.op, engine.LinearOp) and t.op.kind.value == "swiglu")
    op = seen[index].op
    assert isinstance(op, engine.LinearOp)
    codes = next(t.data for t in seen if t.op is op.codes.owner and t.what == "codes")
    trits = store.matrix(module, op.weight.root_reference.data)
    acc = codes.astype(np.int64) @ trits.T.astype(np.int64)
    half = acc.shape[1] // 2
    assert (seen[index].data[:, 0::2] == acc[:, :half]).all()
    assert (seen[index].data[:, 1::2] == acc[:, half:]).all()


def test_a_token_outside_the_table() -> None:
    with pytest.raises(IndexError):
        Interpreter(*model("")).run([70])


def test_a_module_without_model() -> None:
    with pytest.raises(ValueError, match="the module has no tern.model"):
        Interpreter(ModuleOp([]), WeightStore())


# Single operations, through a model that hands its vectors out.

TABLE = np.random.default_rng(8).standard_normal((3, 16)).astype(F32)
G = np.random.default_rng(9).uniform(0.5, 1.5, 16).astype(F32)
G2 = np.random.default_rng(10).uniform(0.5, 1.5, 16).astype(F32)
W = np.random.default_rng(11).integers(-1, 2, (16, 16)).astype(np.int8)


def outputs(body: str, values: str, tokens: tuple[int, ...] = (0, 2, 1), table: np.ndarray = TABLE) -> Step:
    """What the model returns: `values` are results of `body`, all of 16 floats."""
    count = len(values.split(", "))
    names = ", ".join(f'"{name}"' for name in values.replace("%", "").split(", "))
    text = module_text(body, returned=f"tern.return {values}, %state : " + "V16, " * count + "ST")
    text = text.replace("outputs []", f"outputs [{names}]")
    store = WeightStore()
    for name, value in (("t", table), ("g", G), ("g2", G2), ("w", W)):
        store.add(name, lambda value=value: value)
    return Interpreter(parse_ir(text.replace("V16", "tensor<16xf32>")), store).run(tokens)


X = "%x = tern.embedding %t {table = @t} : V16\n"
KEEP = "%state = tern.write_state %x, %s : V16, ST -> ST\n"


def rows(tokens: tuple[int, ...] = (0, 2, 1)) -> np.ndarray:
    return TABLE[list(tokens)]


@pytest.mark.parametrize(
    ("function", "meaning"),
    [
        ("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide),
        ("max", np.maximum), ("min", np.minimum),
    ],
)  # fmt: skip
def test_binary_operations(function: str, meaning: np.ufunc) -> None:
    body = f"{X}%g = tern.load @g : V16\n%y = tern.{function} %x, %g : V16, V16 -> V16\n{KEEP}"
    assert outputs(body, "%y").outputs["y"].tobytes() == meaning(rows(), G).tobytes()


@pytest.mark.parametrize("function", ["sigmoid", "silu", "relu", "sqrt"])
def test_unary_operations(function: str) -> None:
    body = f"{X}%p = tern.mul %x, %x : V16, V16 -> V16\n%y = tern.{function} %p : V16 -> V16\n{KEEP}"
    squares = rows() * rows()
    wanted = np.sqrt(squares) if function == "sqrt" else getattr(numerics, function)(squares)
    assert outputs(body, "%y").outputs["y"].tobytes() == wanted.tobytes()


def test_max_and_min_of_zeros_are_those_of_the_kernel() -> None:
    """`a > b ? a : b` gives b where +0 meets -0."""
    table = np.tile(np.array([0.0, -0.0], F32), (3, 8))
    body = f"{X}%z = tern.fill 0.0 : f32 : V16\n%y = tern.max %z, %x : V16, V16 -> V16\n"
    body += f"%n = tern.min %z, %x : V16, V16 -> V16\n{KEEP}"
    step = outputs(body, "%y, %n", table=table)
    assert step.outputs["y"].tobytes() == step.outputs["n"].tobytes() == table.tobytes()


def test_rms_norm() -> None:
    body = f"{X}%y = tern.rms_norm %x {{gain = @g, eps = 1.0e-06 : f32}} : V16 -> V16\n{KEEP}"
    wanted = (rows() * numerics.norm_factor(rows(), F32(1e-6))) * G
    assert outputs(body, "%y").outputs["y"].tobytes() == wanted.tobytes()


def test_product_and_rescale() -> None:
    body = f"{X}%c, %k = tern.quantize_absmax %x : V16 -> C16\n%a = tern.dot %c {{weight = @w}} : C16 -> A16\n"
    body += "%y = tern.dequantize %a, %k {weight_scale = 0.5 : f32} : A16 -> V16\n"
    body += f"%l = tern.linear %c, %k {{weight = @w}} : C16 -> V16\n{KEEP}"
    step = outputs(body, "%y, %l")
    codes, largest = numerics.quantize(rows())
    acc = codes.astype(np.int32) @ W.T.astype(np.int32)
    wanted = acc.astype(F32) * (largest * F32(0.5 / 127.0))
    assert step.outputs["y"].tobytes() == step.outputs["l"].tobytes() == wanted.tobytes()


def test_center() -> None:
    body = f"{X}%y = tern.center %x : V16 -> V16\n{KEEP}"
    assert outputs(body, "%y").outputs["y"].tobytes() == (rows() - numerics.mean(rows())).tobytes()


def test_product_of_a_range() -> None:
    body = (
        f"{X}%c, %k, %z = tern.quantize_range %x : V16 -> C16\n%a = tern.dot %c less %z {{weight = @w}} : C16 -> A16\n"
    )
    body += "%y = tern.dequantize %a, %k {weight_scale = 0.5 : f32} : A16 -> V16\n"
    body += f"%l = tern.linear %c, %k less %z {{weight = @w, row_scales = @g, bias = @g2}} : C16 -> V16\n{KEEP}"
    step = outputs(body, "%y, %l")
    codes, scale, zero = numerics.quantize_range(rows())
    acc = (codes.astype(np.int32) - zero) @ W.T.astype(np.int32)
    wanted = acc.astype(F32) * (scale * F32(0.5))
    assert step.outputs["y"].tobytes() == wanted.tobytes()
    assert step.outputs["l"].tobytes() == (wanted * G + G2).tobytes()


def test_product_of_a_fixed_step() -> None:
    numbers = "step = 0.03 : f32, zero_code = -5 : i64, low = -100 : i64, high = 90 : i64, offset = 128 : i64"
    body = f"{X}%c, %k, %z = tern.quantize_static %x {{{numbers}}} : V16 -> C16\n"
    body += f"%l = tern.linear %c, %k less %z {{weight = @w}} : C16 -> V16\n{KEEP}"
    codes = numerics.quantize_static(rows(), numerics.inverse_step(0.03), -5, -100, 90)
    acc = (codes.astype(np.int32) + 5) @ W.T.astype(np.int32)
    wanted = acc.astype(F32) * (F32(0.03) * F32(0.5))
    assert outputs(body, "%l").outputs["l"].tobytes() == wanted.tobytes()


def test_folded_norms() -> None:
    body = f"{X}%b = tern.sigmoid %x : V16 -> V16\n"
    body += "%c, %k, %f = tern.norm_quantize %x times %b {gain = @g, first_gain = @g2, eps0 = 0.25 : f32,"
    body += " eps1 = 0.5 : f32} : V16 times V16 -> C16\n"
    body += f"%y = tern.linear %c, %k {{weight = @w}} : C16 -> V16\n{KEEP}"
    x, b = rows(), numerics.sigmoid(rows())
    codes, largest = numerics.quantize((x * G) * b)
    factor = numerics.double_norm_factor(x, (x * G2) * b, F32(0.25), F32(0.5))
    acc = codes.astype(np.int32) @ W.T.astype(np.int32)
    wanted = acc.astype(F32) * ((largest * factor) * F32(0.5 / 127.0))
    assert outputs(body, "%y").outputs["y"].tobytes() == wanted.tobytes()


def test_recurrence_with_constant_gates() -> None:
    """A constant counts for every position, also where positions are evaluated together."""
    body = f"{X}%f = tern.load @g : V16\n%one = tern.fill 1.0 : f32 : V16\n"
    body += "%state, %y = tern.recurrence %f, %one, %s : V16, V16, ST -> ST, V16\n"
    step = outputs(body, "%y")
    h, wanted = np.zeros(16, F32), []
    for _ in range(3):
        h = numerics.flush(G * h + F32(1))
        wanted.append(h)
    assert step.outputs["y"].tobytes() == np.stack(wanted).tobytes()
    assert step.states["h"].tobytes() == h.tobytes()


def test_states_are_flushed() -> None:
    body = f"{X}%e = tern.fill 1.0e-13 : f32 : V16\n%v = tern.mul %e, %x : V16, V16 -> V16\n"
    body += "%state = tern.write_state %v, %s : V16, ST -> ST\n%y = tern.read_state %state : ST -> V16\n"
    step = outputs(body, "%y")
    assert (step.states["h"] == 0).all()
    assert (step.outputs["y"] == 0).all()
    assert step.outputs["y"].shape == (3, 16)


def test_slices() -> None:
    body = f"{X}%u = tern.slice %x {{offset = 3 : i64}} : V16 -> V8\n"
    body += "%d = tern.slice %x {offset = 8 : i64} : V16 -> V8\n%p = tern.add %u, %d : V8, V8 -> V8\n"
    text = module_text(body + KEEP, returned="tern.return %p, %state : V8, ST").replace("outputs []", 'outputs ["p"]')
    store = WeightStore()
    store.add("t", lambda: TABLE)
    step = Interpreter(parse_ir(text), store).run([1])
    assert step.outputs["p"].tobytes() == (TABLE[1, 3:11] + TABLE[1, 8:16]).tobytes()


@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_half_tables_are_widened_exactly(kind: str) -> None:
    narrow = TABLE.astype(np.float16) if kind == "f16" else (TABLE.view(np.uint32) >> 16).astype(np.uint16)
    wide = narrow.astype(F32) if kind == "f16" else (TABLE.view(np.uint32) & 0xFFFF0000).view(F32)
    assert outputs(X + KEEP, "%x", table=narrow).outputs["x"].tobytes() == wide[[0, 2, 1]].tobytes()


def test_subnormal_numbers_of_a_vector_are_zero() -> None:
    text = module_text("%y = tern.relu %t : V16 -> V16", returned="tern.return %y, %s : V16, ST")
    text = text.replace('token "ids" outputs []', 'vector "x" outputs ["y"]').replace("%t: i64", "%t: tensor<16xf32>")
    row = np.zeros(16, F32)
    row[:3] = F32(1e-40), np.finfo(F32).tiny, F32(2)
    (found,) = Interpreter(parse_ir(text), WeightStore()).run([row]).outputs.values()
    row[0] = 0
    assert found.tobytes() == row.tobytes()
