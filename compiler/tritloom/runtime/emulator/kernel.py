"""The emulated kernel: the emitted C++ as a shared library, called on the device's view of memory.

Addresses become pointers only after their bounds were checked: the C++ trusts them.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import BuildError, DeviceError
from ..kernel_manifest import Limits
from .memory import Memory

Trace = Callable[[int, int, int, str, npt.NDArray[np.generic]], None]
"""Called with pass, instruction, position, what, and a copy of the data (docs/kernel.md)."""

GREEDY, LOGITS_LAST, LOGITS_ALL = 1, 2, 4
_MAX_PORTS = 32
_EMBED, _LINEAR, _VECTOR = 1, 3, 4
_HGRN, _LOGITS = 3, 4
_STATE_FLAGS = 4 | 8
_EMBED_BYTES = {0: 4, 1: 2, 2: 2}
_CONTROL_BYTES = 4096
_TRACE_DTYPES = {"codes": np.int8, "acc": np.int32}

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
_POINTERS = ("gains", "program", "embedding", "state", "tokens", "tokens_out", "logits", "topk", "ctl")
_INPUTS = ("mode", "T", "B", "N", "stop_token", "instructions", "port_beats", "gain_beats")
_OUTPUTS_32 = ("status", "count")
_OUTPUTS_64 = ("cycles", "busy", "starved", "waiting")


class Call(ctypes.Structure):
    """`struct tritloom_call` of docs/kernel.md."""

    _fields_ = [
        ("port", ctypes.c_void_p * _MAX_PORTS),
        *((name, ctypes.c_void_p) for name in _POINTERS),
        *((name, ctypes.c_uint32) for name in (*_INPUTS, *_OUTPUTS_32)),
        *((name, ctypes.c_uint64) for name in _OUTPUTS_64),
        ("trace", _TRACE),
        ("user", ctypes.c_void_p),
    ]


class KernelModel:
    """A kernel with the given limits, over the library that `emulator.build` made.

    `flush` sets the CPU's FTZ/DAZ for the calls (None leaves it alone).

    Raises:
        BuildError: the library cannot be loaded or lacks the interface.
    """

    def __init__(
        self,
        library: Path,
        limits: Limits,
        memory: Memory,
        trace: Trace | None = None,
        flush: bool | None = None,
    ) -> None:
        try:
            self._library = ctypes.CDLL(str(library))
            self._emulate = self._library.tritloom_emulate
            self._error = self._library.tritloom_emulate_error
            self._set_flush = self._library.tritloom_set_flush
        except (OSError, AttributeError) as error:
            raise BuildError(f"{library.name} cannot be loaded: {error}", "compile the bundle again") from error
        self._emulate.argtypes = [ctypes.POINTER(Call)]
        self._emulate.restype = ctypes.c_int
        self._error.argtypes = []
        self._error.restype = ctypes.c_char_p
        self._set_flush.argtypes = [ctypes.c_int]
        self._set_flush.restype = ctypes.c_int
        self._limits = limits
        self._memory = memory
        self._trace = trace
        self._flush = flush
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, int]) -> dict[str, int]:
        """One start: input arguments by name -> output arguments by name.

        Raises:
            DeviceError: an address outside allocated memory, a deadlock, or FTZ/DAZ asked for where
                the machine has none.
        """
        call = Call(**{name: inputs[name] for name in _INPUTS})
        if inputs["ctl"] != inputs["ctl_governor"]:
            raise DeviceError("`ctl` and `ctl_governor` are different addresses", "they are one page")
        for name, nbytes in self._spans(inputs).items():
            pointer = self._pointer(name, inputs[name], nbytes)
            if name.startswith("port"):
                call.port[int(name[4:])] = pointer
            else:
                setattr(call, name, pointer)
        recorder = _Recorder(self._trace) if self._trace else None
        if recorder is not None:
            call.trace = _TRACE(recorder)
        if self._flush is not None and not self._set_flush(int(self._flush)) and self._flush:
            raise DeviceError("this machine cannot flush subnormals (FTZ/DAZ)", "leave flush unset")
        if self._emulate(ctypes.byref(call)):
            report = (self._error() or b"no report").decode("utf-8", "replace")
            raise DeviceError(f"the emulated kernel deadlocked:\n{report}", "report this with the bundle")
        if recorder is not None and recorder.error is not None:
            raise DeviceError(f"the trace callback failed: {recorder.error!r}") from recorder.error
        return {name: int(getattr(call, name)) for name in (*_OUTPUTS_32, *_OUTPUTS_64)}

    def _pointer(self, name: str, address: int, nbytes: int) -> int | None:
        if nbytes == 0:
            return None
        return int(self._memory.device_view(address, nbytes, name).ctypes.data)

    def _spans(self, inputs: Mapping[str, int]) -> dict[str, int]:
        """Bytes that the start accesses behind each pointer."""
        limits = self._limits
        spans = {f"port{p}": inputs["port_beats"] * limits.port_bits // 8 for p in range(limits.ports)}
        instructions = min(inputs["instructions"], limits.program_max)
        table, state, stride = self._program_needs(inputs["program"], instructions)
        prompt, generated, mode = inputs["T"], inputs["N"], inputs["mode"]
        greedy = bool(mode & GREEDY)
        positions = prompt + (generated - 1 if greedy and generated else 0)
        rows = positions if mode & LOGITS_ALL else bool(mode & LOGITS_LAST)
        return spans | {
            "gains": inputs["gain_beats"] * 16,
            "program": instructions * 64,
            "embedding": table,
            "state": _whole_beats(state * 4),
            "tokens": _whole_beats(prompt * 4),
            "tokens_out": _whole_beats(generated * 4) if greedy else 0,
            "logits": rows * stride * 4,
            "topk": limits.topk * 8,
            "ctl": _CONTROL_BYTES,
        }

    def _program_needs(self, address: int, instructions: int) -> tuple[int, int, int]:
        """What the program asks for: bytes of the embedding table, floats of state and of a row of logits."""
        table = state = stride = 0
        if instructions:
            words = self._memory.device_view(address, instructions * 64, "program").view(np.uint32)
            for raw in words.reshape(instructions, 16):
                word = [int(value) for value in raw]
                opcode, func, flags = word[0] & 0xFF, word[0] >> 8 & 0xFF, word[0] >> 16
                if opcode == _EMBED and func in _EMBED_BYTES:
                    table = max(table, word[2] * _whole_beats(word[1] * _EMBED_BYTES[func]))
                elif (opcode, func) == (_LINEAR, _LOGITS):
                    stride = max(stride, word[5])
                elif (opcode, func) == (_LINEAR, _HGRN):
                    state = max(state, word[6] + word[2])
                elif opcode == _VECTOR and flags & _STATE_FLAGS:
                    state = max(state, word[6] + word[1])
        return table, state, stride


def _whole_beats(nbytes: int) -> int:
    """The io port moves 16 bytes at a time."""
    return -(-nbytes // 16) * 16


class _Recorder:
    """Hands a C trace call to Python, and keeps the first error, which C cannot pass on."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.error: Exception | None = None

    def __call__(
        self, user: int, number: int, instruction: int, position: int, what: bytes, data: int, count: int
    ) -> None:
        if self.error is not None:
            return
        try:
            name = what.decode("ascii")
            dtype = np.dtype(_TRACE_DTYPES.get(name, np.float32))
            copy = np.frombuffer(ctypes.string_at(data, count * dtype.itemsize), dtype)
            self._trace(number, instruction, position, name, copy)
        except Exception as error:  # noqa: BLE001 (raised again after the call)
            self.error = error
