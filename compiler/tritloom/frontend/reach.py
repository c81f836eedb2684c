"""What a value depends on element by element."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import onnx_ir as ir

_ELEMENTWISE = frozenset(
    {"Add", "Sub", "Mul", "Div", "Max", "Min", "Clip", "Sigmoid", "Tanh", "Relu", "Neg", "Where", "Identity", "Cast"}
    | {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Expand"}
    | {"GRU", "LSTM", "RNN", "Scan", "Loop"}  # if these are left, it is they that are refused, not the pairing
)


def distances(output: ir.Value, resolve: Callable[[ir.Value], ir.Value] = lambda value: value) -> dict[ir.Value, int]:
    """Graph inputs that an output depends on element by element, and through how many nodes; `resolve` may look through
    some that do nothing."""
    found: dict[ir.Value, int] = {}
    seen = {resolve(output)}
    queue = deque([(resolve(output), 0)])
    while queue:
        value, distance = queue.popleft()
        node = value.producer()
        if node is None:
            found[value] = distance
        elif not node.domain and node.op_type in _ELEMENTWISE:
            operands = (resolve(operand) for operand in node.inputs if operand is not None)
            new = [operand for operand in dict.fromkeys(operands) if operand not in seen]
            seen.update(new)
            queue.extend((operand, distance + 1) for operand in new)
    return found
