"""Render, compile and call the emitted dataflow kernel."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tritloom.backend.flow_design import FlowDesign
from tritloom.backend.flow_hls import render_flow
from tritloom.backend.hls import HlsTarget

TARGET = HlsTarget("xc7z020clg400-1", 100.0, "pynq-z2")


class _Call(ctypes.Structure):
    _fields_ = [
        ("input", ctypes.c_void_p),
        ("output", ctypes.c_void_p),
        ("frames", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
        ("cycles", ctypes.c_uint64),
        ("initiations", ctypes.c_void_p),
        ("stages", ctypes.c_uint32),
    ]


@functools.cache
def folder() -> Path:
    """Where this process compiles; removed by the session's end (see conftest)."""
    return Path(tempfile.mkdtemp(prefix="tritloom-flow-"))


def clean() -> None:
    shutil.rmtree(folder(), ignore_errors=True)


def write(place: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def make(place: Path, *arguments: str) -> None:
    environment = {**os.environ, "MAKEFLAGS": ""}
    done = subprocess.run(["make", "-s", *arguments], cwd=place, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, (done.stdout + done.stderr)[:3000]


def memory(frames: np.ndarray, frame_bytes: int) -> np.ndarray:
    """Frames of uint8, int8 or float32 [frames, elements] as they lie in memory, each padded."""
    data = np.ascontiguousarray(frames).view(np.uint8).reshape(frames.shape[0], -1)
    padded = np.zeros((frames.shape[0], frame_bytes), np.uint8)
    padded[:, : data.shape[1]] = data
    return padded


@dataclass
class Outcome:
    returned: int
    status: int
    cycles: int
    sums: np.ndarray
    """int32 [frames, elements]"""
    initiations: list[int]


class Library:
    def __init__(self, path: Path, design: FlowDesign):
        self.design = design
        self.handle = ctypes.CDLL(str(path))
        self.handle.tritloom_flow_emulate_error.restype = ctypes.c_char_p

    def error(self) -> str:
        return self.handle.tritloom_flow_emulate_error().decode()

    def start(self, frames: np.ndarray, count: int | None = None) -> Outcome:
        design = self.design
        image = memory(frames, design.input_bytes)
        out = np.zeros((frames.shape[0], design.output_bytes // 4), np.int32)
        initiations = np.zeros(len(design.stages), np.uint64)
        call = _Call(image.ctypes.data, out.ctypes.data, frames.shape[0] if count is None else count)
        call.initiations = initiations.ctypes.data
        call.stages = len(initiations)
        returned = self.handle.tritloom_flow_emulate(ctypes.byref(call))
        elements = design.stages[-1].traits["ELEMENTS"]
        return Outcome(returned, call.status, call.cycles, out[:, :elements], initiations.tolist())


def library(design: FlowDesign, build: str = "fast", options: str = "-O1", compiler: str = "g++") -> Library:
    """The emulation library of a design; `options` go to the compiler."""
    place = Path(tempfile.mkdtemp(dir=folder()))
    write(place, render_flow(design, TARGET))
    make(place, build, f"CXX={compiler}", f"CXXFLAGS={options} -Werror")
    return Library(place / "build" / f"libtritloom_{build}.so", design)
