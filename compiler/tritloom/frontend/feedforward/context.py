"""What the handlers of ONNX nodes share: values so far, constants, the builder, and how a node is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ...ir.mlir import SSAValue
from ..graph import input_at
from ..problems import Refusal
from .builder import NetBuilder
from .constants import Constants
from .forms import Form
from .rows import Row, exactly

if TYPE_CHECKING:
    from .results import Result

Array = NDArray[Any]
LARGEST: Final = 1 << 25
"""Elements of a frame that anything may have."""


ENDED: Final = (
    "it computes with what stands behind the scores",
    "end the model there, or take the scores in its place",
)


class Refused(Exception):
    """A node that is not supported: why, and what to write instead."""

    def __init__(self, reason: str, instead: str) -> None:
        super().__init__(reason)
        self.reason, self.instead = reason, instead


class Unknown(Exception):
    """An operand whose own node was refused."""


@dataclass
class Net:
    """The net as far as it has been read."""

    builder: NetBuilder
    constants: Constants
    batch: int
    """Frames of the ONNX shapes: what the first axis is."""
    residues: dict[ir.Value, ir.Value]
    """Straight-through sums `x + (q - x)`, and the q that each stands for."""
    forms: dict[ir.Value, Form] = field(default_factory=dict)
    results: dict[ir.Value, Result] = field(default_factory=dict)
    """What stands behind the scores."""
    plains: dict[object, Form] = field(default_factory=dict)
    """Forms of several tensors, of clamps or maxima, as one tensor."""
    scores: dict[object, SSAValue] = field(default_factory=dict)
    """Of plain forms, by their terms and offset."""
    passed: list[ir.Node] = field(default_factory=list)
    """Nodes in front of a ranking that only keep the order of what it ranks."""
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, node: ir.Node, reason: str, instead: str) -> None:
        """Note a problem and go on."""
        self.refusals.append(Refusal(node, reason, instead))

    def form(self, node: ir.Node, index: int = 0) -> Form:
        """The run-time operand.

        Raises:
            Unknown: it was refused.
            Refused: it is constant, or missing.
        """
        value = input_at(node, index)
        if value is None or value in self.constants:
            raise Refused(f"its operand {index} is constant or missing", "let the data flow through this operand")
        if value in self.results:
            raise Refused(*ENDED)
        if value not in self.forms:
            raise Unknown
        return self.forms[value]

    def runs(self, value: ir.Value | None) -> bool:
        """Whether a value is computed at run time."""
        return value is not None and value not in self.constants

    def constant(self, node: ir.Node, index: int) -> Array | None:
        """A constant operand; None where it is not given.

        Raises:
            Refused: it is computed at run time.
        """
        value = input_at(node, index)
        if value is None or not value.name:
            return None
        if value not in self.constants:
            name = value.name
            raise Refused(f"its operand '{name}' is computed at run time", "make it a constant: quantise statically")
        return self.constants[value]

    def row(self, values: Array, form: Form) -> Row:
        """Constants that broadcast to a value, by channel.

        Raises:
            Refused: they differ within a channel.
        """
        if values.size == 1:
            return exactly(values)
        shape = (self.batch, *form.index.shape)
        try:
            wide = np.broadcast_to(values, shape)[0]
        except ValueError:
            raise Refused(
                f"a constant of shape {list(values.shape)} does not fit a value of shape {list(shape)}",
                "give one number, or one a channel",
            ) from None
        placed = np.empty(form.index.size, values.dtype)
        placed[form.index.reshape(-1)] = wide.reshape(-1)
        by_channel = placed.reshape(-1, form.channels)
        if (by_channel != by_channel[0]).any():
            raise Refused("its constant differs from pixel to pixel", "use one number, or one a channel")
        return exactly(by_channel[0])

    def along(self, values: Array, axis: int, form: Form) -> Row:
        """A constant vector along an axis of the ONNX shape, or one number."""
        if values.size == 1:
            return exactly(values)
        rank = form.index.ndim + 1
        if values.ndim != 1:
            raise Refused(f"its scale has shape {list(values.shape)}", "use one scale, or one a channel")
        shape = [1] * rank
        shape[axis % rank] = len(values)
        return self.row(values.reshape(shape), form)


def zeros(values: Array | None) -> Array:
    """A zero point: 0 where it is not given."""
    return np.zeros((), np.int64) if values is None else values
