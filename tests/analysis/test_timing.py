"""Cycles of single instructions, and of instructions against the streams, worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritloom.analysis.flow import Levels, Supply, run, step
from tritloom.analysis.timing import Work, barrier, function_name, sum_tree, work_of
from tritloom.ir.instruction import (
    Epilogue,
    Instruction,
    LinearFlag,
    Opcode,
    QuantizeFlag,
    QuantizeFunction,
    TableFormat,
    VectorFlag,
    VectorFunction,
)
from tritloom.ir.kernel import KernelLimits
from tritloom.targets import load_target

LIMITS = KernelLimits(4, 128, batch=4, lanes=8, k_max=2880, vector_words=8192, state_words=24576, program_max=384)
# 64 bytes a cycle of weights, all that the memory gives; room for 100 beats a port.
EVEN = Supply(memory=64.0, weights=64.0, gains=16.0, weight_room=6400, gain_room=16384)
SLOW = Supply(memory=16.0, weights=32.0, gains=16.0, weight_room=6400, gain_room=16384)


def _linear(rows: int, k: int, epilogue: Epilogue) -> Instruction:
    return Instruction(Opcode.LINEAR, epilogue, length=k, rows=rows, slices=-(-k // 80))


def test_linear_by_hand() -> None:
    # 1024 rows in 256 groups of 4, 13 slices of 80 each (K = 1024 padded to 1040); three cycles a row in the gate.
    work = work_of(_linear(1024, 1024, Epilogue.HGRN), LIMITS)
    assert (work.beats, work.vector, work.gain_words) == (256 * 13, 3 * 1024, 128)
    assert work.latency == 12 + 20 + 190 + 3 * 25
    assert work.padding(LIMITS) == pytest.approx(1 - 1024 / 1040)


def test_a_last_group_is_padded() -> None:
    work = work_of(_linear(5, 80, Epilogue.STORE), LIMITS)
    assert (work.beats, work.padding(LIMITS)) == (2, pytest.approx(3 / 8))


def test_positions_of_a_batch_share_the_epilogue() -> None:
    instruction = _linear(1024, 1024, Epilogue.ADD)
    assert work_of(instruction, LIMITS, 4) == work_of(instruction, LIMITS, 1)


def test_the_head_fills_its_loop_for_each_64_rows() -> None:
    assert work_of(_linear(32000, 1024, Epilogue.LOGITS), LIMITS).vector == 2 * 32000 + 500 * 30


def test_constants_of_rows_come_with_the_gains() -> None:
    flags = LinearFlag.ROW_SUMS | LinearFlag.ROW_SCALES | LinearFlag.BIAS
    words = [
        work_of(dataclasses.replace(_linear(1024, 80, epilogue), flags=flags), LIMITS).gain_words
        for epilogue in (Epilogue.STORE, Epilogue.HGRN, Epilogue.LOGITS)
    ]
    assert words == [3 * 128, 4 * 128, 3 * 128]


def test_sum_tree_by_hand() -> None:
    # 8 lanes: 16 words: 8 + 4 + 2 + 1 additions in four levels, then three levels within a word; an adder takes 9.
    assert sum_tree(8) == 15 + 4 * 9 + 3 * 9


def test_barriers() -> None:
    assert barrier(QuantizeFunction.TWO, True, 8) == 2 * 78 + 115 + 25
    assert barrier(QuantizeFunction.ONE, True, 8) == 78 + 65 + 25
    assert barrier(QuantizeFunction.TWO, False, 8) == barrier(QuantizeFunction.NONE, True, 8) == 25


def test_statistics_without_codes_by_hand() -> None:
    alone = QuantizeFlag.NEW_STATS | QuantizeFlag.FACTOR_ONLY
    for function in (QuantizeFunction.MEAN, QuantizeFunction.ONE):
        work = work_of(Instruction(Opcode.QUANTIZE, function, alone, length=1024), LIMITS, 4)
        assert (work.gain_words, work.vector) == (0, 128 * 4)
        assert work.latency == 45 + 4 * (78 + 65 + 25 + 32)


def test_quantisers_without_gains_by_hand() -> None:
    for function in (QuantizeFunction.RANGE, QuantizeFunction.STATIC):
        work = work_of(Instruction(Opcode.QUANTIZE, function, length=1024), LIMITS)
        assert (work.gain_words, work.vector, work.latency) == (0, 2 * 128, 45 + 25 + 32)


def test_quantize_by_hand() -> None:
    instruction = Instruction(Opcode.QUANTIZE, QuantizeFunction.TWO, QuantizeFlag.NEW_STATS, length=1024)
    one, four = work_of(instruction, LIMITS), work_of(instruction, LIMITS, 4)
    assert (one.gain_words, one.vector) == (256, 128 * 2 + 128)
    assert (four.gain_words, four.vector) == (256, 128 * 5 + 128 * 4)
    assert one.latency == 45 + 296 + 32
    reused = work_of(Instruction(Opcode.QUANTIZE, QuantizeFunction.TWO, 0, length=1024), LIMITS)
    assert (reused.gain_words, reused.vector, reused.latency) == (128, 256, 45 + 25 + 32)


def test_vector_is_one_lane() -> None:
    instruction = Instruction(Opcode.VECTOR, VectorFunction.MUL, VectorFlag.B_STREAM, length=1000)
    assert (work_of(instruction, LIMITS, 2).vector, work_of(instruction, LIMITS).gain_words) == (2000, 125)


def test_embed_by_hand() -> None:
    assert work_of(Instruction(Opcode.EMBED, TableFormat.BF16, length=1024), LIMITS).vector == 128 + 60


@pytest.mark.parametrize(
    ("instruction", "name"),
    [
        (_linear(4, 80, Epilogue.SWIGLU), "linear.swiglu"),
        (Instruction(Opcode.QUANTIZE, QuantizeFunction.ONE), "quantize.one"),
        (Instruction(Opcode.EMBED, TableFormat.F16), "embed.f16"),
        (Instruction(Opcode.VECTOR, VectorFunction.SILU), "vector.silu"),
    ],
)
def test_names(instruction: Instruction, name: str) -> None:
    assert function_name(instruction) == name


def test_a_full_fifo_saves_its_beats_once() -> None:
    # 1000 beats of 64 bytes at 16 bytes a cycle: 4000 cycles; with 100 beats waiting, 3600.
    full = Levels(gains=16384)  # else the gain port takes its share first
    assert step(Work(beats=1000), full, LIMITS, SLOW).cycles == pytest.approx(4000)
    assert step(Work(beats=1000), Levels(weights=6400, gains=16384), LIMITS, SLOW).cycles == pytest.approx(3600)


def test_a_barrier_fills_the_fifo_up_to_its_room() -> None:
    done = step(Work(latency=100), Levels(), LIMITS, SLOW)
    assert (done.cycles, done.bound, done.levels.weights) == (100, "latency", pytest.approx(0))
    # The gain port takes the memory's 16 bytes a cycle first; when its 16 KiB are full, weights come.
    done = step(Work(latency=2000), Levels(gains=16384), LIMITS, SLOW)
    assert done.levels.weights == 6400


def test_barriers_cost_nothing_where_the_array_has_slack_and_all_where_it_has_none() -> None:
    barrier_then_rows = [Work(latency=50), Work(beats=1000)]
    slow, _ = run(barrier_then_rows, LIMITS, SLOW, passes=4)
    assert sum(one.cycles for one in slow) == pytest.approx(4000, rel=0.01)
    even, _ = run(barrier_then_rows, LIMITS, EVEN, passes=4)
    assert sum(one.cycles for one in even) == 1050
    assert even[1].bound == "array"


def test_gains_that_have_not_arrived_bind() -> None:
    # 1024 words of 32 bytes at 16 bytes a cycle.
    done = step(Work(gain_words=1024), Levels(), LIMITS, EVEN)
    assert (done.bound, done.cycles) == ("gains", 2048)


def test_supply_of_boards() -> None:
    kv260 = Supply.of(LIMITS, load_target("kv260"))
    assert (kv260.weights, kv260.gains) == (64.0, 16.0)
    assert kv260.memory == pytest.approx(64.0, rel=1e-3)
    limits = KernelLimits(2, 128, batch=1, lanes=4, k_max=1040, vector_words=1024, state_words=1024, program_max=128)
    zynq = Supply.of(limits, load_target("pynq-z2"))
    assert (zynq.weights, zynq.gains, zynq.memory) == (16.0, 8.0, pytest.approx(15.75))


WORKS = st.lists(
    st.builds(
        Work,
        beats=st.integers(0, 3000),
        gain_words=st.integers(0, 600),
        vector=st.integers(0, 4000),
        latency=st.integers(0, 400),
    ),
    min_size=1,
    max_size=12,
)


@given(WORKS, st.sampled_from([EVEN, SLOW]))
def test_no_pass_is_faster_than_its_bytes_or_its_units(works: list[Work], supply: Supply) -> None:
    steps, cycles = run(works, LIMITS, supply, passes=6)
    assert cycles >= sum(work.least for work in works) * (1 - 1e-9)
    total = sum(work.beats * 64 + work.gain_words * 32 for work in works)
    # Over many passes the FIFOs' contents no longer count; over one they may save what they hold.
    room = supply.weight_room + supply.gain_room
    assert cycles >= (total - room) / supply.memory - 1e-6
    assert all(0 <= one.levels.weights <= supply.weight_room + 1e-6 for one in steps)
    assert all(0 <= one.levels.gains <= supply.gain_room + 1e-6 for one in steps)
