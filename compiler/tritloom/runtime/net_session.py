"""A session of a feed-forward net: arrays in, arrays out, frames streamed through one start of the kernel."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .accelerator import Accelerator, Buffer, Wait
from .asynchronous import AsyncRun, Turns
from .bundle import Bundle
from .errors import Cancelled, DeviceError, InputError, KernelError
from .net_manifest import NetPort, NetProgram
from .net_outputs import outputs_of
from .node_arg import NodeArg
from .overlay import DeviceChoice, choose_kernel
from .sensors import Sensor

FRAMES: Final = 256
"""Frames that a start takes at most: what the buffers hold."""
_GRACE_SECONDS = 2.0
_EMULATED_FRAME_SECONDS = 5.0
_TYPES: Final = {"float32": "tensor(float)", "float64": "tensor(double)"}
"""Types whose name in onnxruntime is not numpy's."""


@dataclass(frozen=True)
class NetCounters:
    """What the starts of a run took: clock cycles by the kernel's counter, `seconds` by the host's clock.

    The cycles of an emulated kernel are simulated, not measured.
    """

    frames: int
    starts: int
    cycles: int
    seconds: float

    @property
    def frames_per_second(self) -> float:
        return self.frames / self.seconds if self.seconds else 0.0


class NetSession(AsyncRun):
    """A feed-forward net on a device. Use `load` to make one; close it, or use it in a `with` block.

    Calls from several threads take turns. See `AsyncRun` for a call to await.
    """

    cancelled: threading.Event | None = None
    """Ends the starts of the present call when it is set."""

    def __init__(
        self, bundle: Bundle, device: DeviceChoice = None, timeout: float | None = None, wait: Wait = "poll"
    ) -> None:
        if bundle.net is None:
            raise InputError("the bundle is a language model's", "use tritloom.runtime.load")
        self.bundle = bundle
        self.program: NetProgram = bundle.net
        self._kernel: Accelerator = choose_kernel(bundle, device)
        self._timeout = timeout
        self._wait: Wait = wait
        self._closed = False
        self._buffers: dict[str, Buffer] = {}
        self.last_counters: NetCounters | None = None
        """Of the last `run`."""
        try:
            sizes = {"input": self.program.input_bytes, "output": self.program.output_bytes}
            for name, size in sizes.items():
                self._buffers[name] = self._kernel.allocate(name, FRAMES * size)
        except DeviceError:
            self.close()
            raise

    @property
    def label(self) -> str:
        """What a time taken here is: measured on a board, or simulated."""
        return "simulated on the emulated device" if self._kernel.emulated else "measured on board"

    @property
    def lock(self) -> threading.RLock:
        """Held over a call."""
        return self._kernel.lock

    def _turns(self) -> Turns:
        return self

    def sensors(self) -> list[Sensor]:
        """Power rails and temperatures of the device, where it has them."""
        return self._kernel.sensors()

    def get_inputs(self) -> list[NodeArg]:
        """The input, any number of frames."""
        return [_node(self.program.input)]

    def get_outputs(self) -> list[NodeArg]:
        """The outputs of every frame."""
        return [_node(output.port) for output in self.program.outputs]

    def run(self, output_names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[npt.NDArray[Any]]:
        """The named outputs, or all, [frames, ...] of the input [frames, ...], in the model's layouts and dtypes.

        Raises:
            InputError: an unknown name, a missing input, one of another shape or dtype, or NaN in it.
            KernelTimeout: a start did not finish; the overlay was loaded again.
            KernelError: the kernel refused a start.
            DeviceError: the session is closed, the overlay was replaced, a bus error.
        """
        wanted = self._check_outputs(output_names)
        frames = self._check_input(feeds)
        parts: list[list[npt.NDArray[Any]]] = []
        cycles, seconds, starts = 0, 0.0, 0
        with self._kernel.lock:
            for first in range(0, len(frames), FRAMES):
                words, took, lasted = self._start(frames[first : first + FRAMES])
                parts.append(outputs_of(self.program, words))
                cycles, seconds, starts = cycles + took, seconds + lasted, starts + 1
        self.last_counters = NetCounters(len(frames), starts, cycles, seconds)
        return [np.concatenate([part[index] for part in parts]) for index in wanted]

    def _check_outputs(self, names: Sequence[str] | None) -> list[int]:
        """Numbers of the outputs that are asked for."""
        known = [output.port.name for output in self.program.outputs]
        for name in names or ():
            if name not in known:
                raise InputError(f"there is no output {name!r}", f"outputs: {', '.join(map(repr, known))}")
        return [known.index(name) for name in names or known]

    def _check_input(self, feeds: Mapping[str, Any]) -> npt.NDArray[np.generic]:
        """Frames [n, ...] in channels-last order."""
        port = self.program.input
        if not isinstance(feeds, Mapping):
            raise InputError(f"the feeds are {type(feeds).__name__}", f"give a dictionary: {{{port.name!r}: array}}")
        for name in feeds:
            if name != port.name:
                raise InputError(f"there is no input {name!r}", f"the input is {port.name!r}")
        if port.name not in feeds:
            raise InputError(f"the input {port.name!r} is missing", f"give {port.dtype} {['frames', *port.shape]}")
        try:
            values = np.asarray(feeds[port.name])
        except ValueError as error:
            raise InputError(
                f"{port.name!r} is no array: {error}", f"give {port.dtype} {['frames', *port.shape]}"
            ) from error
        if (
            values.dtype != np.dtype(port.dtype)
            or values.shape[1:] != port.shape
            or values.ndim == 0
            or not len(values)
        ):
            raise InputError(
                f"{port.name!r} is {values.dtype} {list(values.shape)}",
                f"give {port.dtype} {['frames', *port.shape]}, at least one frame",
            )
        if port.dtype == "float32" and np.isnan(values).any():
            raise InputError(f"{port.name!r} holds NaN", "give numbers")
        return values.transpose(0, *(axis + 1 for axis in port.axes)).reshape(len(values), -1)

    def _start(self, frames: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.int32], int, float]:
        """One start: what the kernel wrote, int32 [frames, words], the cycles and the seconds."""
        if self._closed:
            raise DeviceError("the session is closed", "load the bundle again")
        if self.cancelled is not None and self.cancelled.is_set():
            raise Cancelled
        self._kernel.check_loaded()
        self._send(frames)
        began = time.perf_counter()
        try:
            self._kernel.start(self._buffers, {"frames": len(frames)}, self._wait)
            self._kernel.wait(self._time_limit(len(frames)), self._wait, self.cancelled)
            seconds = time.perf_counter() - began
            found = self._kernel.results()
        except KernelError:
            raise
        except BaseException:
            self._recover()
            raise
        buffer, size = self._buffers["output"], self.program.output_bytes
        buffer.from_device(0, len(frames) * size)
        words = buffer.view(np.int32, 0, len(frames) * size // 4).reshape(len(frames), size // 4)
        return words[:, : self.program.words].astype(np.int32), found["cycles"], seconds

    def _send(self, frames: npt.NDArray[np.generic]) -> None:
        size = self.program.input_bytes
        padded = np.zeros((len(frames), size), np.uint8)
        raw = np.ascontiguousarray(frames).view(np.uint8).reshape(len(frames), -1)
        padded[:, : raw.shape[1]] = raw
        self._buffers["input"].fill(padded)

    def _time_limit(self, frames: int) -> float:
        if self._timeout is not None:
            return self._timeout
        a_frame = 20 * self.program.cycles_per_frame / (self.bundle.kernel.clock_mhz * 1e6)
        return 10.0 + frames * (_EMULATED_FRAME_SECONDS if self._kernel.emulated else a_frame)

    def _recover(self) -> None:
        """Make the device usable after a start that did not end well."""
        try:
            if self._kernel.settle(_GRACE_SECONDS):
                return
        except DeviceError:
            pass
        self._kernel.load()

    def close(self) -> None:
        """Free the device's memory; harmless when repeated."""
        self._closed = True
        for buffer in self._buffers.values():
            buffer.free()

    def __enter__(self) -> NetSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _node(port: NetPort) -> NodeArg:
    return NodeArg(port.name, ("frames", *port.shape), _TYPES.get(port.dtype, f"tensor({port.dtype})"))
