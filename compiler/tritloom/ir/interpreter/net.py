"""The interpreter of feed-forward nets."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .. import tern
from ..mlir import ModuleOp, Operation
from ..store import WeightStore
from .flow_ops import FLOW
from .frame import Array, Frame
from .net_ops import NET

_MEANING = {**NET, **FLOW}

NetObserver = Callable[[Operation, list[Array]], None]
"""Called with every operation and its results, [frames, ...] each."""


def net_of(module: ModuleOp) -> tern.NetOp | None:
    """The net of a module; None where the module is a decoding step."""
    return next((op for op in module.ops if isinstance(op, tern.NetOp)), None)


class NetInterpreter:
    """Evaluates the net of a module. Raises ValueError where the module has none."""

    def __init__(self, module: ModuleOp, store: WeightStore) -> None:
        net = net_of(module)
        if net is None:
            raise ValueError("the module has no tern.net")
        self.module, self.store, self.net = module, store, net

    def run(
        self, feeds: Mapping[str, NDArray[np.generic]], observer: NetObserver | None = None
    ) -> dict[str, NDArray[np.generic]]:
        """Outputs [frames, ...] in ONNX's layout and type, by name, of inputs [frames, ...] in ONNX's layout."""
        frame = Frame(self.module, self.store, None)
        for port, argument in zip(self.net.input_ports, self.net.body.block.args, strict=True):
            values = feeds[port.tensor.data]
            frame.values[argument] = to_channels_last(values, port).reshape(len(values), *tern.shape_of(argument))
        for op in self.net.body.block.ops:
            if isinstance(op, tern.ReturnOp):
                return {
                    port.tensor.data: from_channels_last(frame.get(value).astype(port.dtype), port)
                    for port, value in zip(self.net.output_ports, op.values, strict=True)
                }
            _MEANING[type(op)](frame, op)
            if observer is not None:
                observer(op, [frame.values[result] for result in op.results])
        raise AssertionError("unreachable: a verified net ends in tern.return")


def to_channels_last(values: NDArray[np.generic], port: tern.PortAttr) -> NDArray[np.generic]:
    """[frames, *axes in the port's order] of an array in ONNX's layout."""
    frames = values.reshape(len(values), *port.dimensions)
    return frames.transpose(0, *(axis + 1 for axis in port.order))


def from_channels_last(values: NDArray[np.generic], port: tern.PortAttr) -> NDArray[np.generic]:
    """[frames, ...] in ONNX's layout of channels-last frames."""
    order = port.order
    frames = values.reshape(len(values), *(port.dimensions[axis] for axis in order))
    return frames.transpose(0, *(order.index(axis) + 1 for axis in range(len(order))))
