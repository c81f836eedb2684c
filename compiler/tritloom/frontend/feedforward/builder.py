"""Building the module of a net: operations with location and binding, symbols in front of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ...ir.bindings import bind
from ...ir.locations import location
from ...ir.mlir import ArrayAttr, IntegerType, ModuleOp, Operation, SSAValue, TensorType, f32
from ...ir.ranking import Ranking
from ...ir.steps import StepFunction
from ...ir.store import WeightStore, trits_hash
from ...ir.tern import (
    NetOp,
    PortAttr,
    QuantizeOp,
    RankingOp,
    RequantizeOp,
    ReturnOp,
    StepsOp,
    VectorOp,
    WeightOp,
    integer_for,
)
from ..emitter import identifier
from ..problems import node_label

_LONGEST_HINT = 24


class NetBuilder:
    """Appends operations to the net's block."""

    def __init__(self, name: str, port: PortAttr, argument: TensorType) -> None:
        self.store = WeightStore()
        self._symbols: list[Operation] = []
        self._names: dict[object, str] = {}
        self._taken: set[str] = set()
        self.net = NetOp(self.unique(name or "net"), [port], [], [argument])

    @property
    def argument(self) -> SSAValue:
        return self.net.body.block.args[0]

    def unique(self, name: str) -> str:
        """A symbol's name that is not taken."""
        base = identifier(name) or "constant"
        unique, count = base, 1
        while unique in self._taken:
            unique, count = f"{base}_{count}", count + 1
        self._taken.add(unique)
        return unique

    def add(self, op: Operation, nodes: Iterable[ir.Node], tensor: str = "") -> SSAValue:
        """Append an operation that comes from ONNX nodes; its result holds the values of the tensor of that name."""
        where = location(node_label(node) for node in nodes)
        if where is not None:
            op.location = where
        bind(op, [tensor])
        if 0 < len(tensor) <= _LONGEST_HINT and (hint := identifier(tensor)):
            op.results[0].name_hint = re.sub(r"_(\d+)$", r".\1", hint)
        self.net.body.block.add_op(op)
        return op.results[0]

    def weight(self, name: str, trits: NDArray[np.int8]) -> str:
        """Symbol of a ternary matrix [rows, cols]."""
        trits = np.ascontiguousarray(trits, np.int8)
        digest = trits_hash(trits)
        key = ("weight", trits.shape, digest)
        if key not in self._names:
            symbol = self._names[key] = self.unique(name)
            self.store.add(symbol, lambda: trits)
            self._symbols.append(WeightOp(symbol, trits.shape[0], trits.shape[1], 1.0, digest))
        return self._names[key]

    def vector(self, name: str, values: NDArray[np.float32]) -> str:
        """Symbol of a float32 vector."""
        key = ("vector", values.tobytes())
        if key not in self._names:
            symbol = self._names[key] = self.unique(name)
            self.store.add(symbol, lambda: values)
            self._symbols.append(VectorOp(symbol, len(values)))
        return self._names[key]

    def ranking(self, name: str, keys: Ranking) -> str:
        """Symbol of the keys that order sums."""
        key = ("ranking", keys.bits, keys.digest)
        if key not in self._names:
            symbol = self._names[key] = self.unique(name)
            self.store.rankings[symbol] = keys
            numbers = (len(keys.multiplier), len(keys.bias), keys.bits, keys.multiplier_bits)
            self._symbols.append(RankingOp(symbol, *numbers, keys.digest))
        return self._names[key]

    def steps(self, name: str, function: StepFunction) -> str:
        """Symbol of a step function."""
        key = ("steps", function.digest)
        if key not in self._names:
            symbol = self._names[key] = self.unique(name)
            self.store.functions[symbol] = function
            self._symbols.append(
                StepsOp(
                    symbol,
                    function.channels,
                    function.operands,
                    function.low,
                    function.step,
                    function.levels,
                    function.digest,
                )
            )
        return self._names[key]

    def requantize(
        self,
        operands: Sequence[SSAValue],
        function: StepFunction,
        name: str,
        nodes: Iterable[ir.Node],
        tensor: str,
        element: IntegerType | None = None,
    ) -> SSAValue:
        """Codes of integer tensors, or of a float one."""
        element = element or integer_for(min(function.low, 0), max(function.high, 0))
        symbol = self.steps(name, function)
        first = operands[0].type
        if isinstance(first, TensorType) and first.element_type == f32:
            return self.add(QuantizeOp(operands[0], symbol, element), nodes, tensor)
        return self.add(RequantizeOp(operands, symbol, element), nodes, tensor)

    def finish(self, values: Sequence[SSAValue], ports: Sequence[PortAttr]) -> ModuleOp:
        """The module, its outputs being these."""
        self.net.properties["outputs"] = ArrayAttr(list(ports))
        self.net.body.block.add_op(ReturnOp(list(values)))
        return ModuleOp([*self._symbols, self.net])
