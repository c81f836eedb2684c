"""The emulated kernel of a feed-forward net: the emitted C++ as a shared library (docs/dataflow.md)."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path

from ..errors import BuildError, DeviceError
from ..net_manifest import NetProgram
from .memory import Memory


class FlowCall(ctypes.Structure):
    """`struct tritloom_flow_call`."""

    _fields_ = [
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("frames", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
        ("cycles", ctypes.c_uint64),
        ("initiations", ctypes.POINTER(ctypes.c_uint64)),
        ("stages", ctypes.c_uint32),
    ]


class NetKernelModel:
    """The kernel of a net, over the library that `emulator.build` made.

    Raises:
        BuildError: the library cannot be loaded or lacks the interface.
    """

    def __init__(self, library: Path, program: NetProgram, memory: Memory) -> None:
        try:
            self._library = ctypes.CDLL(str(library))
            self._emulate = self._library.tritloom_flow_emulate
            self._error = self._library.tritloom_flow_emulate_error
        except (OSError, AttributeError) as error:
            raise BuildError(f"{library.name} cannot be loaded: {error}", "compile the bundle again") from error
        self._emulate.argtypes = [ctypes.POINTER(FlowCall)]
        self._emulate.restype = ctypes.c_int
        self._error.argtypes = []
        self._error.restype = ctypes.c_char_p
        self._program = program
        self._memory = memory
        self.initiations: dict[str, int] = {}
        """Of every stage in the last start, in the order of the region."""

    def run(self, inputs: Mapping[str, int]) -> dict[str, int]:
        """One start: input arguments by name -> output arguments by name.

        Raises:
            DeviceError: an address outside allocated memory, or a deadlock.
        """
        frames = inputs["frames"]
        stages = len(self._program.stages)
        counts = (ctypes.c_uint64 * stages)()
        call = FlowCall(frames=frames, initiations=counts, stages=stages)
        sizes = {"input": self._program.input_bytes, "output": self._program.output_bytes}
        for name, size in sizes.items():
            if frames:
                view = self._memory.device_view(inputs[name], frames * size, name)
                setattr(call, name, int(view.ctypes.data))
        if self._emulate(ctypes.byref(call)):
            report = (self._error() or b"no report").decode("utf-8", "replace")
            raise DeviceError(f"the emulated kernel deadlocked:\n{report}", "report this with the bundle")
        self.initiations = dict(zip(self._program.stages, map(int, counts), strict=True))
        return {"status": int(call.status), "cycles": int(call.cycles)}
