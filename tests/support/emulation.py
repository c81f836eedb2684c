"""The emitted C++ called directly: no device, no driver, numpy arrays for memory."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tritloom.backend.hls import HlsTarget, ListedInstruction, render_hls
from tritloom.backend.images import Images
from tritloom.ir.kernel import KernelLimits
from tritloom.runtime.emulator.kernel import _TRACE, Call, _Recorder

GREEDY, LOGITS_LAST, LOGITS_ALL, STOP_TOKEN = 1, 2, 4, 8


def build_library(folder: Path, limits: KernelLimits, listing: list[ListedInstruction], flavour: str) -> Path:
    """Render and compile the kernel for `limits`; path of the shared library."""
    hls = folder / "hls"
    for name, text in render_hls(limits, HlsTarget("xck26-sfvc784-2LV-c", 250.0, "kv260"), listing).items():
        path = hls / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["make", "-s", "-C", str(hls), flavour, f"BUILD={folder}"], check=True)
    return folder / f"libtritloom_{flavour}.so"


@dataclass
class Outcome:
    """What one start left behind."""

    returned: int
    error: str
    status: int
    tokens: list[int]
    logits: np.ndarray
    state: np.ndarray
    topk: np.ndarray
    traces: dict[tuple[int, str, int], np.ndarray] = field(default_factory=dict)
    """By instruction, what, position."""


@dataclass
class Emulation:
    """A kernel with the images of one program."""

    library: Path
    limits: KernelLimits
    images: Images
    instructions: int
    stride: int

    def start(
        self,
        tokens: list[int],
        *,
        mode: int = LOGITS_ALL,
        batch: int = 1,
        generate: int = 0,
        stop_token: int = 0,
        state: np.ndarray | None = None,
        flush: bool = False,
        traced: bool = True,
    ) -> Outcome:
        """One start of the kernel."""
        lib = ctypes.CDLL(str(self.library))
        lib.tritloom_emulate_error.restype = ctypes.c_char_p
        arrays = {name: np.frombuffer(data, np.uint8).copy() for name, data in self.images.data.items()}
        positions = len(tokens) + max(generate - 1, 0)
        arrays["tokens"] = np.zeros(-(-len(tokens) // 4) * 4, np.uint32)
        arrays["tokens"][: len(tokens)] = tokens
        arrays["tokens_out"] = np.zeros(-(-max(generate, 1) // 4) * 4, np.uint32)
        arrays["state"] = np.zeros(self.limits.state_words, np.float32)
        if state is not None:
            arrays["state"][: len(state)] = state
        arrays["logits"] = np.zeros((positions, self.stride), np.float32)
        arrays["topk"] = np.zeros(2 * self.limits.topk, np.uint32)
        arrays["ctl"] = np.zeros(1024, np.uint32)
        call = Call(mode=mode, T=len(tokens), B=batch, N=generate, stop_token=stop_token)
        call.instructions = self.instructions
        call.port_beats, call.gain_beats = self.images.port_beats, self.images.gain_beats
        for name, array in arrays.items():
            if name.startswith("port"):
                call.port[int(name[4:])] = array.ctypes.data
            else:
                setattr(call, name, array.ctypes.data)
        traces: dict[tuple[int, str, int], np.ndarray] = {}

        def trace(_pass: int, instruction: int, position: int, what: str, data: np.ndarray) -> None:
            traces[(instruction, what, position)] = data

        if traced:
            recorder = _Recorder(trace)
            call.trace = _TRACE(recorder)
        lib.tritloom_set_flush(int(flush))
        returned = lib.tritloom_emulate(ctypes.byref(call))
        lib.tritloom_set_flush(0)
        error = (lib.tritloom_emulate_error() or b"").decode() if returned else ""
        out = [int(token) for token in arrays["tokens_out"][: call.count]]
        return Outcome(returned, error, call.status, out, arrays["logits"], arrays["state"], arrays["topk"], traces)
