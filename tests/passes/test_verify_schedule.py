"""verify-schedule catches every way in which a program can compute something else than its IR says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.synthetic import Shape, synthetic_model
from tritloom.ir import engine, tern
from tritloom.ir.engine import EpilogueKind
from tritloom.ir.mlir import IntegerAttr, ModuleOp, Operation, i64
from tritloom.passes import CompilerContext, default_passes, parse_passes, run_passes
from tritloom.passes.rewriting import model_of
from tritloom.passes.verify_schedule import ScheduleError
from tritloom.targets import load_target


@pytest.fixture
def module() -> ModuleOp:
    made, store = synthetic_model(Shape(layers=2))
    run_passes(made, default_passes(), CompilerContext(store=store, target=load_target("pynq-z2")))
    return made


def program(module: ModuleOp) -> list[Operation]:
    return engine.instruction_ops(module)


def place(op: Operation, **places: int) -> None:
    for name, value in places.items():
        op.properties[name] = IntegerAttr(value, i64)


def number(op: Operation, name: str) -> int:
    value = op.properties[name]
    assert isinstance(value, IntegerAttr)
    return value.value.data


def linears(module: ModuleOp, kind: EpilogueKind) -> list[engine.LinearOp]:
    return [op for op in program(module) if isinstance(op, engine.LinearOp) and op.kind is kind]


def quantisers(module: ModuleOp) -> list[engine.QuantizeOp]:
    return [op for op in program(module) if isinstance(op, engine.QuantizeOp)]


def move_before(op: Operation, other: Operation) -> None:
    block = op.parent_block()
    assert block is not None
    block.insert_op_before(block.detach_op(op), other)


def limits(module: ModuleOp, **changed: int) -> None:
    kernel = engine.kernel_of(module)
    assert kernel is not None
    values = {**kernel.limits.data, **{name: IntegerAttr(value, i64) for name, value in changed.items()}}
    kernel.properties["limits"] = type(kernel.limits)(values)


def swap_addresses(module: ModuleOp) -> None:
    first, second = linears(module, EpilogueKind.STORE)[:2]
    mine, theirs = number(first, "address"), number(second, "address")
    place(first, address=theirs)
    # The reader's view of the program is the IR's, so only one of the two is moved: they now lie over each other.
    assert mine != theirs


def result_over_operand(module: ModuleOp) -> None:
    add = linears(module, EpilogueKind.ADD)[0]
    assert add.src is not None
    assert isinstance(add.src.owner, Operation)
    place(add, address=number(add.src.owner, "address"))


def hgrn_over_its_input(module: ModuleOp) -> None:
    hgrn = linears(module, EpilogueKind.HGRN)[0]
    assert hgrn.src is not None
    assert isinstance(hgrn.src.owner, Operation)
    place(hgrn, address=number(hgrn.src.owner, "address"))


def wrong_slot(module: ModuleOp) -> None:
    place(quantisers(module)[1], slot=number(quantisers(module)[0], "slot"))


def stale_norm(module: ModuleOp) -> None:
    sharing = next(op for op in quantisers(module) if op.norm is not None)
    last = quantisers(module)[-1]
    assert last.norm is None
    move_before(last, sharing)


def one_slot_too_many(module: ModuleOp) -> None:
    place(quantisers(module)[0], slot=3)


def states_overlap(module: ModuleOp) -> None:
    place(linears(module, EpilogueKind.HGRN)[1], state_address=32)


def state_outside(module: ModuleOp) -> None:
    place(linears(module, EpilogueKind.HGRN)[1], state_address=1008)


def read_before_write(module: ModuleOp) -> None:
    store = linears(module, EpilogueKind.STORE)[1]
    move_before(store, program(module)[1])


def outside_vector_memory(module: ModuleOp) -> None:
    place(linears(module, EpilogueKind.SWIGLU)[0], address=960)


def too_many_instructions(module: ModuleOp) -> None:
    limits(module, program_max=4)


def codes_too_long(module: ModuleOp) -> None:
    limits(module, k_max=80)


FAULTS: dict[Callable[[ModuleOp], None], str] = {
    swap_addresses: r"engine.*: float \d+ was written by instruction \d+, not \d+",
    result_over_operand: r"engine.linear.*: its result lies over an operand",
    hgrn_over_its_input: r"engine.linear.*: its result lies over an operand",
    wrong_slot: r"engine.linear.*: slot 0 holds the codes of instruction \d+",
    stale_norm: r"engine.quantize.*: float|the norm factor in the register is that of instruction \d+",
    one_slot_too_many: r"instruction 1, engine.quantize.*: 48 codes in slot 3 exceed the kernel",
    states_overlap: r"engine.linear.*: state 'state.1' lies over state 'state.0'",
    state_outside: r"engine.linear.*: its state ends at 1056 of 1024 floats",
    read_before_write: r"engine.linear.*: slot \d holds the codes of instruction -1",
    outside_vector_memory: r"engine.linear.*: writes up to 1056 of 1024 floats",
    too_many_instructions: r"only 4 instructions fit",
    codes_too_long: r"engine.quantize.*: 96 codes in slot 0 exceed the kernel",
}


def verify(module: ModuleOp) -> None:
    run_passes(module, parse_passes("verify-schedule"), CompilerContext())


def test_a_sound_program_passes(module: ModuleOp) -> None:
    verify(module)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_named(module: ModuleOp, fault: Callable[[ModuleOp], None]) -> None:
    fault(module)
    # Passes verify the IR behind them; these faults are invisible to the verifier of operations.
    with pytest.raises(ScheduleError, match=FAULTS[fault]) as caught:
        verify(module)
    assert caught.value.hint == "This is a fault of the compiler: please report it with the model."


def test_a_norm_factor_of_another_vector(module: ModuleOp) -> None:
    """A quantiser between the statistics and their sharer, on a vector that is there by then."""
    sharing = next(op for op in quantisers(module) if op.norm is not None)
    between = engine.QuantizeOp(sharing.a, None, None, sharing.gain, None, None, None)
    place(between, slot=2)
    block = sharing.parent_block()
    assert block is not None
    block.insert_op_before(between, sharing)
    with pytest.raises(ScheduleError, match="the norm factor in the register is that of instruction 2"):
        verify(module)


def test_the_old_value_of_a_state(module: ModuleOp) -> None:
    hgrn = linears(module, EpilogueKind.HGRN)[0]
    assert hgrn.state is not None
    load = engine.LoadStateOp(hgrn.state)
    place(load, address=0, state_address=0)
    block = hgrn.parent_block()
    assert block is not None
    block.insert_op_after(load, hgrn)
    with pytest.raises(
        ScheduleError, match=r"engine.load_state.*: state 'state.0' was written by instruction 6, not -1"
    ):
        verify(module)


def test_a_state_in_two_places(module: ModuleOp) -> None:
    hgrn = linears(module, EpilogueKind.HGRN)[0]
    assert hgrn.next_state is not None
    load = engine.LoadStateOp(hgrn.next_state)
    place(load, address=0, state_address=96)
    block = hgrn.parent_block()
    assert block is not None
    block.insert_op_after(load, hgrn)
    with pytest.raises(ScheduleError, match=r"engine.load_state.*: state 'state.0' has two addresses"):
        verify(module)


def test_errors_name_the_onnx_nodes(module: ModuleOp) -> None:
    from tritloom.ir.locations import location

    add = linears(module, EpilogueKind.ADD)[0]
    loc = location(["/layers.0/o_proj/MatMul"])
    assert loc is not None
    add.location = loc
    result_over_operand(module)
    with pytest.raises(ScheduleError, match=r"engine.linear \(/layers.0/o_proj/MatMul\)"):
        verify(module)


def test_every_model_has_one_return(module: ModuleOp) -> None:
    assert isinstance(model_of(module).body.block.last_op, tern.ReturnOp)
