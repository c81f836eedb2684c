"""Whole programs: fast = bounded = numpy, bit for bit, every trace; prompts, generation, early stops, bad programs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from kernel_library import (
    GREEDY,
    LOGITS_ALL,
    LOGITS_LAST,
    SEQUENCES,
    STOP_TOKEN,
    Image,
    Library,
    library,
    limits,
)
from programs_hls import elementwise, gain, general_model, language_model, trits
from reference_machine import Machine, Program, compare_traces, top
from tritloom.ir.instruction import Epilogue, Instruction, Opcode, QuantizeFunction, TableFormat, VectorFunction

BUILDS = ("fast", "bounded")
PROMPT = [3, 1, 4, 1, 5, 9, 2, 6, 5]
# Rows that no group divides, K that no slice divides; ports, widths, lanes and batches in turn.
KERNELS = [
    limits(),
    limits(ports=1, batch=1, lanes=4, port_fifo=2, gain_fifo=2),
    limits(ports=4, batch=4, lanes=16),
    limits(ports=1, port_bits=512, batch=1, lanes=16, topk=1),
    limits(ports=3, batch=3, lanes=4),
    limits(ports=2, port_bits=512, batch=4, lanes=8),
]


def names(kernel) -> str:
    return f"{kernel.ports}x{kernel.port_bits}-B{kernel.batch}-L{kernel.lanes}"


def check_run(library_: Library, program: Program, tokens, B: int = 1, N: int = 0, mode: int = LOGITS_ALL, **more):
    """One start against the machine: traces, logits, tokens, state, top-k."""
    outcome = library_.start(program.image(), tokens, B=B, N=N, mode=mode, traced=True, **more)
    machine = Machine(program)
    made = machine.run(tokens, B=B, N=N, mode=mode, stop_token=more.get("stop_token", 0))
    assert (outcome.returned, outcome.status) == (0, 0), library_.error()
    compare_traces(outcome.trace, machine.trace)
    assert list(outcome.tokens) == made
    assert (outcome.state == machine.state[: outcome.state.size]).all()
    last = machine.logits[max(machine.logits)]
    best = top(last, library_.kernel.topk)
    assert list(outcome.topk_index[: len(best)]) == best
    assert (outcome.topk_value[: len(best)] == last[best]).all()
    if mode & LOGITS_ALL:
        for position, logits in machine.logits.items():
            assert (outcome.logits[position, : logits.size] == logits).all()
    elif mode & LOGITS_LAST:
        assert (outcome.logits[0, : last.size] == last).all()
    return outcome


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("kernel", KERNELS, ids=names)
def test_language_model(kernel, build):
    program = language_model(kernel)
    check_run(library(kernel, build), program, PROMPT, B=kernel.batch, N=4, mode=GREEDY | LOGITS_ALL)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("kernel", KERNELS, ids=names)
def test_general_model(kernel, build):
    check_run(library(kernel, build), general_model(kernel), PROMPT, B=kernel.batch, N=4, mode=GREEDY | LOGITS_ALL)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("width", [1, 3, 16, 17])
def test_narrow_layers(build, width):
    """Fewer rows than lanes: no second word of the constants of rows."""
    program = general_model(limits(), seed=width, width=width, vocabulary=5)
    check_run(library(limits(), build), program, [3, 1, 4, 1], B=2, mode=LOGITS_ALL)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("form", list(TableFormat))
def test_embedding_tables(build, form):
    program = language_model(limits(), layers=1, form=form)
    check_run(library(limits(), build), program, PROMPT, B=2, mode=LOGITS_LAST)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("n", [16, 37])
def test_elementwise(build, n):
    check_run(library(limits(), build), elementwise(limits(), n=n), [1, 5, 8])
    check_run(library(limits(), build), elementwise(limits(), n=n, with_state=False), [1, 5, 8, 2], B=3)


@pytest.mark.parametrize("build", BUILDS)
def test_zero_vector_has_zero_codes(build):
    program = Program(limits())
    program.embed(np.stack([np.zeros(40), np.full(40, 1e-30), np.ones(40)]).astype(np.float32), 0)
    rng = np.random.default_rng(0)
    program.quantize(40, 0, 2, gain(rng, 40), func=QuantizeFunction.ONE, eps0=1e-6)
    program.linear(trits(rng, 8, 40), Epilogue.LOGITS, 2, 0.1, dst=8)
    outcome = check_run(library(limits(), build), program, [0, 1, 2], B=2)
    assert (outcome.logits[:2] == 0).all()


@pytest.mark.parametrize("build", BUILDS)
def test_the_largest_sums(build):
    """Every trit 1 and every code 127 or -127, over the 6,912 columns of a large model: 20 bits and the sign."""
    length, rows = 6912, 8
    kernel = limits(k_max=6960, vector_words=8192)
    program = Program(kernel)
    program.embed(np.stack([np.ones(length), -np.ones(length)]).astype(np.float32), 0)
    program.quantize(length, 0, 0, np.ones(length, np.float32), func=QuantizeFunction.NONE)
    program.linear(np.ones((rows, length), np.int8), Epilogue.LOGITS, 0, 0.5, dst=rows)
    outcome = check_run(library(kernel, build), program, [0, 1], B=2)
    sums = [values for (_, _, _, what), values in outcome.trace if what == "acc"]
    assert [values.tolist() for values in sums] == [[877824] * rows, [-877824] * rows]


@pytest.mark.parametrize("build", BUILDS)
def test_the_largest_sums_less_their_zero(build):
    """Codes 255 apart: 21 bits and the sign."""
    length, rows = 6912, 8
    kernel = limits(k_max=6960, vector_words=8192)
    program = Program(kernel)
    program.embed(np.stack([np.ones(length), -np.ones(length)]).astype(np.float32), 0)
    program.quantize_range(length, 0, 0)
    program.linear(np.ones((rows, length), np.int8), Epilogue.LOGITS, 0, 0.5, dst=rows, zero=True)
    outcome = check_run(library(kernel, build), program, [0, 1], B=2)
    sums = [values for (_, _, _, what), values in outcome.trace if what == "acc"]
    assert [values.tolist() for values in sums] == [[255 * length] * rows, [-255 * length] * rows]


@pytest.mark.parametrize("build", BUILDS)
def test_a_prompt_equals_single_steps(build):
    kernel = limits()
    image = language_model(kernel).image()
    whole = library(kernel, build).start(image, PROMPT, B=4)
    state = None
    for position, token in enumerate(PROMPT):
        step = library(kernel, build).start(image, [token], state=state)
        state = step.state
        assert (step.logits[0] == whole.logits[position]).all()
    assert (state == whole.state).all()


@pytest.mark.parametrize("build", BUILDS)
def test_one_start_of_n_tokens_equals_n_starts(build):
    kernel = limits()
    image = language_model(kernel).image()
    engine = library(kernel, build)
    whole = engine.start(image, PROMPT, B=4, N=6, mode=GREEDY)
    step = engine.start(image, PROMPT, B=4, N=1, mode=GREEDY)
    made = list(step.tokens)
    while len(made) < 6:
        step = engine.start(image, [made[-1]], N=1, mode=GREEDY, state=step.state)
        made += list(step.tokens)
    assert made == list(whole.tokens)
    assert (step.state == whole.state).all()


def test_tokens_to_generate_count_only_with_greedy():
    outcome = library(limits()).start(language_model(limits()).image(), PROMPT, N=3, mode=LOGITS_LAST)
    assert (outcome.status, outcome.count) == (0, 0)


@pytest.mark.parametrize("build", BUILDS)
def test_stop_token_ends_early(build):
    kernel = limits()
    program = language_model(kernel)
    made = Machine(program).run(PROMPT, B=4, N=12, mode=GREEDY)
    stop = made[4]
    first = made.index(stop)
    mode = GREEDY | STOP_TOKEN
    outcome = check_run(library(kernel, build), program, PROMPT, B=4, N=12, mode=mode, stop_token=stop)
    assert outcome.count == first + 1
    passes, done = 3 + 11, 3 + first
    assert outcome.progress == (done, 1, min(done, passes - 1))
    # Nothing is left over: the next start finds everything as new.
    again = library(kernel, build).start(program.image(), PROMPT, B=4, N=12, mode=GREEDY)
    assert list(again.tokens) == made


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("stop_at", [0, 2, 3, 6])
def test_the_host_stops_a_run(build, stop_at):
    kernel = limits()
    program = language_model(kernel)
    engine = library(kernel, build)
    outcome = engine.start(program.image(), PROMPT, B=4, N=5, mode=GREEDY, traced=True, stop_at=stop_at)
    assert (outcome.returned, outcome.status) == (0, 0), engine.error()
    passes = 3 + 4
    assert outcome.progress == (stop_at + 1, 1, min(stop_at + 1, passes - 1))
    assert outcome.count == max(0, stop_at - 1)
    machine = Machine(program)
    if stop_at < 3:
        machine.run(PROMPT[: 4 * (stop_at + 1)], B=4)
    else:
        machine.run(PROMPT, B=4, N=stop_at - 1, mode=GREEDY)
    assert (outcome.state == machine.state[: outcome.state.size]).all()


@pytest.mark.parametrize("build", BUILDS)
def test_the_processor_may_flush_subnormals(build):
    kernel = limits()
    program = language_model(kernel)
    program.table[:5] *= np.float32(1e-22)  # squares and products far below the smallest normal number
    engine = library(kernel, build)
    runs = []
    for on in (False, True):
        supported = engine.set_flush(on)
        runs.append(engine.start(program.image(), PROMPT, B=4, N=4, mode=GREEDY | LOGITS_ALL, traced=True))
        engine.set_flush(False)
    if not supported:
        pytest.skip("this processor cannot flush subnormals")
    compare_traces(runs[0].trace, runs[1].trace)
    assert (runs[0].logits == runs[1].logits).all()


def changed(image: Image, index: int, **fields: object) -> Image:
    """The image with fields of one instruction replaced."""
    words = bytearray(image.program)
    op = Instruction.decode(bytes(words[64 * index : 64 * index + 64]))
    words[64 * index : 64 * index + 64] = dataclasses.replace(op, **fields).encode()
    return dataclasses.replace(image, program=bytes(words))


OPCODE, LIMIT, TOKEN, ARGUMENT, RESERVED = 1, 2, 3, 4, 5
BAD = [  # instruction of the language model, fields, status
    (0, {"opcode": 77}, OPCODE),
    (0, {"func": 3}, OPCODE),
    (1, {"func": 3}, OPCODE),
    (1, {"flags": 4}, OPCODE),
    (1, {"flags": 5}, OPCODE),
    (1, {"flags": 7, "func": 1}, OPCODE),
    (1, {"flags": 8}, OPCODE),
    (1, {"func": 4, "flags": 1}, OPCODE),
    (1, {"func": 6, "flags": 0}, OPCODE),
    (4, {"func": 5}, OPCODE),
    (4, {"flags": 8}, OPCODE),
    (4, {"opcode": Opcode.VECTOR, "func": 6}, OPCODE),
    (4, {"opcode": Opcode.VECTOR, "func": 21}, OPCODE),
    (4, {"opcode": Opcode.VECTOR, "func": int(VectorFunction.ADD), "flags": 3}, OPCODE),
    (4, {"opcode": Opcode.VECTOR, "func": int(VectorFunction.ADD), "flags": 18}, OPCODE),
    (4, {"opcode": Opcode.VECTOR, "func": int(VectorFunction.SILU), "flags": 16}, OPCODE),
    (4, {"opcode": Opcode.VECTOR, "func": int(VectorFunction.ADD), "flags": 32}, OPCODE),
    (0, {"dst": 2048 - 96}, LIMIT),
    (0, {"dst": 8}, LIMIT),
    (0, {"length": 0}, LIMIT),
    (1, {"length": 241}, LIMIT),
    (1, {"slot": 3}, LIMIT),
    (1, {"func": 5, "flags": 0, "low": -129, "high": 127}, LIMIT),
    (1, {"func": 5, "flags": 0, "low": 2, "high": 1}, LIMIT),
    (1, {"func": 5, "flags": 0, "low": -1, "high": 128}, LIMIT),
    (1, {"func": 5, "flags": 0, "low": -1, "high": 1, "zero": 128}, LIMIT),
    (1, {"func": 1, "flags": 5, "length": 4000}, LIMIT),
    (1, {"src0": 0xFFFFFFF0}, LIMIT),
    (4, {"slices": 3}, LIMIT),
    (4, {"rows": 0}, LIMIT),
    (4, {"rows": 101}, LIMIT),
    (4, {"rows": 4000}, LIMIT),
    (5, {"state": 512}, LIMIT),
    (10, {"rows": 303}, LIMIT),
]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(("index", "fields", "status"), BAD)
def test_a_bad_program_is_refused(build, index, fields, status):
    image = changed(language_model(limits()).image(), index, **fields)
    outcome = library(limits(), build).start(image, PROMPT, B=4, N=3, mode=GREEDY)
    assert (outcome.returned, outcome.status, outcome.count) == (0, status, 0)
    assert outcome.progress == (0, 1, 1)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"T": 0}, ARGUMENT),
        ({"B": 0}, ARGUMENT),
        ({"B": 5}, ARGUMENT),
        ({"instructions": 65}, ARGUMENT),
        ({"mode": 32}, ARGUMENT),
        ({"mode": SEQUENCES}, RESERVED),
        ({"port_beats": 12}, LIMIT),
        ({"gain_beats": 12}, LIMIT),
    ],
)
def test_bad_arguments_are_refused(build, arguments, status):
    outcome = library(limits(), build).start(language_model(limits()).image(), PROMPT, **arguments)
    assert (outcome.returned, outcome.status) == (0, status)


@pytest.mark.parametrize("build", BUILDS)
def test_a_state_outside_hgrn_wants_single_positions(build):
    outcome = library(limits(), build).start(elementwise(limits()).image(), [1, 2], B=2)
    assert (outcome.returned, outcome.status) == (0, ARGUMENT)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(("at", "passes"), [(0, 0), (5, 1), (8, 2)])
def test_a_token_outside_the_table_stops_the_run(build, at, passes):
    """The passes before it count; the state covers them."""
    program = language_model(limits())
    tokens = [*PROMPT[:at], 70, *PROMPT[at + 1 :]]
    outcome = library(limits(), build).start(program.image(), tokens, B=4, N=3, mode=GREEDY)
    assert (outcome.returned, outcome.status, outcome.count) == (0, TOKEN, 0)
    assert outcome.progress[:2] == (passes, 1)
    machine = Machine(program)
    machine.run(PROMPT[: 4 * passes], B=4)
    assert (outcome.state == machine.state[: outcome.state.size]).all()


def test_a_fifo_one_word_short_is_a_reported_deadlock():
    """A quantiser's scale follows the last element of the batch, so the u FIFO must hold the whole batch."""
    kernel = limits()
    words = 4 * -(-152 // kernel.lanes)
    image = language_model(kernel).image()
    exact = library(kernel, "bounded", f"-O1 -DTRITLOOM_U_FIFO={words}")
    assert exact.start(image, PROMPT, B=4).returned == 0
    short = library(kernel, "bounded", f"-O1 -DTRITLOOM_U_FIFO={words - 1}")
    for _ in range(2):  # nothing of the first run is left in the second
        outcome = short.start(image, PROMPT, B=4)
        assert outcome.returned == 1
        report = short.error()
        assert "statistics waits for room: stream u_words is full" in report
        assert "quantiser waits for data: stream scales is empty" in report
        assert "engine_process waits for its own region" in report
        assert "weight_reader waits for room: stream weights[0] is full" in report
    assert short.start(image, PROMPT[:1]).returned == 0
    assert short.error() == ""


def test_counters():
    kernel = limits()
    image = language_model(kernel).image()
    beats = len(image.ports[0]) // 16
    for build in BUILDS:
        counters = library(kernel, build).start(image, PROMPT, B=4).counters
        assert counters["busy"] == 3 * beats
        assert counters["cycles"] >= counters["busy"]


@pytest.mark.long
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("seed", range(8))
def test_random_models(build, seed):
    rng = np.random.default_rng(seed)
    kernel = KERNELS[seed % len(KERNELS)]
    sizes = {"width": int(rng.integers(1, 200)), "inner": int(rng.integers(1, 240)), "layers": int(rng.integers(1, 3))}
    program = language_model(kernel, seed, vocabulary=int(rng.integers(10, 300)), **sizes)
    check_run(library(kernel, build), program, PROMPT, B=kernel.batch, N=6, mode=GREEDY | LOGITS_ALL)
