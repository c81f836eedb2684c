"""The emitted files: complete, clean under both compilers and clang-format; and what the renderer refuses."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flow_designs import KEY, Builder, Element, copy, mlp, residual
from flow_library import TARGET, make, write
from tritloom.backend.flow_check import check_design
from tritloom.backend.flow_design import FlowDesign, Stage
from tritloom.backend.flow_hls import render_flow
from tritloom.backend.flow_kernels import KERNELS
from tritloom.backend.flow_roms import PARALLEL_LEVELS, by_lane, element_for, pack_trits, search_table
from tritloom.backend.hls import HlsTarget
from tritloom.resources import templates_dir

SMALL = mlp((20, 6, 5), ((3, 10), (1, 3)))


def everything() -> FlowDesign:
    """A design with every kernel but load_floats."""
    net = Builder("everything")
    size, channels = 6, 4
    a, b, c = net.fork(net.load(size * size * channels, 2), 3)
    windows = net.window("conv_window", a, (size, size, channels), 3, pad=1)
    conv = net.mvau("conv", windows, channels, 2, 4, vectors=size * size)
    codes = net.thresholds("conv_steps", conv, channels, 31, Element(8), 500)
    depthwise = net.window("depthwise_window", b, (size, size, channels), 3, pad=1, groups=2)
    traits = {"GROUPS": channels, "PE": 2, "INPUTS": 1, "OUTPUTS": 1, "TAPS": 9, "VECTORS": size * size}
    trits = net.rng.integers(-1, 2, (channels, 9), dtype=np.int8)
    sums = net.stage(
        "vvau", "depthwise", [depthwise], [(Element(16, True), 2)], {"weights": trits}, **traits, WEIGHTS_IN_BRAM=1
    )
    traits = {"ELEMENTS": size * size * channels, "CHANNELS": channels, "LANES": 2, "SHIFT": 9, "LOW": 0, "HIGH": 255}
    rows = {name: net.rng.integers(-300, 300, channels) for name in ("multiplier0", "multiplier1", "bias")}
    joined = net.stage("multiply_shift2", "join", [codes, sums], [(Element(8), 2)], rows, **traits)
    rows = {"multiplier": rows["multiplier0"], "bias": rows["bias"]}
    scaled = net.stage("multiply_shift", "scale", [c], [(Element(8), 2)], rows, **traits)
    traits = {"PIXELS": size * size, "CHANNELS_A": channels, "CHANNELS_B": channels, "LANES": 2}
    both = net.stage("concat", "concat_ab", [joined, scaled], [(Element(8), 2)], **traits)
    left, right = net.fork(both)
    net.streams |= {name: replace(net.streams[name], depth=1000) for name in (b, c, left, right)}
    total = net.add("total", left, right)
    windows = net.window("pool_window", total, (size, size, 2 * channels), 2, stride=2, groups=4)
    pool = net.reduce("pool", windows, 8, 4)
    traits = {"CHANNELS": 8, "LANES": 2, "PIXELS": 9, "MAX": 0}
    pooled = net.stage("global_reduce", "global_pool", [pool], [(Element(16, True), 2)], **traits)
    wired = net.hard_wired("wired", net.resize(pooled, 8), 6)
    return net.store(net.top_k("ranked", net.resize(wired, 2), 6, 3, pairs=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("everything")
    write(place, render_flow(everything(), TARGET))
    return place


def test_the_design_has_every_kernel():
    assert {stage.kernel for stage in everything().stages} == set(KERNELS) - {"load_floats"}


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_no_warning_from(compiler, folder):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not here")
    targets = ["bounded", f"w-{compiler}/csim"]
    make(folder, *targets, f"BUILD=w-{compiler}", f"CXX={compiler}", "CXXFLAGS=-O1 -Werror")


@pytest.mark.long
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize("level", ["-O0", "-O2", "-O3"])
def test_no_warning_at(level, compiler, folder):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not here")
    build = f"w-{compiler}{level}"
    make(folder, "fast", "bounded", f"{build}/csim", f"BUILD={build}", f"CXX={compiler}", f"CXXFLAGS={level} -Werror")


LONG = "a name of many words " * 9


@pytest.mark.parametrize(
    "design",
    [
        everything(),
        copy(7, KEY, 1, 1),
        replace(SMALL, name=LONG, stages=[replace(s, ir=LONG, onnx=(LONG,)) for s in SMALL.stages]),
    ],
    ids=["everything", "copy", "long names"],
)
def test_files_are_formatted(design, tmp_path):
    if shutil.which("clang-format") is None:
        pytest.skip("clang-format is not here")
    style = templates_dir().parent / ".clang-format"
    if not style.exists():
        pytest.skip("not a source tree")
    write(tmp_path, render_flow(design, TARGET))
    shutil.copy(style, tmp_path)
    sources = [str(path) for path in tmp_path.rglob("*") if path.suffix in (".h", ".cpp")]
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", *sources], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]


def test_only_the_headers_in_use_are_there():
    files = render_flow(SMALL, TARGET)
    flow = {name.rpartition("/")[2] for name in files if name.startswith("include/tritloom/flow/")}
    assert flow == {"initiation.h", "load.h", "mvau.h", "resize.h", "store.h", "thresholds.h", "trits.h", "word.h"}
    assert "include/tritloom/engine.h" not in files
    for name, text in files.items():
        for include in re.findall(r'#include "([\w/]+\.h)"', text):
            assert {include, f"include/{include}"} & set(files), f"{name} includes {include}"


def test_every_stage_says_where_it_comes_from():
    odd = Stage("load", "load_codes", SMALL.stages[0].traits, (), SMALL.stages[0].outputs, {}, "a\nb\\", ("c\\", "d"))
    files = render_flow(replace(SMALL, name="x\ny", stages=(odd, *SMALL.stages[1:])), TARGET)
    assert "// load: a?b\n//     c\n//     d\nstruct Load {\n" in files["config.h"]
    assert (
        "  // a?b <- c\\, d\n  TRITLOOM_PROCESS(loom::load_codes<Load>(input, load_out, frames));" in files["top.cpp"]
    )
    assert "// x?y\n// A process a stage" in files["top.cpp"]


def test_interface_of_the_kernel():
    top = render_flow(SMALL, TARGET)["top.cpp"]
    for name in ("input", "output"):
        assert f"#pragma HLS INTERFACE m_axi port = {name} bundle = memory offset = slave" in top
    for name in ("input", "output", "frames", "status", "cycles", "return"):
        assert f"#pragma HLS INTERFACE s_axilite port = {name} bundle = control" in top
    assert "#pragma HLS INTERFACE ap_ctrl_hs port = return" in top


def test_part_clock_and_name_reach_the_tool_files():
    files = render_flow(SMALL, HlsTarget("xc7z020clg400-1", 150.0, "pynq-z2", "9.9"))
    assert "syn.top=tritloom_flow" in files["hls_config.cfg"]
    assert "clock=6.667ns" in files["hls_config.cfg"]
    assert "set_part {xc7z020clg400-1}" in files["run_hls.tcl"]
    assert "-vendor xilinx.com -library hls -ipname tritloom_flow -version 1.0" in files["run_hls.tcl"]
    for name, text in files.items():
        if not name.startswith("include/"):
            assert "Generated by tritloom 9.9 for pynq-z2" in text, name
        assert text.endswith("\n"), name
        assert "{{ " not in text, name


def test_memories_of_the_weights():
    top = render_flow(everything(), TARGET)["top.cpp"]
    assert "#pragma HLS BIND_STORAGE variable = conv_weights type = rom_1p impl = lutram" in top
    assert "#pragma HLS BIND_STORAGE variable = depthwise_weights type = rom_1p impl = bram" in top
    assert "#pragma HLS ARRAY_PARTITION variable = conv_weights complete dim = 3" in top


def test_the_kernel_and_the_tables_agree_on_the_search():
    header = (templates_dir() / "hls/include/tritloom/flow/thresholds.h").read_text()
    assert f"PARALLEL_LEVELS = {PARALLEL_LEVELS};" in header


def test_packed_trits():
    weights = np.array([[1, -1, 0, 1, 1, 0], [0, 0, 0, 0, 0, -1], [1, 1, 1, 1, 1, 1], [-1, 0, 0, 0, 0, 0]])
    packed = pack_trits(weights, pe=2, simd=3)
    assert packed.dtype == np.uint8
    # PE 0 has rows 0 and 2, PE 1 rows 1 and 3; each row is two words of three trits.
    assert packed[:, :, 0].tolist() == [[0b001101, 0b000101, 0b010101, 0b010101], [0, 0b110000, 0b000011, 0]]
    wide = pack_trits(np.tile([[1] * 32 + [-1] * 8], (1, 1)), 1, 40)
    assert (wide.dtype, wide.shape) == (np.uint64, (1, 1, 2))
    assert wide[0, 0].tolist() == [0x5555555555555555, 0xFFFF]


@pytest.mark.parametrize("levels", [1, 2, 3, 16, 30, 31, 255])
def test_search_table_finds_every_count(levels):
    table = search_table(np.arange(levels)[None], 1)
    steps = levels.bit_length()
    for value in range(-1, levels + 3):
        count = 0
        for step in range(steps):
            count = 2 * count + (value >= table[step, 0, count])
        assert min(count, levels) == min(value + 1, levels)


def test_tables_lane_by_lane():
    assert by_lane(np.arange(6), 2).tolist() == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize(("low", "high", "bits"), [(0, 0, 2), (-1, 1, 2), (-2, 1, 2), (-3, 0, 3), (0, 2**31, 33)])
def test_narrowest_element(low, high, bits):
    assert element_for(np.array([low, high])) == Element(bits, signed=True)


def changed(index: int, **fields: object) -> FlowDesign:
    """SMALL with another stage."""
    stages = list(SMALL.stages)
    stages[index] = replace(stages[index], **fields)
    return replace(SMALL, stages=tuple(stages))


def with_traits(index: int, **traits: int) -> FlowDesign:
    return changed(index, traits={**SMALL.stages[index].traits, **traits})


def with_stream(index: int, **fields: object) -> FlowDesign:
    streams = list(SMALL.streams)
    streams[index] = replace(streams[index], **fields)
    return replace(SMALL, streams=tuple(streams))


LOAD, RESIZE, DENSE, STEPS = range(4)


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (changed(DENSE, name="Dense"), "'Dense' cannot be the name of a stage or stream"),
        (changed(DENSE, name="float"), "'float' cannot be the name"),
        (changed(DENSE, name="steps0"), "'steps0' is the name of two stages or streams"),
        (changed(LOAD, name="dense0_weights"), "'dense0_weights' is the name of a stage or stream, and of a table"),
        (changed(DENSE, kernel="conv"), "stage 'dense0': no kernel 'conv'; there are load_codes, "),
        (with_traits(DENSE, WIDTH=1), r"stage 'dense0': traits missing: \[\], unknown: \['WIDTH'\]"),
        (with_traits(DENSE, PE=2), "stage 'dense0': stream 'dense0_out' has 3 lanes, PE is 2"),
        (with_traits(DENSE, VECTORS=2), "'resize1' writes 2 words a frame to 'resize1_out', 'dense0' reads 4"),
        (with_traits(LOAD, BEAT_BITS=64), "stage 'load': beats of 64 bits, the design has 128"),
        (with_stream(2, element=Element(33, True)), "stage 'dense0': sums are at most int32"),
        (with_stream(1, element=Element(7)), "stage 'resize1': resize does not change elements"),
        (with_stream(0, depth=0), "stream 'load_out': 2 lanes, depth 0"),
        (with_stream(0, element=Element(0)), "stream 'load_out': elements of 0 bits"),
        (changed(DENSE, roms={}), r"stage 'dense0': tables \[\], mvau has \['weights'\]"),
        (changed(DENSE, roms={"weights": np.zeros((6, 19))}), r"table 'weights' has shape \(6, 19\), not \(6, 20\)"),
        (changed(DENSE, roms={"weights": np.full((6, 20), 2)}), "stage 'dense0': a weight is no trit"),
        (changed(DENSE, inputs=("nothing",)), "stage 'dense0': there is no stream 'nothing'"),
        (changed(DENSE, inputs=()), "stage 'dense0': 0 input streams, mvau has 1"),
        (changed(DENSE, inputs=("load_out",)), "stage 'dense0': stream 'load_out' has 2 lanes, SIMD is 10"),
        (with_traits(STEPS, LOW=2), r"stage 'steps0': code 5 is no Element\(bits=2, signed=False\)"),
        (with_traits(DENSE, SIMD=7), "stage 'dense0': INPUTS is 20, no multiple of SIMD, which is 7"),
        (with_traits(DENSE, SIMD=0), "stage 'dense0': INPUTS is 20, no multiple of SIMD, which is 0"),
        (with_traits(RESIZE, OUT_LANES=5), "stage 'resize1': stream 'resize1_out' has 10 lanes, OUT_LANES is 5"),
        (replace(SMALL, input_bytes=16), "a frame is 2 beats of 128 bits, input_bytes is 16"),
        (replace(SMALL, stages=SMALL.stages[1:]), "the first stage loads and the last one stores"),
        (
            replace(SMALL, stages=(*SMALL.stages[:2], *SMALL.stages[3:])),
            "stream 'resize1_out' has 1 writers and 0 readers",
        ),
    ],
)
def test_a_design_that_contradicts_itself_is_refused(design, message):
    with pytest.raises(ValueError, match=message):
        render_flow(design, TARGET)


def test_a_window_beyond_the_image_is_refused():
    design = residual(14)
    index = next(i for i, stage in enumerate(design.stages) if stage.kernel == "window")
    stage = design.stages[index]
    for traits, message in [
        ({"OUT_WIDTH": 6}, "the last window ends at 8, the padded image has a WIDTH of 7"),
        ({"PAD_BOTTOM": 0}, "the last window ends at 7, the padded image has a HEIGHT of 6"),
        ({"GROUPS": 3}, "CHANNELS are 1 words, no multiple of GROUPS, which is 3"),
        ({"PAD_CODE": -1}, r"code -1 is no Element\(bits=8, signed=False\)"),
    ]:
        changed_stage = replace(stage, traits={**stage.traits, **traits})
        stages = (*design.stages[:index], changed_stage, *design.stages[index + 1 :])
        with pytest.raises(ValueError, match=f"stage 'window': {message}"):
            check_design(replace(design, stages=stages))


def test_words_that_do_not_divide_each_other_are_refused():
    net = Builder("uneven")
    uneven = net.resize(net.load(12, 4), 6)
    with pytest.raises(ValueError, match="stage 'resize1': 6 lanes are no multiple of 4"):
        check_design(net.store(uneven))


def test_descending_thresholds_are_refused():
    roms = {**SMALL.stages[STEPS].roms, "thresholds": np.tile([3, 1, 2], (6, 1))}
    with pytest.raises(ValueError, match="stage 'steps0': the thresholds of a channel do not ascend"):
        check_design(changed(STEPS, roms=roms))


def test_a_requantiser_that_is_too_wide_is_refused():
    design = everything()
    index = next(i for i, stage in enumerate(design.stages) if stage.kernel == "multiply_shift")
    stage = design.stages[index]
    for fields, message in [
        ({"roms": {**stage.roms, "multiplier": stage.roms["multiplier"] << 50}}, "more than 64"),
        ({"traits": {**stage.traits, "SHIFT": 60}}, "a shift by 60 of sums of"),
    ]:
        stages = [*design.stages[:index], replace(stage, **fields), *design.stages[index + 1 :]]
        with pytest.raises(ValueError, match=f"stage 'scale': .*{message}"):
            check_design(replace(design, stages=tuple(stages)))


def ranked(roms: dict[str, np.ndarray] | None = None, **traits: int) -> FlowDesign:
    """A ranking with other parameters, or other tables."""
    net = Builder("ranked")
    design = net.store(net.top_k("best", net.load(6), 6, 2, pairs=True))
    load, best, *rest = design.stages
    best = replace(best, traits={**best.traits, **traits}, roms={**best.roms, **(roms or {})})
    return replace(design, stages=(load, best, *rest))


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"K": 7}, "it keeps 4 elements of the best 7 of 6 channels"),
        ({"K": 3}, "it keeps 4 elements of the best 3 of 6 channels"),
        ({"BIASES": 4}, "CHANNELS is 6, no multiple of BIASES, which is 4"),
        ({"MULTIPLIERS": 2}, r"table 'multiplier' has shape \(1,\), not \(2,\)"),
        ({"CHANNELS": 600}, "code 599 is no Element"),
        ({"roms": {"multiplier": np.array([1 << 60])}}, "keys of 69 bits, more than 63"),
    ],
)
def test_a_ranking_that_contradicts_itself_is_refused(traits, message):
    check_design(ranked())
    with pytest.raises(ValueError, match=f"stage 'best': {message}"):
        check_design(ranked(**traits))


def test_a_stream_that_is_read_before_it_is_written_is_refused():
    stages = residual(14).stages
    with pytest.raises(ValueError, match="stream 'window_out' is read before it is written"):
        check_design(replace(residual(14), stages=(*stages[:2], stages[3], stages[2], *stages[4:])))
