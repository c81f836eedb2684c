"""Kernels alone: many stages compiled into one library, each with streams of its own between arrays."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from flow_library import TARGET, folder, write
from tritloom.analysis.initiations import words
from tritloom.backend.flow_design import FlowDesign, Stage, Stream
from tritloom.backend.flow_hls import context, environment
from tritloom.backend.flow_kernels import KERNELS
from tritloom.resources import templates_dir

INCLUDE = templates_dir() / "hls" / "include"
FLAGS = ["-std=c++14", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-shared", "-fPIC", "-fvisibility=hidden"]
EMULATION = ["-DTRITLOOM_EMULATION", "-DTRITLOOM_BOUNDED", "-Wpedantic", "-Werror"]
BUILDS = {
    "bounded": [*EMULATION, "-O1"],
    "fast": [*EMULATION, "-O3", "-DTRITLOOM_STREAM_BYTES=65536"],
    "exact": [*EMULATION, "-O0", "-DTRITLOOM_EXACT_WIDTHS", "-DTRITLOOM_STREAM_BYTES=4096"],
    "amd": ["-O0"],
}

FILES = ("config.h", "weights.h", "adders.h")

_HEAD = """
#define VISIBLE __attribute__((visibility("default")))
#include "config.h"
#include "weights.h"
#include "adders.h"
#include "tritloom/process.h"
{includes}
// Elements between arrays of int64 and a stream.
template <class Word, unsigned LANES>
void feed(const int64_t* from, uint64_t count, hls::stream<Word>& to) {{
  for (uint64_t i = 0; i < count; ++i) {{
    Word word;
    for (unsigned lane = 0; lane < LANES; ++lane) word.lane[lane] = from[i * LANES + lane];
    to.write(word);
  }}
}}
template <class Word, unsigned LANES>
void drain(hls::stream<Word>& from, uint64_t count, int64_t* to) {{
  for (uint64_t i = 0; i < count; ++i) {{
    const Word word = from.read();
    for (unsigned lane = 0; lane < LANES; ++lane) to[i * LANES + lane] = static_cast<int64_t>(word.lane[lane]);
  }}
}}
"""


@dataclass(frozen=True)
class Case:
    """A stage and its streams."""

    stage: Stage
    streams: tuple[Stream, ...]

    def stream(self, name: str) -> Stream:
        return next(stream for stream in self.streams if stream.name == name)


def _function(case: Case, text) -> str:
    """C++: int probe_<stage>(const int64_t* const* in, int64_t* const* out, uint32_t frames, uint64_t* count)."""
    stage, counts = case.stage, words(case.stage.kernel, case.stage.traits)
    lines = [
        f'extern "C" VISIBLE int probe_{stage.name}(const int64_t* const* in, int64_t* const* out, uint32_t frames,'
    ]
    lines += ["                     uint64_t* count) {"]
    for stream in case.streams:
        lines.append(f"  TRITLOOM_STREAM({text.word(stream)}, {stream.name}, {stream.depth});")
    lines.append("  TRITLOOM_REGION(probe);")
    for i, name in enumerate(stage.inputs):
        stream = case.stream(name)
        types = f"{text.word(stream)}, {stream.lanes}"
        lines.append(f"  TRITLOOM_PROCESS(feed<{types}>(in[{i}], frames * uint64_t({counts.inputs[i]}), {name}));")
    lines.append(f"  TRITLOOM_PROCESS(loom::{stage.kernel}<{text.type}>({', '.join(text.arguments)}));")
    for i, name in enumerate(stage.outputs):
        stream = case.stream(name)
        types = f"{text.word(stream)}, {stream.lanes}"
        lines.append(f"  TRITLOOM_PROCESS(drain<{types}>({name}, frames * uint64_t({counts.outputs[i]}), out[{i}]));")
    lines.append("  TRITLOOM_JOIN();")
    left = " + ".join(f"static_cast<int>({name}.size())" for name in stage.inputs + stage.outputs)
    lines += [
        "#ifdef TRITLOOM_EMULATION",
        f"  *count = loom::Initiations<{text.type}>::take();",
        "#else",
        "  *count = 0;",
        "#endif",
        f"  return {left};",
        "}",
    ]
    return "\n".join(lines) + "\n"


class _Text:
    def __init__(self, stage_text, word):
        self.type, self.arguments, self.word = stage_text.type, stage_text.arguments, word


def _source(cases: Sequence[Case], values, word) -> str:
    headers = sorted({KERNELS[case.stage.kernel].header for case in cases})
    text = _HEAD.format(includes="\n".join(f'#include "tritloom/flow/{header}"' for header in headers))
    for case, stage_text in zip(cases, values["stages"], strict=True):
        text += _function(case, _Text(stage_text, word))
    return text


class Probe:
    """The compiled library of some cases."""

    def __init__(self, cases: Sequence[Case], build: str, amd: Path | None = None, compiler: str = "g++"):
        streams = tuple(stream for case in cases for stream in case.streams)
        design = FlowDesign("probe", streams, tuple(case.stage for case in cases), 16, 16)
        templates, values = environment(), context(design, TARGET)
        place = Path(tempfile.mkdtemp(dir=folder()))
        files = {name: templates.get_template(f"{name}.j2").render(values) for name in FILES}
        files["probe.cpp"] = _source(cases, values, templates.filters["word"])
        write(place, files)
        out = place / "probe.so"
        command = [compiler, *FLAGS, *BUILDS[build], f"-I{place}", f"-I{INCLUDE}"]
        command += ["-isystem", str(amd or INCLUDE / "emulation"), str(place / "probe.cpp"), "-o", str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:3000]
        self.handle = ctypes.CDLL(str(out))
        self.counts = build != "amd"
        self.unstalled = "-DTRITLOOM_STREAM_BYTES" in " ".join(BUILDS[build])
        """Windows wait for each word, so that they count no initiation in which none came in."""

    def run(self, case: Case, inputs: Sequence[np.ndarray]) -> tuple[list[np.ndarray], int | None]:
        """Outputs int64 [frames, elements], and the initiations where the build counts them."""
        frames = inputs[0].shape[0]
        counts = words(case.stage.kernel, case.stage.traits)
        given = [np.ascontiguousarray(array, np.int64) for array in inputs]
        lanes = [case.stream(name).lanes for name in case.stage.outputs]
        results = [np.full((frames, n * width), -77, np.int64) for n, width in zip(counts.outputs, lanes, strict=True)]
        pointers = [
            (ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays)) for arrays in (given, results)
        ]
        count = ctypes.c_uint64()
        left = getattr(self.handle, f"probe_{case.stage.name}")(*pointers, ctypes.c_uint32(frames), ctypes.byref(count))
        assert left == 0, f"{left} words are left in the streams"
        return results, count.value if self.counts else None
