"""The `flow` dialect: a net as processes that streams connect."""

from ..mlir import Dialect
from .ops import (
    BEATS,
    AddOp,
    ConcatOp,
    ForkOp,
    GlobalPoolOp,
    LoadOp,
    MvauOp,
    PoolOp,
    QuantizeOp,
    RequantizeOp,
    ResizeOp,
    StoreOp,
    VvauOp,
    WindowOp,
)
from .stage import Stage, channels_of
from .top_k import TopKOp
from .types import StreamType, stream_element, stream_of

Flow = Dialect(
    "flow",
    [
        LoadOp,
        StoreOp,
        QuantizeOp,
        ResizeOp,
        ForkOp,
        WindowOp,
        MvauOp,
        VvauOp,
        PoolOp,
        GlobalPoolOp,
        RequantizeOp,
        AddOp,
        ConcatOp,
        TopKOp,
    ],
    [StreamType],
)

__all__ = [
    "BEATS",
    "AddOp",
    "ConcatOp",
    "Flow",
    "ForkOp",
    "GlobalPoolOp",
    "LoadOp",
    "MvauOp",
    "PoolOp",
    "QuantizeOp",
    "RequantizeOp",
    "ResizeOp",
    "Stage",
    "StoreOp",
    "StreamType",
    "TopKOp",
    "VvauOp",
    "WindowOp",
    "channels_of",
    "stream_element",
    "stream_of",
]
