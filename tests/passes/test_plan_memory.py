"""Liveness and allocation on random programs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tritloom.ir import engine, tern
from tritloom.ir.engine import ElementwiseOp, EpilogueKind, FunctionKind
from tritloom.ir.mlir import ModuleOp, SSAValue, SymbolRefAttr
from tritloom.ir.store import WeightStore, trits_hash
from tritloom.passes import CompilerContext, parse_passes, run_passes
from tritloom.passes.liveness import Lifetime, aligned, first_fit, lifetimes, peak
from tritloom.targets import load_target

LENGTHS = (16, 40, 48)
BINARY = [FunctionKind.ADD, FunctionKind.MUL, FunctionKind.MAX]


class RandomProgram:
    """Instructions over random earlier values, ending in logits."""

    def __init__(self) -> None:
        self.module = ModuleOp([])
        self.store = WeightStore()
        block = self.module.body.block
        block.add_op(tern.TableOp("t", 4, LENGTHS[0], "f32"))
        for length in LENGTHS:
            block.add_op(tern.VectorOp(f"g{length}", length))
            for rows in LENGTHS:
                trits = np.zeros((rows, length), np.int8)
                self.store.add(f"w{rows}x{length}", lambda trits=trits: trits)
                block.add_op(tern.WeightOp(f"w{rows}x{length}", rows, length, 0.5, trits_hash(trits)))
        self.model = tern.ModelOp("random", "ids", ["logits"], [])
        block.add_op(self.model)
        embed = engine.EmbedOp(self.model.body.block.args[0], SymbolRefAttr("t"), LENGTHS[0])
        self.model.body.block.add_op(embed)
        self.vectors: list[SSAValue] = [embed.result]
        self.quantised: list[engine.QuantizeOp] = []

    def add(self, op: ElementwiseOp | engine.ViewOp | engine.LinearOp) -> None:
        self.model.body.block.add_op(op)
        self.vectors.append(op.result)

    def quantise(self, a: SSAValue) -> engine.QuantizeOp:
        op = engine.QuantizeOp(a, None, None, SymbolRefAttr(f"g{engine.engine_length(a)}"), None, None, None)
        self.model.body.block.add_op(op)
        self.quantised.append(op)
        return op

    def linear(self, codes: SSAValue, rows: int, kind: EpilogueKind, src: SSAValue | None = None) -> engine.LinearOp:
        weight = SymbolRefAttr(f"w{rows}x{engine.engine_length(codes)}")
        return engine.LinearOp(codes, weight, kind, rows, src=src)

    def step(self, draw: st.DataObject) -> None:
        a = draw.draw(st.sampled_from(self.vectors))
        length = engine.engine_length(a)
        like = [value for value in self.vectors if value.type == a.type]
        match draw.draw(st.sampled_from(["unary", "binary", "view", "quantise", "linear", "linear"])):
            case "unary":
                self.add(ElementwiseOp(FunctionKind.RELU, a))
            case "binary":
                self.add(ElementwiseOp(draw.draw(st.sampled_from(BINARY)), a, draw.draw(st.sampled_from(like))))
            case "view" if length == 48:
                self.add(engine.ViewOp(a, 32, 16))
            case "quantise":
                self.quantise(a)
            case "linear" if self.quantised:
                codes = draw.draw(st.sampled_from(self.quantised)).codes
                if draw.draw(st.booleans()):
                    self.add(self.linear(codes, length, EpilogueKind.ADD, a))
                else:
                    self.add(self.linear(codes, draw.draw(st.sampled_from(LENGTHS)), EpilogueKind.STORE))

    def finish(self) -> ModuleOp:
        logits = self.linear(self.quantise(self.vectors[-1]).codes, 40, EpilogueKind.LOGITS)
        self.model.body.block.add_ops([logits, tern.ReturnOp([logits.result])])
        self.module.verify()
        return self.module


@settings(max_examples=40, deadline=None)
@given(draw=st.data(), steps=st.integers(0, 25))
def test_random_programs_are_sound(draw: st.DataObject, steps: int) -> None:
    program = RandomProgram()
    for _ in range(steps):
        program.step(draw)
    module = program.finish()
    context = CompilerContext(store=program.store, target=load_target("kv260"))
    run_passes(module, parse_passes("schedule,tile,plan-memory,verify-schedule,lower-to-hls"), context)
    for kind in (engine.VectorType, engine.CodesType):
        buffers = lifetimes(module, kind)
        places = {buffer.value: buffer.value.owner.properties for buffer in buffers}
        key = "address" if kind is engine.VectorType else "slot"
        starts = {value: properties[key].value.data for value, properties in places.items()}
        for one, other in combinations(buffers, 2):
            apart = starts[one.value] + one.size <= starts[other.value]
            apart = apart or starts[other.value] + other.size <= starts[one.value]
            assert apart or not one.overlaps(other)


def values(count: int) -> list[SSAValue]:
    block = tern.ModelOp("m", "ids", [], []).body.block
    return [block.insert_arg(engine.VectorType.new([*_length(1)]), index) for index in range(count)]


def _length(length: int) -> tuple[object]:
    from tritloom.ir.mlir import IntAttr

    return (IntAttr(length),)


spans = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 20), st.integers(0, 8)), max_size=20)


@given(spans=spans)
def test_first_fit_keeps_live_buffers_apart_and_wastes_no_end(spans: list[tuple[int, int, int]]) -> None:
    buffers = [
        Lifetime(value, 16 * size, start, start + length)
        for value, (size, start, length) in zip(values(len(spans)), spans, strict=True)
    ]
    addresses = first_fit(buffers)
    for one, other in combinations(buffers, 2):
        if one.overlaps(other):
            a, b = addresses[one.value], addresses[other.value]
            assert a + one.size <= b or b + other.size <= a
    live = [
        sum(buffer.size for buffer in buffers if buffer.start <= at <= buffer.end)
        for at in {buffer.start for buffer in buffers}
    ]
    assert max(live, default=0) <= peak(buffers, addresses) <= sum(buffer.size for buffer in buffers)


def test_aligned() -> None:
    assert [aligned(length) for length in (1, 16, 17)] == [16, 16, 32]
