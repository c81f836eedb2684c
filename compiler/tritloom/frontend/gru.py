"""One step of an ONNX GRU, written out in products and elementwise arithmetic.

torch.onnx.export writes nn.GRU as one node. With one position and one direction it is (ONNX operator GRU, opset 7 and
later; gates in the order z, r, n):

    z = sigmoid(Wz x + Rz h + bz)
    r = sigmoid(Wr x + Rr h + br)
    n = tanh(Wn x + bwn + r * (Rn h + brn))     with linear_before_reset (torch)
    n = tanh(Wn x + bwn + Rn (r * h) + brn)     without
    h' = z * h + (1 - z) * n
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .constants import constant_of
from .graph import input_at, int_attribute
from .surgery import add_output, is_output, is_zero, unused_name

_STATE: Final = 5
"""Which operand is the state before the first position."""
_ACTIVATIONS = ("sigmoid", "tanh")


class Builder(Protocol):
    """What appends standard nodes in the place of one."""

    def add(self, op: str, *inputs: ir.Value, domain: str = "", **attributes: object) -> ir.Value: ...

    def stored(self, suffix: str, values: NDArray[Any]) -> ir.Value: ...

    def constant(self, values: float | list[int]) -> ir.Value: ...


def expose_gru_states(model: ir.Model) -> bool:
    """Make an input and an output of the state of each GRU that starts at zero, as a sequence's does; whether there
    are any."""
    found = False
    for node in list(model.graph):
        h, hidden = input_at(node, _STATE), int_attribute(node, "hidden_size", 0)
        if node.domain or node.op_type != "GRU" or hidden < 1 or not (h is None or is_zero(h)):
            continue
        name = unused_name(model, f"{node.name or node.outputs[0].name}.state")
        state = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1, 1, hidden]))
        model.graph.inputs.append(state)
        node.resize_inputs(max(len(node.inputs), _STATE + 1))
        node.replace_input_with(_STATE, state)
        node.resize_outputs(2)
        new = node.outputs[1]
        if not is_output(new):
            new.name = new.name or unused_name(model, f"{name}.new")
            new.shape = state.shape
            add_output(model, new, unused_name(model, f"{name}.out"))
        found = True
    return found


def _constant(node: ir.Node, index: int, *shape: int) -> NDArray[Any] | None:
    """An initialiser of a shape."""
    value = input_at(node, index)
    tensor = value.const_value if value is not None else None
    if value is None or tensor is None or tuple(tensor.shape.numpy()) != shape:
        return None
    return constant_of(value.name or "", tensor).load()


def _is_plain(node: ir.Node) -> bool:
    """One direction, the default activations, no clipping, positions in front."""
    given = node.attributes.get("activations")
    plain = given is None or tuple(name.lower() for name in given.as_strings()) == _ACTIVATIONS
    direction = node.attributes.get("direction")
    forward = direction is None or direction.as_string() == "forward"
    return plain and forward and "clip" not in node.attributes and not int_attribute(node, "layout", 0)


def _inputs_of_one_position(x: ir.Value) -> int | None:
    """The last dimension of [positions, batch, inputs], where the others are 1 or symbolic, which become 1."""
    dims = list(x.shape) if x.shape is not None else []
    if len(dims) != 3 or any(isinstance(dim, int) and dim != 1 for dim in dims[:2]):
        return None
    return dims[2] if isinstance(dims[2], int) else None


def write_out_gru(builder: Builder, node: ir.Node) -> dict[int, ir.Value] | None:
    """The values of Y and Y_h; None where the GRU is of another kind, or has several positions."""
    x, hidden = input_at(node, 0), int_attribute(node, "hidden_size", 0)
    inputs = _inputs_of_one_position(x) if x is not None else None
    if x is None or inputs is None or hidden < 1 or not _is_plain(node):
        return None
    weights, recurrent = _constant(node, 1, 1, 3 * hidden, inputs), _constant(node, 2, 1, 3 * hidden, hidden)
    biases = np.zeros((1, 6 * hidden), np.float32) if input_at(node, 3) is None else _constant(node, 3, 1, 6 * hidden)
    h = input_at(node, 5)
    if weights is None or recurrent is None or biases is None or h is None or input_at(node, 4) is not None:
        return None
    step = _Step(
        builder, hidden, weights[0], recurrent[0], biases[0], bool(int_attribute(node, "linear_before_reset", 0))
    )
    flat = builder.add("Reshape", x, builder.constant([1, inputs]))
    new = step.build(flat, builder.add("Reshape", h, builder.constant([1, hidden])))
    outputs = [[1, 1, 1, hidden], [1, 1, hidden]]
    return {index: builder.add("Reshape", new, builder.constant(outputs[index])) for index in range(len(node.outputs))}


class _Step:
    """The products and gates of one step."""

    def __init__(
        self,
        builder: Builder,
        hidden: int,
        weights: NDArray[Any],
        recurrent: NDArray[Any],
        biases: NDArray[Any],
        linear_before_reset: bool,
    ) -> None:
        self.builder = builder
        self.hidden = hidden
        self.weights = {"W": weights, "R": recurrent}
        self.biases = {"W": biases[: 3 * hidden], "R": biases[3 * hidden :]}
        self.linear_before_reset = linear_before_reset

    def _gate(self, gate: int) -> slice:
        return slice(gate * self.hidden, (gate + 1) * self.hidden)

    def product(self, which: str, gate: int, x: ir.Value) -> ir.Value:
        name = f"{which}{'zrn'[gate]}"
        matrix = self.builder.stored(name, np.ascontiguousarray(self.weights[which][self._gate(gate)].T))
        return self.builder.add("MatMul", x, matrix)

    def plus(self, x: ir.Value, name: str, bias: NDArray[Any]) -> ir.Value:
        """x and a bias, unless that is zero."""
        return self.builder.add("Add", x, self.builder.stored(name, bias[np.newaxis])) if bias.any() else x

    def sigmoid(self, gate: int, x: ir.Value, h: ir.Value) -> ir.Value:
        both = self.builder.add("Add", self.product("W", gate, x), self.product("R", gate, h))
        bias = self.biases["W"][self._gate(gate)] + self.biases["R"][self._gate(gate)]
        return self.builder.add("Sigmoid", self.plus(both, f"b{'zrn'[gate]}", bias))

    def build(self, x: ir.Value, h: ir.Value) -> ir.Value:
        add = self.builder.add
        z, r = self.sigmoid(0, x, h), self.sigmoid(1, x, h)
        inner, outer = (self.biases[which][self._gate(2)] for which in "RW")
        if self.linear_before_reset:
            candidate = add("Mul", r, self.plus(self.product("R", 2, h), "brn", inner))
        else:
            candidate = self.plus(self.product("R", 2, add("Mul", r, h)), "brn", inner)
        n = add("Tanh", add("Add", self.plus(self.product("W", 2, x), "bwn", outer), candidate))
        rest = add("Mul", add("Sub", self.builder.constant(1.0), z), n)
        return add("Add", add("Mul", z, h), rest)
