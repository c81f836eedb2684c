"""Building the module: symbols with their loaders, operations with location and binding."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..ir.bindings import bind
from ..ir.locations import location
from ..ir.mlir import LocationAttr, ModuleOp, Operation, SSAValue
from ..ir.store import WeightStore
from ..ir.tern import (
    FillOp,
    LoadOp,
    ModelOp,
    ReadStateOp,
    ReturnOp,
    StateType,
    TableOp,
    VectorOp,
    WeightOp,
    WriteStateOp,
)
from .constants import Constant, constant_from
from .facts import Facts
from .graph import Graph, State
from .problems import node_label
from .tables import in_format
from .ternary import TernarySource

_LONGEST_HINT = 24
_SUFFIXES = (".dequantised", ".weight", ".trits")


class Emitter:
    """Appends operations to the model's block, and symbols to the module in front of it."""

    def __init__(self, graph: Graph, facts: Facts) -> None:
        self.graph = graph
        self.facts = facts
        self.store = WeightStore()
        self.near_ties: dict[str, int] = {}
        self._symbols: list[Operation] = []
        self._names: dict[object, str] = {}
        self._taken: set[str] = set()
        self._location: LocationAttr | None = None
        types = [
            StateType.of(graph.width(state.input) or 0, state.input.name or "", state.output.name or "")
            for state in graph.states
        ]
        states = {state.output for state in graph.states}
        self.outputs = [output for output in graph.model.graph.outputs if output not in states]
        outputs = [output.name or "" for output in self.outputs]
        name = self._unique(graph.model.graph.name or "model")
        source = graph.source
        if source is None:
            raise ValueError("the states have not been paired")
        vector = graph.width(source) if source.dtype == ir.DataType.FLOAT else None
        self.model = ModelOp(name, source.name or "", outputs, types, vector)
        self.source, *self._state_args = self.model.body.block.args
        if vector is not None:
            self.source.name_hint = identifier(source.name or "") or None
        self._next: dict[State, SSAValue] = {}

    # Operations

    def at(self, nodes: Iterable[ir.Node]) -> None:
        """Set the ONNX nodes that the operations from here on come from."""
        self._location = location(node_label(node) for node in nodes)

    def add(self, op: Operation, *tensors: ir.Value | None) -> Operation:
        """Append an operation; its results hold the values of these tensors."""
        if self._location is not None:
            op.location = self._location
        self._bind(op, tensors)
        self.model.body.block.add_op(op)
        return op

    def _bind(self, op: Operation, tensors: Sequence[ir.Value | None]) -> None:
        names = [tensor.name or "" if tensor is not None else "" for tensor in tensors]
        names += [""] * (len(op.results) - len(names))
        bind(op, names)
        for result, name in zip(op.results, names, strict=True):
            if 0 < len(name) <= _LONGEST_HINT and (hint := identifier(name)):
                result.name_hint = re.sub(r"_(\d+)$", r".\1", hint)

    def value(self, op: Operation, *tensors: ir.Value | None) -> SSAValue:
        """Append an operation and return its first result."""
        return self.add(op, *tensors).results[0]

    def name(self, value: SSAValue, tensor: ir.Value) -> None:
        """Bind the only result of an operation afterwards."""
        if isinstance(value.owner, Operation):
            self._bind(value.owner, [tensor])

    def fill(self, number: float, length: int) -> SSAValue:
        """A vector of one number."""
        return self.value(FillOp(number, length))

    def load(self, constant: Constant) -> SSAValue:
        """A constant vector."""
        return self.value(LoadOp(self.vector(constant), constant.size))

    # States

    def state(self, state: State) -> SSAValue:
        """The state at the start of the step."""
        return self._state_args[self.graph.states.index(state)]

    def read_state(self, state: State) -> SSAValue:
        """Its value."""
        return self.value(ReadStateOp(self.state(state)), state.input)

    def set_state(self, state: State, value: SSAValue) -> None:
        """The state at the end of the step."""
        self._next[state] = value

    # Symbols

    def _unique(self, name: str) -> str:
        for suffix in _SUFFIXES:
            name = name.removesuffix(suffix)
        base = identifier(name.removeprefix("model.")) or "constant"
        unique, count = base, 1
        while unique in self._taken:
            unique, count = f"{base}_{count}", count + 1
        self._taken.add(unique)
        return unique

    def _symbol(
        self, key: object, name: str, loader: Callable[[], NDArray[np.generic]], make: Callable[[str], Operation]
    ) -> str:
        """Name of the symbol `key`, made on first use."""
        if key not in self._names:
            unique = self._unique(name)
            self._names[key] = unique
            self.store.add(unique, loader)
            self._symbols.append(make(unique))
        return self._names[key]

    def vector(self, constant: Constant) -> str:
        """Symbol of a constant vector."""
        values = constant.finite_vector()
        return self._symbol(
            ("vector", constant.name, values.tobytes()),
            constant.name,
            constant.finite_vector,
            lambda name: VectorOp(name, constant.size),
        )

    def ones(self, length: int) -> str:
        """Symbol of a vector of ones: the gain of a norm without one."""
        return self.vector(constant_from(f"ones_{length}", np.ones(length, np.float32)))

    def weight(self, source: TernarySource, scale: float) -> str:
        """Symbol of a ternary matrix."""
        fact = self.facts.ask_weight(source).result()
        key = ("weight", source.key, scale)
        if key not in self._names:
            name = self._symbol(
                key,
                source.constant.name,
                source.trits,
                lambda name: WeightOp(name, source.rows, source.cols, scale, fact.digest),
            )
            if fact.near_ties:
                self.near_ties[name] = fact.near_ties
        return self._names[key]

    def table(self, constant: Constant) -> str:
        """Symbol of an embedding table, in the narrowest float format that holds its values exactly."""
        rows, cols = constant.shape
        key = ("table", constant.name)
        if key in self._names:
            return self._names[key]
        form = self.facts.ask_table(constant).result()
        return self._symbol(
            key,
            constant.name,
            lambda: in_format(constant.load(), form),
            lambda name: TableOp(name, rows, cols, form),
        )

    def finish(self, values: Sequence[SSAValue], states: Sequence[SSAValue | None]) -> ModuleOp:
        """The module, once every output has its value; a state that no recurrence made is written."""
        self._location = None
        new_states = []
        for state, value in zip(self.graph.states, states, strict=True):
            if state not in self._next:
                if value is None:
                    raise ValueError(f"no value for state '{state.input.name}'")
                self._next[state] = self.value(WriteStateOp(value, self.state(state)), state.source)
            new_states.append(self._next[state])
        self.model.body.block.add_op(ReturnOp([*values, *new_states]))
        return ModuleOp([*self._symbols, self.model])


def identifier(name: str) -> str:
    """A name as an MLIR identifier."""
    text = re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("._")
    return f"_{text}" if text[:1].isdigit() else text
