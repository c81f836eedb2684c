"""Estimate of a program on a board: cycles, tokens per second, resources, memory (docs/estimate.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..ir.instruction import INSTRUCTION_BYTES, Epilogue, Instruction, Opcode
from ..ir.kernel import KernelLimits
from ..targets import Target
from . import constants as c
from .area import Block, FloatPlan, blocks
from .flow import Step, Supply, run
from .timing import Work, embedding_bytes, function_name, work_of

PAGE: Final = 4096
CONTROL_PAGE: Final = 4096
TOKEN_BUFFERS: Final = 64 * 1024
"""Tokens in and out, as the runtime allocates them at first: 8192 each, 4 bytes a token."""
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Label:
    """Where an instruction comes from."""

    op: str
    """Text of the IR op."""
    onnx: str = ""
    """Name of the ONNX node."""


@dataclass(frozen=True)
class InstructionCost:
    """One row of the cycle table: a decoding step of one token. Times in clock cycles."""

    index: int
    name: str
    op: str
    onnx: str
    rows: int
    length: int
    weight_bytes: int
    gain_bytes: int
    padding_share: float
    stream_cycles: float
    """Its bytes over the delivered bandwidth."""
    array_cycles: int
    vector_cycles: int
    barrier_cycles: int
    """Pipeline fill, and for a quantiser the wait for its scale."""
    cycles: float
    """What it takes in the model, FIFO contents included."""
    bound: str
    """What decides: stream, gains, array, vector, or barrier."""


@dataclass(frozen=True)
class Throughput:
    """A pass over the weights."""

    positions: int
    cycles: float
    tokens_per_second: float
    cycles_by_bound: dict[str, float]
    """Cycles of the pass by what decided them; `between passes` is the overhead."""


@dataclass(frozen=True)
class ResourceUse:
    """One resource against the board's."""

    resource: str
    used: float
    available: float

    @property
    def share(self) -> float:
        return self.used / self.available if self.available else (0.0 if not self.used else float("inf"))


@dataclass(frozen=True)
class MemoryUse:
    """DRAM that the board must give, in bytes; each buffer is contiguous and starts on a page."""

    images: dict[str, int]
    buffers: dict[str, int]
    contiguous: int
    cma: int
    ddr: int


@dataclass(frozen=True)
class Estimate:
    """Everything that is expected of a program on a board. No figure here is a measurement."""

    board: str
    board_title: str
    clock_mhz: float
    limits: dict[str, int]
    instructions: tuple[InstructionCost, ...]
    token: Throughput
    prompt: Throughput
    weight_bytes: int
    gain_bytes: int
    embedding_bytes: int
    bytes_per_token: int
    padding_share: float
    delivered_gb_s: float
    wire_gb_s: float
    array_gb_s: float
    bandwidth_share: float
    """Bytes of a token over what the memory could have delivered in its time."""
    blocks: tuple[Block, ...]
    resources: tuple[ResourceUse, ...]
    float_plan: FloatPlan
    memory: MemoryUse
    warnings: tuple[str, ...]
    label: str = "estimated"

    @property
    def cycles_per_token(self) -> float:
        return self.token.cycles

    @property
    def tokens_per_second(self) -> float:
        return self.token.tokens_per_second

    def resource(self, name: str) -> ResourceUse:
        """Use of `lut`, `ff`, `bram36`, `uram` or `dsp`."""
        return next(use for use in self.resources if use.resource == name)

    def as_dict(self) -> dict[str, Any]:
        """For `--json`, report.json and the manifest."""
        return {
            **dataclasses.asdict(self),
            "cycles_per_token": round(self.cycles_per_token),
            "tokens_per_second": self.tokens_per_second,
        }


def _throughput(
    program: Sequence[Instruction], works: Sequence[Work], steps: Sequence[Step], cycles: float,
    positions: int, target: Target
) -> Throughput:  # fmt: skip
    by_bound: dict[str, float] = {}
    for instruction, work, step in zip(program, works, steps, strict=True):
        bound, fill = _bound(instruction, step), "barrier" if work.latency else ""
        by_bound[bound] = by_bound.get(bound, 0.0) + step.cycles - work.latency
        if fill:
            by_bound[fill] = by_bound.get(fill, 0.0) + work.latency
    by_bound["between passes"] = float(c.PASS_OVERHEAD)
    return Throughput(positions, cycles, positions * target.clock_hz / cycles, by_bound)


def _bound(instruction: Instruction, step: Step) -> str:
    return "barrier" if step.bound == "latency" else step.bound


def _row(
    index: int,
    instruction: Instruction,
    work: Work,
    step: Step,
    label: Label,
    limits: KernelLimits,
    supply: Supply,
) -> InstructionCost:
    weight_bytes = work.beats * limits.ports * limits.port_bits // 8
    gain_bytes = work.gain_words * 4 * limits.lanes
    rate = min(supply.memory, supply.weights)
    return InstructionCost(
        index=index,
        name=function_name(instruction),
        op=label.op,
        onnx=label.onnx,
        rows=instruction.rows if instruction.opcode is Opcode.LINEAR else 0,
        length=instruction.length,
        weight_bytes=weight_bytes,
        gain_bytes=gain_bytes,
        padding_share=work.padding(limits),
        stream_cycles=weight_bytes / rate + gain_bytes / min(supply.memory, supply.weights + supply.gains),
        array_cycles=work.beats,
        vector_cycles=work.vector,
        barrier_cycles=work.latency,
        cycles=step.cycles,
        bound=_bound(instruction, step),
    )


def _buffers(program: Sequence[Instruction], limits: KernelLimits) -> dict[str, int]:
    """Working buffers: state, one row of logits per position of a pass, tokens, top-k, control page, program."""
    logits = max(
        (
            max(instruction.dst, instruction.rows)
            for instruction in program
            if instruction.opcode is Opcode.LINEAR and instruction.func == Epilogue.LOGITS
        ),
        default=0,
    )
    return {
        "state": 4 * limits.state_words,
        "logits": 4 * logits * limits.batch,
        "tokens": TOKEN_BUFFERS,
        "topk": 8 * limits.topk,
        "control": CONTROL_PAGE,
    }


def _pages(size: int) -> int:
    return -(-size // PAGE) * PAGE


def _memory(images: Mapping[str, int], buffers: Mapping[str, int], target: Target) -> MemoryUse:
    return MemoryUse(
        images=dict(images),
        buffers=dict(buffers),
        contiguous=sum(map(_pages, images.values())) + sum(map(_pages, buffers.values())),
        cma=target.memory.cma_mb * MIB,
        ddr=target.memory.size_mb * MIB,
    )


def _default_images(program: Sequence[Instruction], works: Sequence[Work], limits: KernelLimits) -> dict[str, int]:
    """Sizes from the program alone; an embedding table's rows are in its instruction."""
    beats = sum(work.beats for work in works)
    images = {f"port{port}": _pages(beats * limits.port_bits // 8) for port in range(limits.ports)}
    images["gains"] = _pages(sum(work.gain_words for work in works) * 4 * limits.lanes)
    tables = [i for i in program if i.opcode is Opcode.EMBED]
    images["embedding"] = sum(i.rows * -(-embedding_bytes(i) // 16) * 16 for i in tables)
    images["program"] = len(program) * INSTRUCTION_BYTES
    return images


def _uses(all_blocks: Sequence[Block], target: Target) -> tuple[ResourceUse, ...]:
    available = target.resources
    return (
        ResourceUse("lut", sum(b.lut for b in all_blocks), available.lut),
        ResourceUse("ff", sum(b.ff for b in all_blocks), available.ff),
        ResourceUse("bram36", sum(b.bram36 for b in all_blocks), available.bram36),
        ResourceUse("uram", sum(b.uram for b in all_blocks), available.uram),
        ResourceUse("dsp", sum(b.dsp for b in all_blocks), available.dsp),
    )


def resource_uses(limits: KernelLimits, target: Target) -> tuple[ResourceUse, ...]:
    """Resources of a kernel on a board, the program aside."""
    return _uses(blocks(limits, target)[0], target)


def _warnings(uses: Sequence[ResourceUse], memory: MemoryUse) -> tuple[str, ...]:
    found = [
        f"{use.resource.upper()} {use.share:.0%} full: placement above 80 % is slow and may miss timing"
        for use in uses
        if use.resource in ("lut", "ff") and 0.8 < use.share <= 1
    ]
    if memory.contiguous > memory.cma:
        need = -(-memory.contiguous * 5 // 4 // MIB // 64) * 64 + 64
        found.append(
            f"needs {memory.contiguous / MIB:.0f} MiB of contiguous memory, the image's default is"
            f" {memory.cma / MIB:.0f} MiB: add cma={need}M to the board's boot arguments"
        )
    return tuple(found)


def estimate(
    program: Sequence[Instruction],
    limits: KernelLimits,
    target: Target,
    *,
    labels: Sequence[Label] = (),
    images: Mapping[str, int] | None = None,
    buffers: Mapping[str, int] | None = None,
    max_batch: int | None = None,
) -> Estimate:
    """Cycles, throughput, resources and memory of `program`.

    Args:
        program: the macro-instructions of one token.
        limits: the kernel.
        target: the board.
        labels: IR op and ONNX node, indexed by an instruction's `op`.
        images: bytes by name (`port0`, ..., `gains`, `embedding`, `program`); by default worked out from the program.
        buffers: bytes of working buffers by name; by default what the runtime allocates.
        max_batch: positions a prompt pass may hold (1 where a state is updated serially); by default the kernel's.
    """
    if not program:
        raise ValueError("estimate: the program has no instructions")
    supply = Supply.of(limits, target)
    works = [work_of(instruction, limits, 1) for instruction in program]
    steps, cycles = run(works, limits, supply, c.PASS_OVERHEAD)
    positions = min(limits.batch, max_batch) if max_batch is not None else limits.batch
    prompt_works = [work_of(instruction, limits, positions) for instruction in program]
    prompt_steps, prompt_cycles = run(prompt_works, limits, supply, c.PASS_OVERHEAD)

    none = Label("")
    rows = tuple(
        _row(i, one, work, step, labels[one.op] if one.op < len(labels) else none, limits, supply)
        for i, (one, work, step) in enumerate(zip(program, works, steps, strict=True))
    )
    weight_bytes, gain_bytes = sum(r.weight_bytes for r in rows), sum(r.gain_bytes for r in rows)
    row_bytes = sum(embedding_bytes(i) for i in program if i.opcode is Opcode.EMBED)
    per_token = weight_bytes + gain_bytes + row_bytes
    trits = sum(work.trits for work in works)
    streamed = sum(work.beats for work in works) * limits.trits_per_cycle

    all_blocks, plan = blocks(limits, target)
    uses = _uses(all_blocks, target)
    memory = _memory(
        images if images is not None else _default_images(program, works, limits),
        buffers if buffers is not None else _buffers(program, limits),
        target,
    )
    return Estimate(
        board=target.name,
        board_title=target.title,
        clock_mhz=target.clock_mhz,
        limits=limits.as_dict(),
        instructions=rows,
        token=_throughput(program, works, steps, cycles, 1, target),
        prompt=_throughput(program, prompt_works, prompt_steps, prompt_cycles, positions, target),
        weight_bytes=weight_bytes,
        gain_bytes=gain_bytes,
        embedding_bytes=row_bytes,
        bytes_per_token=per_token,
        padding_share=1 - trits / streamed if streamed else 0.0,
        delivered_gb_s=target.delivered_by(limits.ports),
        wire_gb_s=supply.weights * target.clock_hz / 1e9,
        array_gb_s=limits.ports * limits.port_bits / 8 * target.clock_hz / 1e9,
        bandwidth_share=per_token / (supply.memory * cycles),
        blocks=all_blocks,
        resources=uses,
        float_plan=plan,
        memory=memory,
        warnings=_warnings(uses, memory),
    )
