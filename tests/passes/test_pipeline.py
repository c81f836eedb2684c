"""The pipeline: names, documentation, order, and what running it reports."""

from __future__ import annotations

import inspect

import pytest
from support.synthetic import Shape, synthetic_model
from tritloom.errors import InputError, TritloomError
from tritloom.ir.bindings import bind, bound_tensor
from tritloom.ir.engine import LinearOp
from tritloom.ir.kernel import KernelLimits
from tritloom.ir.locations import location, onnx_names
from tritloom.ir.mlir import ModuleOp, Operation
from tritloom.ir.text import ir_text, parse_ir
from tritloom.passes import PASSES, CompilerContext, default_passes, net_passes, parse_passes, run_passes
from tritloom.passes.rewriting import model_of
from tritloom.targets import load_target

NAMES = (
    "fuse-norm fuse-quantize-linear fuse-gates merge-linears absorb-scales choose-mapping schedule tile pack-weights"
    " plan-memory verify-schedule lower-to-hls"
).split()
NET_NAMES = "to-thresholds to-dataflow fold size-fifos".split()
SMALL = Shape(layers=1)
FRONT = "fuse-norm,fuse-quantize-linear,fuse-gates,choose-mapping"


def lowered(passes: str, *, overlay: KernelLimits | None = None) -> ModuleOp:
    module, store = synthetic_model(SMALL)
    context = CompilerContext(store=store, target=load_target("pynq-z2"), overlay=overlay)
    if passes:
        run_passes(module, parse_passes(passes), context)
    return module


def refusal(passes: str, **options: KernelLimits) -> TritloomError:
    with pytest.raises(TritloomError) as caught:
        lowered(passes, **options)
    return caught.value


def test_names() -> None:
    assert list(PASSES) == NAMES + NET_NAMES
    assert [current.name for current in net_passes()] == NET_NAMES
    assert [current.name for current in default_passes()] == NAMES


@pytest.mark.parametrize("name", NAMES + NET_NAMES)
def test_every_pass_shows_what_it_does(name: str) -> None:
    text = inspect.getdoc(PASSES[name]) or ""
    before, found, after = text.partition("Before:\n")[2].partition("After:\n")
    assert found
    assert before.strip()
    assert after.strip()


def test_records_say_what_changed() -> None:
    module, store = synthetic_model(SMALL)
    context = CompilerContext(store=store, target=load_target("pynq-z2"))
    records = run_passes(module, default_passes(), context)
    assert [record.name for record in records] == NAMES
    assert {record.name for record in records if not record.changed} >= {"verify-schedule", "merge-linears"}
    assert records[0].ops_after < records[0].ops_before


def test_text_between_any_two_passes_parses_back() -> None:
    module, store = synthetic_model(SMALL)
    context = CompilerContext(store=store, target=load_target("pynq-z2"))
    for current in default_passes():
        run_passes(module, [current], context)
        module = parse_ir(ir_text(module))
    whole, store = synthetic_model(SMALL)
    run_passes(whole, default_passes(), CompilerContext(store=store, target=load_target("pynq-z2")))
    assert ir_text(module) == ir_text(whole)


ILLEGAL = {
    "schedule": "Run 'choose-mapping' first.",
    "tile": "Run 'choose-mapping' first.",
    "plan-memory": "Run 'choose-mapping' first.",
    "verify-schedule": "Run 'choose-mapping' first.",
    "lower-to-hls": "Run 'choose-mapping' first.",
    "pack-weights": "Run 'tile' first.",
    f"{FRONT},pack-weights": "Run 'tile' first.",
    f"{FRONT},tile,lower-to-hls": "Run 'plan-memory' first.",
    f"{FRONT},tile,verify-schedule": "Run 'plan-memory' first.",
    f"{FRONT},plan-memory,lower-to-hls": "Run 'tile' first.",
    f"{FRONT},plan-memory,verify-schedule": "Run 'tile' first.",
    f"{FRONT},plan-memory,schedule": "Run 'schedule' before 'plan-memory'.",
    f"{FRONT},plan-memory,tile": "Run 'tile' before 'plan-memory'.",
    **{f"{FRONT},{name}": f"Run '{name}' before 'choose-mapping'." for name in NAMES[:5]},
    f"{FRONT},choose-mapping": "Run 'choose-mapping' before 'choose-mapping'.",
}


@pytest.mark.parametrize("passes", ILLEGAL)
def test_an_illegal_order_is_refused(passes: str) -> None:
    error = refusal(passes)
    assert isinstance(error, InputError)
    assert error.hint == ILLEGAL[passes]


def test_a_module_without_model_is_refused() -> None:
    module = parse_ir('builtin.module { tern.vector "v" {length = 4 : i64} }')
    for name in NAMES:
        with pytest.raises(InputError):
            run_passes(module, parse_passes(name), CompilerContext(target=load_target("pynq-z2")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fuse-nrom", "there is no pass 'fuse-nrom'"),
        ("tile{lanes=", "the pipeline 'tile{lanes=' does not parse"),
        ("tile{width=8}", "pass 'tile'"),
        ("tile{lanes=wide}", "pass 'tile'"),
    ],
)
def test_a_bad_pipeline_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match="^" + message.replace("{", r"\{")):
        parse_passes(text)


def test_options() -> None:
    assert [current.lanes for current in parse_passes("tile{lanes=8}") if hasattr(current, "lanes")] == [8]


@pytest.mark.parametrize(("options", "message"), [("lanes=5", "lanes must be 4, 8 or 16"), ("batch=0", "batch")])
def test_tile_refuses_what_no_kernel_takes(options: str, message: str) -> None:
    assert message in refusal(f"{FRONT},tile{{{options}}}").message


def test_tile_needs_a_board() -> None:
    module = lowered(FRONT)
    with pytest.raises(InputError, match="needs a board"):
        run_passes(module, parse_passes("tile"), CompilerContext())


def test_tile_checks_an_existing_kernel() -> None:
    fits = KernelLimits(1, 128, 1, 4, k_max=160, vector_words=1024, state_words=64, program_max=32)
    module = lowered(f"{FRONT},tile,plan-memory,verify-schedule", overlay=fits)
    assert "k_max = 160" in ir_text(module)
    small = KernelLimits(1, 128, 1, 4, k_max=80, vector_words=64, state_words=16, program_max=8, code_slots=1)
    assert refusal(f"{FRONT},tile", overlay=small).message == (
        "the model exceeds the kernel's limits: k_max 96 > 80, code_slots 2 > 1, vector_words 192 > 64,"
        " state_words 48 > 16, program_max 15 > 8"
    )


def test_plan_memory_may_run_twice() -> None:
    once = lowered(f"{FRONT},schedule,tile,plan-memory")
    twice = lowered(f"{FRONT},schedule,tile,plan-memory,plan-memory")
    assert ir_text(once) == ir_text(twice)


def test_passes_keep_locations_and_bindings() -> None:
    module, store = synthetic_model(SMALL)
    ops: list[Operation] = list(model_of(module).body.block.ops)
    for index, op in enumerate(ops[:-1]):
        loc = location([f"/node{index}"])
        assert loc is not None
        op.location = loc
        bind(op, [f"t{index}.{result.index}" for result in op.results])
    logits = bound_tensor(ops[-1].operands[0])
    run_passes(module, default_passes(), CompilerContext(store=store, target=load_target("pynq-z2")))
    program = [op for op in model_of(module).body.block.ops if op.name != "tern.return"]
    assert all(onnx_names(op) for op in program)
    assert bound_tensor(program[-1].results[0]) == logits
    hgrn = next(op for op in program if isinstance(op, LinearOp) and op.state is not None)
    gates = {f"/node{index}" for index, op in enumerate(ops) if op.name in ("tern.recurrence", "tern.dequantize")}
    assert gates & set(onnx_names(hgrn))
    assert bound_tensor(hgrn.results[1]) is not None
    assert bound_tensor(hgrn.results[0]) is None  # silu(h) is no tensor of the graph, which has (n*h)*sigmoid(h)
