"""The interpreter: what every operation means, in numpy. It defines the numbers (docs/numerics.md).

Operations without the Serial trait compute all positions of a prompt together; the others go over them one after
another. Ternary products use the trits of the weight store, that is of the ONNX file, never a packed image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .. import engine, numerics, tern
from ..mlir import ModuleOp, Operation
from ..store import WeightStore
from .engine_ops import ENGINE
from .frame import F32, Array, Frame, Observer, Slot, Trace
from .tern_ops import TERN

__all__ = ["Array", "Fed", "Frame", "Interpreter", "Observer", "Slot", "Step", "Trace", "evaluate"]

Fed = Sequence[int] | F32
"""What a step is fed with: a token a position, or a vector a position, [T, n]."""

_MEANING = {**TERN, **ENGINE}
_ONE_POSITION = (tern.ReadStateOp, tern.WriteStateOp, engine.LoadStateOp, engine.StoreStateOp)


@dataclass(frozen=True)
class Step:
    """Outputs [T, n] by name, and the states afterwards [n] by the name of their ONNX input."""

    outputs: dict[str, F32]
    states: dict[str, F32]


def evaluate(frame: Frame, op: Operation) -> None:
    """Compute the results of one operation from the values in `frame`."""
    _MEANING[type(op)](frame, op)


def _model(module: ModuleOp) -> tern.ModelOp:
    for op in module.ops:
        if isinstance(op, tern.ModelOp):
            return op
    raise ValueError("the module has no tern.model")


class Interpreter:
    """Evaluates the model of a module, of either dialect or both mixed."""

    def __init__(self, module: ModuleOp, store: WeightStore) -> None:
        self.module = module
        self.store = store
        self.model = _model(module)
        self.one_position = any(isinstance(op, _ONE_POSITION) for op in self.model.body.block.ops)

    def zero_states(self) -> dict[str, F32]:
        """Initial states [n], by the name of their ONNX input."""
        return {state.input.data: np.zeros(state.size.data, np.float32) for state in self.model.states}

    def run(
        self,
        fed: Fed,
        states: Mapping[str, F32] | None = None,
        observer: Observer | None = None,
    ) -> Step:
        """Outputs for every token [T] or vector [T, n] that is fed, from `states` (zeros if not given).

        `observer` sees every tensor of every engine instruction. A model that reads a state outside a recurrence is
        evaluated one position at a time, and then observed one position at a time.
        """
        current = dict(self.zero_states() if states is None else states)
        rows = self._rows(fed)
        if not self.one_position:
            return self._run_block(rows, current, observer)
        outputs: list[dict[str, F32]] = []
        for at in range(len(rows)):
            step = self._run_block(rows[at : at + 1], current, observer)
            outputs.append(step.outputs)
            current = step.states
        names = outputs[0] if outputs else {}
        return Step({name: np.concatenate([out[name] for out in outputs]) for name in names}, current)

    def _rows(self, fed: Fed) -> Array:
        """What the model's first argument is at each position: [T, 1] tokens, or [T, n] floats."""
        length = self.model.vector_length
        if length is None:
            return np.asarray(fed, np.int64)[:, np.newaxis]
        return numerics.without_subnormals(np.asarray(fed, np.float32).reshape(-1, length))

    def _run_block(self, rows: Array, states: Mapping[str, F32], observer: Observer | None) -> Step:
        frame = Frame(self.module, self.store, observer, positions=len(rows))
        block = self.model.body.block
        frame.values[block.args[0]] = rows
        for arg, state in zip(block.args[1:], self.model.states, strict=True):
            frame.values[arg] = states[state.input.data].reshape(-1)
        for op in block.ops:
            if isinstance(op, tern.ReturnOp):
                return self._outputs(frame, op)
            evaluate(frame, op)
        raise AssertionError("unreachable: a verified model ends in tern.return")

    def _outputs(self, frame: Frame, op: tern.ReturnOp) -> Step:
        names = self.model.output_names
        returned = [frame.f32(value) for value in op.values]
        outputs = dict(zip(names, returned[: len(names)], strict=True))
        inputs = [state.input.data for state in self.model.states]
        return Step(outputs, dict(zip(inputs, returned[len(names) :], strict=True)))
