"""Every kernel of the dataflow library in numpy, on the flat elements of its streams: int64 [frames, elements]."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from tritloom.backend.flow_design import FlowDesign, Stage, float_keys

Array = np.ndarray
Traits = Mapping[str, int]


def _window(stage: Stage, x: Array) -> list[Array]:
    """Patches one by one, from a padded copy of the image."""
    t = stage.traits
    frames = x.shape[0]
    image = x.reshape(frames, t["HEIGHT"], t["WIDTH"], t["CHANNELS"])
    below = max(0, (t["OUT_HEIGHT"] - 1) * t["STRIDE_H"] + t["KERNEL_H"] * t["DILATION_H"])
    right = max(0, (t["OUT_WIDTH"] - 1) * t["STRIDE_W"] + t["KERNEL_W"] * t["DILATION_W"])
    pads = ((0, 0), (t["PAD_TOP"], below), (t["PAD_LEFT"], right), (0, 0))
    padded = np.pad(image, pads, constant_values=t["PAD_CODE"])
    group = t["CHANNELS"] // t["GROUPS"]
    out = []
    for y in range(t["OUT_HEIGHT"]):
        for x_out in range(t["OUT_WIDTH"]):
            rows = y * t["STRIDE_H"] + t["DILATION_H"] * np.arange(t["KERNEL_H"])
            columns = x_out * t["STRIDE_W"] + t["DILATION_W"] * np.arange(t["KERNEL_W"])
            patch = padded[:, rows][:, :, columns].reshape(frames, -1, t["GROUPS"], group)
            out.append(patch.transpose(0, 2, 1, 3).reshape(frames, -1))
    return [np.concatenate(out, axis=1)]


def _mvau(stage: Stage, x: Array) -> list[Array]:
    t = stage.traits
    vectors = x.reshape(x.shape[0], -1, t["GROUPS"], t["INPUTS"])
    weights = stage.roms["weights"].astype(np.int64).reshape(t["GROUPS"], t["OUTPUTS"], t["INPUTS"])
    return [np.einsum("fvgk,gnk->fvgn", vectors, weights).reshape(x.shape[0], -1)]


def _hard_wired(stage: Stage, x: Array) -> list[Array]:
    vectors = x.reshape(x.shape[0], -1, stage.traits["INPUTS"])
    return [(vectors @ stage.roms["weights"].astype(np.int64).T).reshape(x.shape[0], -1)]


def _vvau(stage: Stage, x: Array) -> list[Array]:
    t = stage.traits
    words = x.reshape(x.shape[0], t["VECTORS"], -1, t["TAPS"], t["PE"], t["INPUTS"])
    weights = stage.roms["weights"].astype(np.int64).reshape(-1, t["PE"], t["OUTPUTS"], t["TAPS"], t["INPUTS"])
    return [np.einsum("fvctpk,cpntk->fvcpn", words, weights).reshape(x.shape[0], -1)]


def _reduced(x: Array, traits: Traits, axis: int) -> list[Array]:
    y = x.max(axis=axis) if traits["MAX"] else x.sum(axis=axis)
    return [y.reshape(x.shape[0], -1)]


def _reduce(stage: Stage, x: Array) -> list[Array]:
    t = stage.traits
    return _reduced(x.reshape(x.shape[0], -1, t["TAPS"], t["LANES"]), t, 2)


def _global_reduce(stage: Stage, x: Array) -> list[Array]:
    return _reduced(x.reshape(x.shape[0], stage.traits["PIXELS"], -1), stage.traits, 1)


def _thresholds(stage: Stage, x: Array) -> list[Array]:
    t = stage.traits
    values = x.reshape(x.shape[0], -1, t["CHANNELS"])
    values = np.where(stage.roms["negative"].astype(bool), -values, values)
    reached = (values[..., None] >= stage.roms["thresholds"].astype(np.int64)).sum(axis=-1)
    return [(t["LOW"] + t["STEP"] * reached).reshape(x.shape[0], -1)]


def _requantised(stage: Stage, total: Array) -> list[Array]:
    t = stage.traits
    shifted = (total + stage.roms["bias"].astype(np.int64)) >> t["SHIFT"]
    return [np.clip(shifted, t["LOW"], t["HIGH"]).reshape(total.shape[0], -1)]


def _product(stage: Stage, x: Array, multiplier: str) -> Array:
    return x.reshape(x.shape[0], -1, stage.traits["CHANNELS"]) * stage.roms[multiplier].astype(np.int64)


def _multiply_shift(stage: Stage, x: Array) -> list[Array]:
    return _requantised(stage, _product(stage, x, "multiplier"))


def _multiply_shift2(stage: Stage, a: Array, b: Array) -> list[Array]:
    return _requantised(stage, _product(stage, a, "multiplier0") + _product(stage, b, "multiplier1"))


def _concat(stage: Stage, a: Array, b: Array) -> list[Array]:
    pixels = stage.traits["PIXELS"]
    both = [x.reshape(x.shape[0], pixels, -1) for x in (a, b)]
    return [np.concatenate(both, axis=2).reshape(a.shape[0], -1)]


def _top_k(stage: Stage, x: Array) -> list[Array]:
    """Each vector by itself, sorted by a tuple."""
    t = stage.traits
    multiplier, bias = ([int(number) for number in stage.roms[name]] for name in ("multiplier", "bias"))

    def kept(vector: list[int]) -> list[int]:
        keys = [a * multiplier[c % len(multiplier)] + bias[c % len(bias)] for c, a in enumerate(vector)]
        order = sorted(range(len(keys)), key=lambda c: (-keys[c], -c if t["LAST"] else c))[: t["K"]]
        return [part for c in order for part in ((c, vector[c]) if t["KEPT"] > t["K"] else (c,))]

    vectors = x.reshape(x.shape[0], t["VECTORS"], t["CHANNELS"]).tolist()
    return [np.array([[part for vector in frame for part in kept(vector)] for frame in vectors], np.int64)]


REFERENCE: dict[str, Callable[..., list[Array]]] = {
    "resize": lambda stage, x: [x],
    "window": _window,
    "mvau": _mvau,
    "hard_wired": _hard_wired,
    "vvau": _vvau,
    "reduce": _reduce,
    "global_reduce": _global_reduce,
    "thresholds": _thresholds,
    "multiply_shift": _multiply_shift,
    "multiply_shift2": _multiply_shift2,
    "add": lambda stage, a, b: [stage.traits["FACTOR_A"] * a + stage.traits["FACTOR_B"] * b],
    "concat": _concat,
    "top_k": _top_k,
    "fork": lambda stage, x: [x] * stage.traits["COPIES"],
}


def run(design: FlowDesign, frames: Array) -> Array:
    """The sums that a design writes, int64 [frames, elements], for uint8, int8 or float32 [frames, elements]."""
    streams: dict[str, Array] = {}
    for stage in design.stages:
        if stage.kernel == "store":
            return streams[stage.inputs[0]]
        if stage.kernel == "load_floats":
            outputs = [float_keys(np.where(np.isnan(frames), 0, frames)).astype(np.int64)]
        elif stage.kernel == "load_codes":
            outputs = [frames.astype(np.int64)]
        else:
            outputs = REFERENCE[stage.kernel](stage, *(streams[name] for name in stage.inputs))
        streams |= dict(zip(stage.outputs, outputs, strict=True))
    raise AssertionError("no store")
