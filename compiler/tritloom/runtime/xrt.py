"""The kernel on an Alveo card, through `pyxrt`, the Python binding of the Xilinx Runtime (XRT).

Written against the documented binding; not run on a card. Three things differ from a PYNQ board:

- pyxrt gives no access to the kernel's registers. Whether a start went well, and how many tokens it
  generated, follows from the progress word that the kernel leaves in the control page (docs/kernel.md);
  the counters stay 0.
- A scalar argument is a C int: values from 2**31 on are passed as negative ones.
- A kernel that hangs cannot be loaded again: the card needs a reset, and the error says so.
"""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from .accelerator import Buffer, Wait
from .bundle import Bundle
from .errors import Cancelled, DeviceError, KernelError, KernelTimeout
from .overlay_file import check_overlay
from .sensors import Sensor

if TYPE_CHECKING:
    import pyxrt

GREEDY, STOP_TOKEN = 1, 8
PROGRESS_BYTE = 2048
_SLICE_MS = 20
"""pyxrt waits with Python's lock held: not for long."""
_RESET = "reset the card (`xrt-smi reset -d BDF`, before 2023.2 `xbutil reset -d BDF`) and load again"


def _pyxrt() -> Any:
    try:
        import pyxrt
    except ImportError as error:
        raise DeviceError(
            f"the package pyxrt cannot be imported: {error}",
            "install XRT and source its setup.sh; or load with device='emulated' to run without a card",
        ) from error
    return pyxrt


class XrtBuffer:
    """`nbytes` of the card's memory with their copy on the host; see `buffers.DeviceBuffer`."""

    def __init__(self, name: str, nbytes: int, bo: pyxrt.bo) -> None:
        self._xrt = _pyxrt()
        self.name = name
        self.nbytes = nbytes
        self._bo: pyxrt.bo | None = bo
        self.address = int(bo.address())

    @property
    def bo(self) -> pyxrt.bo:
        """XRT's buffer object.

        Raises:
            DeviceError: it was freed.
        """
        if self._bo is None:
            raise DeviceError(f"the buffer `{self.name}` was freed: the session is closed")
        return self._bo

    def view(self, dtype: npt.DTypeLike, start: int = 0, count: int = -1) -> npt.NDArray[np.generic]:
        """A host view of `count` items (-1: all) from byte `start` on."""
        size = np.dtype(dtype).itemsize
        count = (self.nbytes - start) // size if count < 0 else count
        return np.frombuffer(self.bo.map(), np.uint8)[start : start + count * size].view(dtype)

    def fill(self, data: npt.NDArray[np.generic], start: int = 0) -> None:
        """Copy `data` to byte `start` of the buffer and on to the card."""
        raw = np.ascontiguousarray(data).reshape(-1).view(np.uint8)
        self.view(np.uint8, start, raw.size)[:] = raw
        self.to_device(start, raw.size)

    def to_device(self, start: int = 0, nbytes: int = -1) -> None:
        """Copy `nbytes` (-1: all) from byte `start` on to the card."""
        self._sync("XCL_BO_SYNC_BO_TO_DEVICE", start, nbytes)

    def from_device(self, start: int = 0, nbytes: int = -1) -> None:
        """Copy `nbytes` (-1: all) from byte `start` on from the card."""
        self._sync("XCL_BO_SYNC_BO_FROM_DEVICE", start, nbytes)

    def _sync(self, direction: str, start: int, nbytes: int) -> None:
        size = self.nbytes - start if nbytes < 0 else nbytes
        self.bo.sync(getattr(self._xrt.xclBOSyncDirection, direction), size, start)

    def free(self) -> None:
        """Give the memory back; harmless when repeated."""
        self._bo = None


class XrtKernel:
    """The bundle's kernel on the card `index`: an `Accelerator` through pyxrt.

    Raises:
        DeviceError: no pyxrt, no card, no overlay, or XRT could not load it.
    """

    emulated = False

    def __init__(self, bundle: Bundle, index: int = 0) -> None:
        self._xrt = _pyxrt()
        self._bundle = bundle
        self._index = index
        self.lock = threading.RLock()
        self._run: pyxrt.run | None = None
        self._started: tuple[Mapping[str, XrtBuffer], Mapping[str, int]] = ({}, {})
        self._hung = False
        self.load()

    def load(self) -> None:
        """Load the xclbin. Where the kernel still runs, that is no way to end it: see `check_loaded`."""
        if self._run is not None:
            self._hung = True
            return
        path = check_overlay(self._bundle)
        name = self._bundle.kernel.vlnv.split(":")[2]
        try:
            self._device = self._xrt.device(self._index)
            self._uuid = self._device.load_xclbin(self._xrt.xclbin(str(path)))
            self._kernel = self._xrt.kernel(self._device, self._uuid, name, self._xrt.kernel.exclusive)
        except (RuntimeError, OSError, ValueError) as error:
            raise DeviceError(
                f"XRT could not load {path.name} on card {self._index}: {error}",
                "check that the card's platform is the one that the overlay was built for (`xrt-smi examine`)",
            ) from error

    def check_loaded(self) -> None:
        """Look whether the kernel can be started.

        Raises:
            DeviceError: it hangs, or another xclbin has been loaded since.
        """
        if self._hung:
            raise DeviceError("the kernel on the card hangs since an earlier start", _RESET)
        if self._device.get_xclbin_uuid().to_string() != self._uuid.to_string():
            raise DeviceError("another overlay has been loaded onto the device since", "load this bundle again")

    def allocate(self, name: str, nbytes: int) -> XrtBuffer:
        """Memory in the bank that the argument `name` is connected to.

        Raises:
            DeviceError: none left.
        """
        try:
            bank = self._kernel.group_id(self._indices[name])
            return XrtBuffer(name, nbytes, self._xrt.bo(self._device, nbytes, self._xrt.bo.normal, bank))
        except (RuntimeError, MemoryError) as error:
            raise DeviceError(f"no memory for {nbytes:,} bytes on the card: {error}", "close other sessions") from error

    @functools.cached_property
    def _indices(self) -> dict[str, int]:
        return {arg.name: index for index, arg in enumerate(self._bundle.kernel.args)}

    def start(self, buffers: Mapping[str, Buffer], scalars: Mapping[str, int], wait: Wait) -> None:
        """Start a run with all arguments; XRT itself sleeps on the interrupt, whatever `wait` says."""
        owned = cast("Mapping[str, XrtBuffer]", buffers)
        run = self._xrt.run(self._kernel)
        for name, buffer in owned.items():
            run.set_arg(self._indices[name], buffer.bo)
        for name, value in scalars.items():
            run.set_arg(self._indices[name], value - (1 << 32) if value >> 31 else value)
        run.start()
        self._run, self._started = run, (owned, dict(scalars))

    def wait(self, timeout: float, wait: Wait, cancelled: threading.Event | None) -> None:
        """Wait for the run.

        Raises:
            KernelTimeout: it was not done after `timeout` seconds.
            Cancelled: the event was set.
            DeviceError: XRT reports an error.
        """
        end = time.monotonic() + timeout
        while not self._done():
            if cancelled is not None and cancelled.is_set():
                raise Cancelled
            if time.monotonic() > end:
                shown = " ".join(f"{name}={value}" for name, value in self._started[1].items())
                raise KernelTimeout(
                    f"the kernel was not done after {timeout:.1f} s\n  {shown}{self._shown_progress()}",
                    "raise the time limit (timeout=...) if the model is that slow; otherwise report these values",
                )

    def settle(self, seconds: float) -> bool:
        """Wait for at most `seconds` until the kernel is idle; whether it is."""
        end = time.monotonic() + seconds
        while not self._done():
            if time.monotonic() > end:
                return False
        return True

    def _done(self) -> bool:
        if self._run is None:
            return True
        states = self._xrt.ert_cmd_state
        state = self._run.wait(_SLICE_MS)
        if state in (states.ERT_CMD_STATE_ERROR, states.ERT_CMD_STATE_ABORT, states.ERT_CMD_STATE_NORESPONSE):
            raise DeviceError(f"XRT reports {state} for the kernel", _RESET)
        if state == states.ERT_CMD_STATE_COMPLETED:
            self._run = None
            return True
        return False

    def results(self) -> dict[str, int]:
        """The kernel's output arguments as far as they follow from the control page; counters are 0.

        Raises:
            KernelError: the kernel ended before its last pass, and nobody had asked it to.
        """
        buffers, scalars = self._started
        if self._bundle.net is not None:
            return {"status": 0, "cycles": 0}  # it has no control page
        done, stopping, _ = self._progress()
        greedy = bool(scalars["mode"] & GREEDY) and scalars["N"] > 0
        prompt = -(-scalars["T"] // scalars["B"])
        passes = prompt + (scalars["N"] - 1 if greedy else 0)
        count = max(0, done - prompt + 1) if greedy else 0
        if not stopping:
            raise KernelError(4, "the kernel refused its arguments", "report this with the bundle")
        if done < passes and not self._asked_to_stop(buffers, scalars, count):
            raise KernelError(
                3 if done else 2,
                f"the kernel ended after {done} of {passes} passes: a bad program, or a token outside the embedding"
                " table (XRT does not show which)",
                "give token ids below the vocabulary's size, or compile the bundle again",
            )
        return dict.fromkeys(("status", "cycles", "busy", "starved", "waiting"), 0) | {"count": count}

    def _asked_to_stop(self, buffers: Mapping[str, XrtBuffer], scalars: Mapping[str, int], count: int) -> bool:
        if int(buffers["ctl"].view(np.uint32, 0, 1)[0]):
            return True
        if not scalars["mode"] & STOP_TOKEN or not count:
            return False
        out = buffers["tokens_out"]
        out.from_device(0, count * 4)
        return int(out.view(np.uint32, 0, count)[-1]) == scalars["stop_token"]

    def _shown_progress(self) -> str:
        if self._bundle.net is not None:
            return ""
        done, stopping, last = self._progress()
        return f"\n  passes done={done} stopping={stopping} last={last}"

    def _progress(self) -> tuple[int, int, int]:
        """Passes done, whether the kernel ended, the last pass that was streamed."""
        page = self._started[0]["ctl"]
        page.from_device(PROGRESS_BYTE, 16)
        done, stopping, last, _ = (int(word) for word in page.view(np.uint32, PROGRESS_BYTE, 4))
        return done, stopping, last

    def sensors(self) -> list[Sensor]:
        """The card's power."""

        def watts() -> float:
            document = json.loads(self._device.get_info(self._xrt.xrt_info_device.electrical))
            return float(document["power_consumption_watts"])

        try:
            watts()
        except (RuntimeError, ValueError, KeyError, TypeError):
            return []
        return [Sensor("card", "W", watts, total=True)]
