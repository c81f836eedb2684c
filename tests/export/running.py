"""Exported models in onnxruntime and in the interpreter, and the logits that PyTorch gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from checkpoints import FIXTURE
from numpy.typing import NDArray
from tritloom.frontend import import_onnx
from tritloom.ir.interpreter import Interpreter

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """Logits [T, V] and the last states [L, d]."""

    logits: F32
    states: F32


def expected() -> tuple[list[int], Run]:
    """The tokens of the committed checkpoint, and what the PyTorch module made of them."""
    with np.load(FIXTURE / "expected.npz") as file:
        return file["tokens"].tolist(), Run(file["logits"], file["states"])


def in_onnxruntime(path: Path, tokens: Sequence[int]) -> Run:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    states = {each.name: np.zeros(each.shape, np.float32) for each in session.get_inputs()[1:]}
    rows = []
    for token in tokens:
        logits, *new = session.run(None, {"input_ids": np.array([token]), **states})
        states = dict(zip(states, new, strict=True))
        rows.append(logits[0])
    return Run(np.stack(rows), np.concatenate(list(states.values())))


def in_the_interpreter(path: Path, tokens: Sequence[int]) -> Run:
    imported = import_onnx(path)
    step = Interpreter(imported.module, imported.store).run(tokens)
    return Run(step.outputs["logits"], np.stack(list(step.states.values())))


def assert_same(actual: Run, wanted: Run) -> None:
    """Equal but for the order of sums: no code of these runs lies near a rounding boundary."""
    np.testing.assert_allclose(actual.logits, wanted.logits, rtol=0, atol=1e-5 * np.abs(wanted.logits).max())
    np.testing.assert_allclose(actual.states, wanted.states, rtol=0, atol=1e-5 * np.abs(wanted.states).max())
