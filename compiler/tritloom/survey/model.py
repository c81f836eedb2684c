"""`survey`: a model's interface, weights, quantisers, state and operations, and what of it cannot be imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from ..frontend import Imported, import_onnx
from ..frontend.problems import NotImported, brief, groups, node_label, operator, shape_text
from ..frontend.reader import read_model
from ..ir import tern
from ..ir.mlir import Operation
from .constants import Table, Weight, entropy, tables, vector_floats, weights
from .nodes import Node, fates, made_of

_FLOAT_BYTES = 4


@dataclass(frozen=True)
class Value:
    """An input or an output of the graph."""

    name: str
    type: str
    shape: str


@dataclass(frozen=True)
class State:
    """A recurrent state: its input, its output, its floats."""

    input: str
    output: str
    size: int


@dataclass(frozen=True)
class Quantiser:
    """Operations that make codes: the operation, the shape and type of its codes, and how many there are."""

    operation: str
    codes: str
    count: int


@dataclass(frozen=True)
class Refused:
    """What is not supported: an operator (or the constants), why, what to write instead, and the nodes."""

    operator: str
    reason: str
    instead: str
    nodes: list[str]


@dataclass(frozen=True)
class Survey:
    """A model before it is compiled. Where it cannot be imported, `refused` says why, and what follows from the
    operations is empty."""

    model: Path
    opset: int
    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node]
    refused: list[Refused]
    weights: list[Weight] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    vector_floats: int = 0
    states: list[State] = field(default_factory=list)
    quantisers: list[Quantiser] = field(default_factory=list)
    operations: dict[str, int] = field(default_factory=dict)
    near_ties: dict[str, int] = field(default_factory=dict)
    vector: str | None = None
    """The input that feeds the step with a vector of floats, if one does."""
    vector_length: int = 0

    @property
    def supported(self) -> bool:
        """Whether the model can be imported."""
        return not self.refused

    @property
    def is_step(self) -> bool:
        """Whether it is a decoding step, whose weights are read for every token."""
        return bool(self.tables or self.states or self.vector)

    @property
    def ternary_weights(self) -> int:
        return sum(weight.count for weight in self.weights)

    @property
    def packed_bits(self) -> float:
        """Bits a ternary weight takes in memory, the padding of rows to slices included."""
        return 8 * sum(weight.packed_bytes for weight in self.weights) / max(1, self.ternary_weights)

    @property
    def entropy_bits(self) -> float:
        """Bits a ternary weight carries."""
        return sum(entropy(weight) * weight.count for weight in self.weights) / max(1, self.ternary_weights)

    def bytes_per_token(self) -> dict[str, int]:
        """Bytes that a step reads: weights and vectors whole, a row of every table, the vector that is fed. The state
        moves once a start."""
        found = {
            "weights": sum(weight.packed_bytes for weight in self.weights),
            "vectors": self.vector_floats * _FLOAT_BYTES,
            "embedding": sum(table.row_bytes for table in self.tables),
        }
        return found if self.vector is None else {**found, "vector": self.vector_length * _FLOAT_BYTES}


def survey(path: Path) -> Survey:
    """Look at an ONNX file.

    Raises:
        InputError: it is no ONNX file, or damaged, or its inputs are not those of a step.
    """
    model = read_model(path)
    try:
        return _imported(path, model, import_onnx(path))
    except NotImported as error:
        return _refused(path, model, error)


def _values(values: Sequence[ir.Value]) -> list[Value]:
    return [
        Value(value.name or "", value.dtype.name.lower() if value.dtype is not None else "?", shape_text(value))
        for value in values
    ]


def _interface(model: ir.Model) -> tuple[int, list[Value], list[Value]]:
    initializers = set(model.graph.initializers.values())
    inputs = [value for value in model.graph.inputs if value not in initializers]
    return model.opset_imports.get("", 0), _values(inputs), _values(model.graph.outputs)


def _imported(path: Path, model: ir.Model, imported: Imported) -> Survey:
    module = imported.module
    operations = [op for top in module.ops if top.regions for op in top.walk() if op is not top]
    steps = [top for top in module.ops if isinstance(top, tern.ModelOp)]
    states = [state for step in steps for state in step.states]
    vector = next((step for step in steps if step.vector_length is not None), None)
    return Survey(
        path,
        *_interface(model),
        fates(model.graph, made_of(operations), passed=imported.passed),
        [],
        weights(module, imported.store),
        tables(module),
        vector_floats(module),
        [State(state.input.data, state.output.data, state.size.data) for state in states],
        _quantisers(operations),
        dict(Counter(op.name for op in operations if op.results).most_common()),
        imported.near_ties,
        vector.source if vector is not None else None,
        (vector.vector_length or 0) if vector is not None else 0,
    )


def _quantisers(operations: Sequence[Operation]) -> list[Quantiser]:
    """Operations that quantise, of whatever kind of model."""
    found: Counter[tuple[str, str]] = Counter()
    for op in operations:
        if "quantize" in op.name and "dequantize" not in op.name:
            found[op.name, str(op.results[0].type).removeprefix("tensor<").removesuffix(">")] += 1
    return [Quantiser(name, codes, count) for (name, codes), count in found.items()]


def _refused(path: Path, model: ir.Model, error: NotImported) -> Survey:
    made = {label: f"pattern {name}" for label, name in error.recognised.items()}
    refused = [
        Refused(operator(group[0].node), group[0].reason, group[0].instead, [node_label(one.node) for one in group])
        for group in groups(error.refusals)
    ]
    labels = {node_label(refusal.node) for refusal in error.refusals}
    refused += [Refused("constant", brief(one), one.hint, []) for one in error.errors]
    return Survey(path, *_interface(model), fates(model.graph, made, labels), refused)
