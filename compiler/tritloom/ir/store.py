"""The weight store: the values behind the names in the IR, loaded one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .mlir import ModuleOp
from .ranking import Ranking
from .steps import StepFunction
from .tern import StepsOp, VectorOp, WeightOp

Loader = Callable[[], NDArray[np.generic]]
_ROWS: Final = 256
"""Rows that are made contiguous at a time."""


class UnknownSymbol(KeyError):
    """A name the store has no values for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"the weight store has no values for @{self.name}: give the ONNX file that the IR was made from"


def trits_hash(trits: NDArray[np.int8]) -> str:
    """sha256 of int8 trits, row-major: what `tern.weight` states."""
    if trits.dtype == np.int8 and trits.flags.c_contiguous:
        return hashlib.sha256(trits.data).hexdigest()
    digest = hashlib.sha256()
    for start in range(0, len(trits), _ROWS):  # a transposed matrix in a file is not copied as a whole
        digest.update(np.ascontiguousarray(trits[start : start + _ROWS], np.int8).data)
    return digest.hexdigest()


@dataclass
class WeightStore:
    """Loaders by symbol. Nothing is kept: every call loads anew (a file is memory-mapped behind its loader)."""

    loaders: dict[str, Loader] = field(default_factory=dict)
    functions: dict[str, StepFunction] = field(default_factory=dict)
    """Step functions by symbol."""
    rankings: dict[str, Ranking] = field(default_factory=dict)

    def add(self, name: str, loader: Loader) -> None:
        """Bind `name` to the function that loads its values."""
        self.loaders[name] = loader

    def steps(self, module: ModuleOp, name: str) -> StepFunction:
        """A step function of `module`, those of sums included."""
        for op in module.ops:
            if isinstance(op, StepsOp) and op.sym_name.data == name and op.sum_of is not None:
                return self.steps(module, op.sum_of.root_reference.data).of_sum
        if name not in self.functions:
            raise UnknownSymbol(name)
        return self.functions[name]

    def ranking(self, name: str) -> Ranking:
        """The keys that order sums."""
        if name not in self.rankings:
            raise UnknownSymbol(name)
        return self.rankings[name]

    def _load(self, name: str) -> NDArray[np.generic]:
        if name not in self.loaders:
            raise UnknownSymbol(name)
        return self.loaders[name]()

    def trits(self, name: str) -> NDArray[np.int8]:
        """Trits [rows, cols] of a weight that is not joined from others."""
        return self._load(name).astype(np.int8, copy=False)

    def matrix(self, module: ModuleOp, name: str) -> NDArray[np.int8]:
        """Trits [rows, cols] of a weight of `module`, joined weights included."""
        for op in module.ops:
            if isinstance(op, WeightOp) and op.sym_name.data == name and (parts := op.part_names()):
                return np.concatenate([self.matrix(module, part) for part in parts])
        return self.trits(name)

    def table(self, name: str) -> NDArray[np.generic]:
        """Embedding table [rows, cols] in the type of its file: float32, float16, or bfloat16 as uint16 bits."""
        return self._load(name)

    def root_vector(self, name: str) -> NDArray[np.float32]:
        """A float32 vector [n] that is not derived from others."""
        return self._load(name).astype(np.float32, copy=False)

    def vector(self, module: ModuleOp, name: str) -> NDArray[np.float32]:
        """A float32 vector [n] of `module`, products of others included (multiplied left to right)."""
        for op in module.ops:
            if isinstance(op, VectorOp) and op.sym_name.data == name:
                if op.splat is not None:
                    return np.full(op.length.value.data, op.splat.value.data, np.float32)
                factors = op.factor_names()
                if not factors:
                    return self.root_vector(name)
                value = self.vector(module, factors[0])
                for factor in factors[1:]:
                    value = value * self.vector(module, factor)
                return value
        raise UnknownSymbol(name)
