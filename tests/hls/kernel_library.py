"""Render, compile and call the emitted kernel."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tritloom.backend.hls import HlsTarget, render_hls
from tritloom.ir.kernel import KernelLimits

TARGET = HlsTarget("xck26-sfvc784-2LV-c", 250.0, "kv260")
GREEDY, LOGITS_LAST, LOGITS_ALL, STOP_TOKEN, SEQUENCES = 1, 2, 4, 8, 16
CONTROL_BYTES = 4096

_TRACE = ctypes.CFUNCTYPE(
    None,
    ctypes.c_void_p,
    ctypes.c_uint32,
    ctypes.c_uint32,
    ctypes.c_uint32,
    ctypes.c_char_p,
    ctypes.c_void_p,
    ctypes.c_uint32,
)
_POINTERS = "gains program embedding state tokens tokens_out logits topk ctl".split()
_SCALARS = "mode T B N stop_token instructions port_beats gain_beats status count".split()
_COUNTERS = "cycles busy starved waiting".split()
_TRACE_TYPES = {"codes": np.int8, "scale": np.float32, "acc": np.int32, "out": np.float32, "state": np.float32}


class _Call(ctypes.Structure):
    _fields_ = [
        ("port", ctypes.c_void_p * 32),
        *[(name, ctypes.c_void_p) for name in _POINTERS],
        *[(name, ctypes.c_uint32) for name in _SCALARS],
        *[(name, ctypes.c_uint64) for name in _COUNTERS],
        ("trace", _TRACE),
        ("user", ctypes.c_void_p),
    ]


def limits(**changes: int) -> KernelLimits:
    """A small kernel."""
    small = {
        "ports": 2,
        "port_bits": 128,
        "batch": 4,
        "lanes": 8,
        "k_max": 240,
        "vector_words": 2048,
        "state_words": 512,
        "program_max": 64,
        "topk": 5,
        "port_fifo": 32,
        "gain_fifo": 16,
    }
    return KernelLimits(**{**small, **changes})


@functools.cache
def folder() -> Path:
    """Where this process compiles; removed by the session's end (see conftest)."""
    return Path(tempfile.mkdtemp(prefix="tritloom-hls-"))


@functools.cache
def rendered(kernel: KernelLimits, target: HlsTarget = TARGET) -> Path:
    """The hls/ folder of a kernel without a program."""
    place = folder() / f"k{abs(hash((kernel, target))):x}"
    for name, text in render_hls(kernel, target, []).items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return place


@functools.cache
def library(kernel: KernelLimits, build: str = "fast", options: str = "-O1", compiler: str = "g++") -> Library:
    """The emulation library of a kernel; `options` go to the compiler."""
    place = rendered(kernel)
    out = f"build-{abs(hash((options, compiler))):x}"
    command = ["make", "-s", build, f"BUILD={out}", f"CXX={compiler}", f"CXXFLAGS={options} -Werror"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    return Library(ctypes.CDLL(str(place / out / f"libtritloom_{build}.so")), kernel)


def aligned(size: int) -> np.ndarray:
    """Zeroed bytes, padded to whole beats, on a 64-byte boundary."""
    padded = max(64, -(-size // 16) * 16)
    raw = np.zeros(padded + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + padded]


def placed(data: bytes) -> np.ndarray:
    """A copy of data as the kernel's memory."""
    memory = aligned(len(data))
    memory[: len(data)] = np.frombuffer(data, np.uint8)
    return memory


@dataclass
class Image:
    """A program with its memory images, as exact bytes."""

    ports: list[bytes]
    gains: bytes
    program: bytes
    embedding: bytes
    state_floats: int
    logits_stride: int


@dataclass
class Outcome:
    """What a start left behind. Traces are keyed by (pass, instruction, position, what)."""

    returned: int
    status: int
    count: int
    state: np.ndarray
    tokens: np.ndarray
    logits: np.ndarray
    topk_index: np.ndarray
    topk_value: np.ndarray
    progress: tuple[int, int, int]
    counters: dict[str, int]
    trace: list[tuple[tuple[int, int, int, str], np.ndarray]] = field(default_factory=list)


class Library:
    def __init__(self, handle: ctypes.CDLL, kernel: KernelLimits):
        self.kernel = kernel
        self.handle = handle
        self.handle.tritloom_emulate_error.restype = ctypes.c_char_p

    def error(self) -> str:
        return self.handle.tritloom_emulate_error().decode()

    def set_flush(self, on: bool) -> bool:
        return bool(self.handle.tritloom_set_flush(int(on)))

    def start(
        self,
        image: Image,
        tokens: list[int],
        *,
        mode: int = LOGITS_ALL,
        B: int = 1,
        N: int = 0,
        stop_token: int = 0,
        state: np.ndarray | None = None,
        traced: bool = False,
        stop_at: int | None = None,
        **changes: int,
    ) -> Outcome:
        """One start. `stop_at`: the host writes its stop word during that pass (needs `traced`)."""
        kernel = self.kernel
        rows = len(tokens) + max(N, 1)
        memory = {
            "gains": placed(image.gains),
            "program": placed(image.program),
            "embedding": placed(image.embedding),
            "state": aligned(4 * kernel.state_words),
            "tokens": placed(np.array(tokens, np.uint32).tobytes()),
            "tokens_out": aligned(4 * max(N, 1)),
            "logits": aligned(4 * max(image.logits_stride, 4) * rows),
            "topk": aligned(8 * kernel.topk),
            "ctl": aligned(CONTROL_BYTES),
        }
        if state is not None:
            memory["state"].view(np.float32)[: state.size] = state
        ports = [placed(port) for port in image.ports]
        call = _Call()
        for index, port in enumerate(ports):
            call.port[index] = port.ctypes.data
        for name, array in memory.items():
            setattr(call, name, array.ctypes.data)
        scalars = {
            "mode": mode,
            "T": len(tokens),
            "B": B,
            "N": N,
            "stop_token": stop_token,
            "instructions": len(image.program) // 64,
            "port_beats": len(image.ports[0]) * 8 // kernel.port_bits,
            "gain_beats": len(image.gains) // 16,
            **changes,
        }
        for name, value in scalars.items():
            setattr(call, name, value)
        trace: list[tuple[tuple[int, int, int, str], np.ndarray]] = []

        def record(
            _user: int, number: int, instruction: int, position: int, what: bytes, data: int, count: int
        ) -> None:
            kind = what.decode()
            size = count * np.dtype(_TRACE_TYPES[kind]).itemsize
            values = np.frombuffer(ctypes.string_at(data, size), _TRACE_TYPES[kind])
            trace.append(((number, instruction, position, kind), values))
            if stop_at == number:
                memory["ctl"].view(np.uint32)[0] = 1

        callback = _TRACE(record) if traced else _TRACE()
        call.trace = callback
        returned = self.handle.tritloom_emulate(ctypes.byref(call))
        pairs = memory["topk"].view(np.uint32)[: 2 * kernel.topk].reshape(-1, 2)
        return Outcome(
            returned,
            call.status,
            call.count,
            memory["state"].view(np.float32)[: image.state_floats].copy(),
            memory["tokens_out"].view(np.uint32)[: call.count].copy(),
            memory["logits"].view(np.float32)[: rows * image.logits_stride].reshape(rows, -1),
            pairs[:, 0].copy(),
            pairs[:, 1].copy().view(np.float32),
            tuple(int(word) for word in memory["ctl"].view(np.uint32)[512:515]),
            {name: getattr(call, name) for name in _COUNTERS},
            trace,
        )
