"""The `engine` dialect: kernel configuration, macro-instructions, buffers, layout of weights."""

from ..mlir import Dialect
from .assemble import (
    ProgramEntry,
    Unscheduled,
    assemble,
    gain_symbols,
    gain_words,
    instruction_count,
    instruction_ops,
    port_beats,
)
from .kernel import KernelOp, kernel_of
from .ops import (
    BINARY_FUNCTIONS,
    ElementwiseOp,
    EmbedOp,
    LinearOp,
    LoadStateOp,
    QuantizeOp,
    StoreStateOp,
    ViewOp,
)
from .types import (
    CodesType,
    EpilogueAttr,
    EpilogueKind,
    FunctionAttr,
    FunctionKind,
    LogitsType,
    NormType,
    PackedAttr,
    VectorType,
    engine_length,
)

Engine = Dialect(
    "engine",
    [KernelOp, EmbedOp, QuantizeOp, LinearOp, ElementwiseOp, LoadStateOp, StoreStateOp, ViewOp],
    [VectorType, CodesType, LogitsType, NormType, PackedAttr, EpilogueAttr, FunctionAttr],
)

__all__ = [
    "BINARY_FUNCTIONS",
    "CodesType",
    "ElementwiseOp",
    "EmbedOp",
    "Engine",
    "EpilogueAttr",
    "EpilogueKind",
    "FunctionAttr",
    "FunctionKind",
    "KernelOp",
    "LinearOp",
    "LoadStateOp",
    "LogitsType",
    "NormType",
    "PackedAttr",
    "ProgramEntry",
    "QuantizeOp",
    "StoreStateOp",
    "Unscheduled",
    "VectorType",
    "ViewOp",
    "assemble",
    "engine_length",
    "gain_symbols",
    "gain_words",
    "instruction_count",
    "instruction_ops",
    "kernel_of",
    "port_beats",
]
