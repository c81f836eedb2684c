"""Feed-forward nets built by hand in the `tern` dialect, and lowered for the emulated kernel."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from tritloom.backend.flow_design import FlowDesign
from tritloom.backend.flow_hls import render_flow
from tritloom.backend.flow_stages import flow_design, input_bytes, output_bytes
from tritloom.backend.hls import HlsTarget
from tritloom.ir import tern
from tritloom.ir.interpreter.net import net_of
from tritloom.ir.mlir import IntegerType, ModuleOp, Operation, SSAValue, f32
from tritloom.ir.ranking import ranking
from tritloom.ir.steps import StepFunction, uniform
from tritloom.ir.store import WeightStore, trits_hash
from tritloom.ir.tern import Window
from tritloom.passes import CompilerContext, net_passes, run_passes
from tritloom.runtime.emulator.net_kernel import FlowCall
from tritloom.targets import load_target


def square(kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> Window:
    """The same in rows and columns."""
    return Window([kernel] * 2, [stride] * 2, [pad] * 4, [dilation] * 2)


@dataclass
class NetBuilder:
    """A net of one input: layers append themselves, and return the value they give."""

    shape: tuple[int, ...]
    element: IntegerType | None = None
    """Codes that the input holds; None for floats."""
    seed: int = 0
    store: WeightStore = field(default_factory=WeightStore)
    symbols: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        order = list(range(len(self.shape)))
        port = tern.PortAttr.of("x", list(self.shape), order)
        self.outputs = tern.PortAttr.of("y", [1], [0])
        self.net = tern.NetOp("net", [port], [self.outputs], [tern.tensor_of(self.shape, self.element or f32)])
        self.input: SSAValue = self.net.body.block.args[0]

    def add(self, op: Operation) -> SSAValue:
        self.net.body.block.add_op(op)
        return op.results[0]

    def weight(self, rows: int, cols: int) -> str:
        name = f"w{len(self.symbols)}"
        trits = self.random.integers(-1, 2, (rows, cols)).astype(np.int8)
        self.store.add(name, lambda: trits)
        self.symbols.append(tern.WeightOp(name, rows, cols, 1.0, trits_hash(trits)))
        return name

    def steps(self, function: StepFunction) -> str:
        name = f"q{len(self.symbols)}"
        self.store.functions[name] = function
        numbers = (function.channels, function.operands, function.low, function.step, function.levels)
        self.symbols.append(tern.StepsOp(name, *numbers, function.digest))
        return name

    def vector(self, values: np.ndarray) -> str:
        name = f"v{len(self.symbols)}"
        self.store.add(name, lambda: values.astype(np.float32))
        self.symbols.append(tern.VectorOp(name, len(values)))
        return name

    def quantize(self, value: SSAValue, bits: int = 8) -> SSAValue:
        """uint codes of floats in 0 .. 1."""
        top = (1 << bits) - 1
        function = StepFunction(((Fraction(top),),), (Fraction(0),), (uniform(0, top),), 0)
        return self.add(tern.QuantizeOp(value, self.steps(function), tern.integer_type(bits, signed=False)))

    def conv(self, value: SSAValue, filters: int, window: Window, groups: int = 1) -> SSAValue:
        channels = tern.shape_of(value)[2]
        size = window.taps * channels // groups
        name = self.weight(filters, size)
        low, high = tern.range_of(tern.element_of(value))
        most = size * max(abs(low), high)
        return self.add(tern.Conv2dOp(value, name, filters, window, tern.integer_for(-most, most), groups))

    def dense(self, value: SSAValue, rows: int) -> SSAValue:
        size = int(np.prod(tern.shape_of(value)))
        low, high = tern.range_of(tern.element_of(value))
        most = size * max(abs(low), high)
        return self.add(tern.DenseOp(value, self.weight(rows, size), rows, tern.integer_for(-most, most)))

    def requantize(self, *values: SSAValue, bits: int = 2, signed: bool = False, channelwise: bool = True) -> SSAValue:
        """Codes of sums, of about a normal distribution's spread."""
        channels = tern.shape_of(values[0])[-1] if channelwise else 1
        low = -(1 << bits - 1) if signed else 0
        high = low + (1 << bits) - 1
        scales = []
        for value in values:
            top = tern.range_of(tern.element_of(value))[1]
            slope = Fraction(high - low, max(1, top // 3))
            scales.append(tuple(slope * Fraction(int(part), 64) for part in self.random.integers(32, 96, channels)))
        offset = tuple(Fraction(int(part), 16) for part in self.random.integers(-20, 20, channels))
        function = StepFunction(tuple(scales), offset, (uniform(low, high),), low)
        name = self.steps(function)
        return self.add(tern.RequantizeOp(list(values), name, tern.integer_type(bits, signed)))

    def pool(self, value: SSAValue, kind: tern.Pooling, window: Window) -> SSAValue:
        return self.add(tern.PoolOp(value, kind, window))

    def scores(self, value: SSAValue) -> SSAValue:
        """The sums as they are."""
        channels = tern.shape_of(value)[-1]
        return self.add(tern.ScoresOp(value, self.vector(np.ones(channels)), self.vector(np.zeros(channels))))

    def top_k(self, value: SSAValue, count: int, *, last: bool = False, biased: bool = True) -> tern.TopKOp:
        """The best channels: of one scale, with offsets of thirds of it, or without offsets."""
        channels = tern.shape_of(value)[-1]
        offset = [Fraction(int(part), 3) for part in self.random.integers(-9, 9, channels)]
        found = ranking([Fraction(1)], offset if biased else [Fraction(0)], *tern.range_of(tern.element_of(value)))
        assert found is not None
        name = f"r{len(self.symbols)}"
        self.store.rankings[name] = found
        numbers = (len(found.multiplier), len(found.bias), found.bits, found.multiplier_bits)
        self.symbols.append(tern.RankingOp(name, *numbers, found.digest))
        op = tern.TopKOp(value, name, count, last)
        self.add(op)
        return op

    def finish(self, value: SSAValue) -> ModuleOp:
        """The module whose scores are `value`."""
        return self.returning(y=self.scores(value))

    def returning(self, **outputs: SSAValue) -> ModuleOp:
        """The module with these outputs, each in the layout that it has; indices as int64."""
        self.net.body.block.add_op(tern.ReturnOp(list(outputs.values())))
        ports = []
        for name, value in outputs.items():
            shape = tern.shape_of(value)
            dtype = "float32" if value.type == tern.tensor_of(shape, f32) else "int64"
            ports.append(tern.PortAttr.of(name, list(shape), list(range(len(shape))), dtype))
        self.net.properties["outputs"] = type(self.net.outputs)(ports)
        module = ModuleOp([*self.symbols, self.net])
        module.verify()
        return module

    def frames(self, count: int) -> np.ndarray:
        """Random input."""
        if self.element is None:
            return self.random.random((count, *self.shape)).astype(np.float32)
        low, high = tern.range_of(self.element)
        return self.random.integers(low, high + 1, (count, *self.shape)).astype(np.int8 if low < 0 else np.uint8)


def lower(module: ModuleOp, store: WeightStore, board: str = "pynq-z2", fps: int | None = None) -> CompilerContext:
    """Run every pass of a net, in place."""
    context = CompilerContext(store=store, target=load_target(board))
    run_passes(module, net_passes(fps), context)
    return context


def residual_net(seed: int = 0) -> tuple[NetBuilder, ModuleOp]:
    """Float image, convolution, a depthwise branch beside a skip, max pool, dense."""
    net = NetBuilder((8, 8, 3), seed=seed)
    codes = net.requantize(net.conv(net.quantize(net.input), 8, square(3, pad=1)))
    branch = net.conv(codes, 8, square(3, pad=1), groups=8)
    joined = net.requantize(branch, codes, signed=True)
    pooled = net.pool(joined, tern.Pooling.MAX, square(2, stride=2))
    return net, net.finish(net.dense(pooled, 10))


@dataclass
class Emulated:
    """The kernel of a lowered net, compiled and called without a device."""

    design: FlowDesign
    library: ctypes.CDLL

    @staticmethod
    def build(folder: Path, design: FlowDesign, flavour: str, edit: Callable[[str], str] | None = None) -> Emulated:
        """Render and compile a design, its top.cpp edited."""
        for name, text in render_flow(design, HlsTarget("xc7z020clg400-1", 100.0, "pynq-z2")).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(edit(text) if edit is not None and name == "top.cpp" else text)
        options = ["CXXFLAGS=-O1", f"BUILD={folder}"]
        subprocess.run(["make", "-s", "-C", str(folder), flavour, *options], check=True)
        return Emulated(design, ctypes.CDLL(str(folder / f"libtritloom_{flavour}.so")))

    def run(self, frames: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
        """Sums int32 [frames, ...], and the initiations of every stage.

        Raises:
            RuntimeError: a deadlock, with the report.
        """
        design = self.design
        sent = np.zeros((len(frames), design.input_bytes), np.uint8)
        raw = np.ascontiguousarray(frames).view(np.uint8).reshape(len(frames), -1)
        sent[:, : raw.shape[1]] = raw
        sums = np.zeros((len(frames), design.output_bytes // 4), np.int32)
        counts = (ctypes.c_uint64 * len(design.stages))()
        call = FlowCall(
            input=sent.ctypes.data,
            output=sums.ctypes.data,
            frames=len(frames),
            initiations=counts,
            stages=len(design.stages),
        )
        self.library.tritloom_flow_emulate.argtypes = [ctypes.POINTER(FlowCall)]
        self.library.tritloom_flow_emulate_error.restype = ctypes.c_char_p
        if self.library.tritloom_flow_emulate(ctypes.byref(call)):
            raise RuntimeError(self.library.tritloom_flow_emulate_error().decode())
        return sums, dict(zip((stage.name for stage in design.stages), map(int, counts), strict=True))


def design_of(module: ModuleOp, store: WeightStore) -> FlowDesign:
    """The design of a lowered module."""
    net = net_of(module)
    assert net is not None
    assert input_bytes(net) % 4 == output_bytes(net) % 4 == 0
    return flow_design(module, store, net)
