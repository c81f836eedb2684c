"""The `flow` dialect: a net as processes that streams connect."""

from ..mlir import Dialect
from .arithmetic import AddOp, QuantizeOp, RequantizeOp
from .movement import BEATS, ConcatOp, ForkOp, LoadOp, ResizeOp, StoreOp
from .stage import Stage, channels_of
from .top_k import TopKOp
from .types import StreamType, stream_element, stream_of
from .windowed import GlobalPoolOp, MvauOp, PoolOp, WindowOp

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
    "WindowOp",
    "channels_of",
    "stream_element",
    "stream_of",
]
