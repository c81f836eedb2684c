"""A stand-in for the module `pyxrt`: the calls of its documented binding, over the emulated memory and kernel.

It is as strict as the C++ behind the binding: a scalar is a C int, a buffer belongs to the bank of its
argument, host and card have separate copies.
"""

from __future__ import annotations

import enum
import json
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tritloom.runtime import Bundle
from tritloom.runtime.emulator.build import build_library
from tritloom.runtime.emulator.kernel import KernelModel
from tritloom.runtime.emulator.memory import BASE, Memory
from tritloom.runtime.errors import TritloomRuntimeError


class Direction(enum.Enum):
    XCL_BO_SYNC_BO_TO_DEVICE = 0
    XCL_BO_SYNC_BO_FROM_DEVICE = 1


class State(enum.Enum):
    ERT_CMD_STATE_NEW = 1
    ERT_CMD_STATE_COMPLETED = 4
    ERT_CMD_STATE_ERROR = 5
    ERT_CMD_STATE_ABORT = 6
    ERT_CMD_STATE_TIMEOUT = 8
    ERT_CMD_STATE_NORESPONSE = 9


class Uuid:
    def __init__(self, text: str) -> None:
        self._text = text

    def to_string(self) -> str:
        return self._text


class Card:
    """What is plugged in: its memory, and the xclbin that was loaded last."""

    def __init__(self, bundle: Path, model: Callable[[Bundle, Memory], Any] | None = None) -> None:
        opened = Bundle.open(bundle)
        self.args = opened.kernel.args
        self.memory = Memory(1 << 20)
        self.model = (model or _engine)(opened, self.memory)
        self.loaded = ""
        self.watts: str | None = "31.5"
        self.kernel_names: list[str] = []


def _engine(bundle: Bundle, memory: Memory) -> KernelModel:
    return KernelModel(build_library(bundle.root, bundle.hls_files), bundle.kernel.engine, memory)


def make_module(card: Card) -> ModuleType:
    """The module, with `card` as device 0."""

    class xclbin:  # noqa: N801
        def __init__(self, filename: str) -> None:
            if not isinstance(filename, str):
                raise TypeError("xclbin(str)")
            self.data = Path(filename).read_bytes()

    class device:  # noqa: N801
        def __init__(self, index: int) -> None:
            if index != 0:
                raise RuntimeError(f"No such device with index '{index}'")

        def load_xclbin(self, image: Any) -> Uuid:
            if not isinstance(image, xclbin):
                raise TypeError("load_xclbin(xclbin)")
            if not image.data.startswith(b"xclbin2"):
                raise RuntimeError("invalid xclbin: bad magic")
            card.loaded = image.data.hex()
            return Uuid(card.loaded)

        def get_xclbin_uuid(self) -> Uuid:
            return Uuid(card.loaded)

        def get_info(self, key: str) -> str:
            return json.dumps({} if card.watts is None else {"power_consumption_watts": card.watts})

    class kernel:  # noqa: N801
        exclusive = "exclusive"

        def __init__(self, owner: Any, uuid: Uuid, name: str, mode: str) -> None:
            if not isinstance(owner, device) or uuid.to_string() != card.loaded or mode != "exclusive":
                raise RuntimeError("kernel: bad arguments")
            card.kernel_names.append(name)

        def group_id(self, index: int) -> int:
            if card.args[index].kind != "pointer":
                raise RuntimeError(f"argument {index} is not a memory")
            return 0 if card.args[index].name.startswith("port") else 1

    class bo:  # noqa: N801
        normal = "normal"

        def __init__(self, owner: Any, size: int, flags: str, group: int) -> None:
            if not isinstance(owner, device) or flags != "normal" or group not in (0, 1):
                raise TypeError("bo(device, size, flags, group)")
            self.group = group
            try:
                self.block = card.memory.allocate(size)
            except MemoryError as error:
                raise RuntimeError(f"bad_alloc: {error}") from error

        def __del__(self) -> None:
            if hasattr(self, "block"):
                card.memory.free(self.block)

        def size(self) -> int:
            return self.block.nbytes

        def address(self) -> int:
            return BASE + self.block.offset

        def map(self) -> memoryview:
            return memoryview(card.memory.host_map)[self.block.offset : self.block.offset + self.block.nbytes]

        def sync(self, direction: Direction, size: int, offset: int) -> None:
            if offset < 0 or size < 0 or offset + size > self.block.nbytes:
                raise RuntimeError("sync: out of range")
            copy = card.memory.flush if direction is Direction.XCL_BO_SYNC_BO_TO_DEVICE else card.memory.invalidate
            copy(self.block.offset + offset, size)

    class run:  # noqa: N801
        def __init__(self, owner: Any) -> None:
            self._values: dict[int, Any] = {}
            self._state = State.ERT_CMD_STATE_NEW
            self._done = threading.Event()

        def set_arg(self, index: int, value: Any) -> None:
            kind = card.args[index].kind
            if isinstance(value, bo) != (kind == "pointer") or kind == "out":
                raise TypeError(f"set_arg({index})")
            if isinstance(value, bo):
                if value.group != (0 if card.args[index].name.startswith("port") else 1):
                    raise RuntimeError(f"argument {index}: the buffer is in another bank")
            elif type(value) is not int or not -(1 << 31) <= value < 1 << 31:
                raise TypeError("set_arg(int, int)")
            self._values[index] = value

        def start(self) -> None:
            threading.Thread(target=self._body, daemon=True).start()

        def _body(self) -> None:
            inputs = {arg.name: self._value(index) for index, arg in enumerate(card.args) if arg.kind != "out"}
            try:
                card.model.run(inputs)
                self._state = State.ERT_CMD_STATE_COMPLETED
            except TritloomRuntimeError:
                self._state = State.ERT_CMD_STATE_ERROR
            self._done.set()

        def _value(self, index: int) -> int:
            value = self._values[index]
            return value.address() if isinstance(value, bo) else value & 0xFFFFFFFF

        def wait(self, timeout_ms: int) -> State:
            if type(timeout_ms) is not int or timeout_ms <= 0:
                raise TypeError("wait(milliseconds); 0 would wait for ever")
            return self._state if self._done.wait(timeout_ms / 1000) else State.ERT_CMD_STATE_TIMEOUT

    module = ModuleType("pyxrt")
    for part in (xclbin, device, kernel, bo, run):
        setattr(module, part.__name__, part)
    module.xclBOSyncDirection = Direction  # type: ignore[attr-defined]
    module.ert_cmd_state = State  # type: ignore[attr-defined]
    module.xrt_info_device = SimpleNamespace(electrical="electrical")  # type: ignore[attr-defined]
    return module
