"""How far a stage has read its operands when it writes a word: closed forms of its geometry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..ir import flow
from ..ir.flow import channels_of, stream_of
from .initiations import window_rows
from .stage_traits import kernel_of, traits_of

Counts = NDArray[np.int64]


def words_read(stage: flow.Stage, operand: int, written: Counts) -> Counts:
    """Words of an operand that a stage must have read, over all frames, before it can write one more than `written`.

    The latest that it may read them: a window also takes what it needs later, if it is there already.
    """
    source, result = stream_of(stage.streams_in()[operand]), stream_of(stage.streams_out()[0])
    frame, word = np.divmod(written, result.words)
    read: Counts = frame * source.words + _of_frame(stage, operand, word)
    return read


def words_of_vector(stage: flow.MvauOp) -> tuple[int, int]:
    """Words that a unit takes of a vector before it writes any, and words that it makes of it."""
    traits, kernel = traits_of(stage), kernel_of(stage)
    if kernel == "mvau":
        return traits["INPUTS"] // traits["SIMD"], traits["OUTPUTS"] // traits["PE"]
    return (traits["TAPS"], 1) if kernel == "vvau" else (1, 1)


def _of_frame(stage: flow.Stage, operand: int, word: Counts) -> Counts:
    source, result = stream_of(stage.streams_in()[operand]), stream_of(stage.streams_out()[0])
    if isinstance(stage, flow.ResizeOp):
        return -(-(word + 1) * result.lanes.data // source.lanes.data)
    if isinstance(stage, flow.WindowOp):
        return _of_window(stage, word)
    if isinstance(stage, flow.MvauOp):
        taken, made = words_of_vector(stage)
        return (word // made + 1) * taken
    if isinstance(stage, flow.PoolOp):
        return (word + 1) * stage.taps
    if isinstance(stage, flow.GlobalPoolOp):
        return word + 1 + source.words - result.words
    if isinstance(stage, flow.TopKOp):
        return (word + 1) * (stage.channels // source.lanes.data)
    if isinstance(stage, flow.ConcatOp):
        return _of_concat(stage, operand, word)
    return word + 1


def _of_window(stage: flow.WindowOp, word: Counts) -> Counts:
    traits, source, result = traits_of(stage), stream_of(stage.operand), stream_of(stage.result)
    rows = np.array(window_rows(traits), np.int64)[word // (result.words // traits["OUT_HEIGHT"])]
    read: Counts = rows * (source.words // traits["HEIGHT"])
    return read


def _of_concat(stage: flow.ConcatOp, operand: int, word: Counts) -> Counts:
    left, right = (channels_of(stream_of(value)) // stream_of(value).lanes.data for value in (stage.lhs, stage.rhs))
    pixel, fold = np.divmod(word, left + right)
    first: Counts = pixel * left + np.minimum(fold + 1, left)
    second: Counts = pixel * right + np.maximum(fold + 1 - left, 0)
    return first if operand == 0 else second
