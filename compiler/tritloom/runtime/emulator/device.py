"""The emulated device: a `pynq.Device` whose memory is host memory and whose kernel is the emitted C++.

Importing this module imports pynq and makes the device known to it: pynq's own probing finds it where
TRITLOOM_EMULATE is set.
"""

from __future__ import annotations

import os
import struct
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .._pynq import (
    CLOCKS_BY_DEVICE,
    Device,
    InterruptController,
    Metadata,
    PynqBuffer,
    RuntimeMetadataParser,
)
from ..bundle import Bundle
from ..errors import DeviceError
from ..hwh import read_layout
from ..kernel_manifest import NET_VLNV, VLNV, Kernel
from .build import build_library, check_limits
from .hwh_writer import write_hwh
from .kernel import KernelModel, Trace
from .memory import BASE, PAGE, Memory
from .mmio import RegisterArray
from .net_kernel import NetKernelModel
from .registers import AxiIntc, HlsKernel, RegisterFile, Run, ps_registers
from .uio import Uio

DEFAULT_MEMORY = 4 << 30
"""Bytes of emulated contiguous memory; pages that nobody touches cost nothing."""


class EmulatedBuffer(PynqBuffer):
    """A buffer whose memory goes back to the emulated allocator (pynq's would call munmap)."""

    device: Any = None  # hides numpy 2's read-only attribute of this name, over which pynq stumbles
    _release: weakref.finalize[Any, Any] | None = None

    def freebuffer(self) -> None:
        """Free the memory; a slice of a buffer has none of its own."""
        release = self.__dict__.get("_release")
        if release is not None:
            release()


class EmulatedDevice(Device):
    """A Zynq or Zynq UltraScale+ with one tritloom kernel, made of software.

    Args:
        build: "fast", or "bounded": FIFOs with their real depths and a watchdog for deadlocks.
        trace: called with every tensor of every instruction (see `emulator.kernel.Trace`).
        flush: the CPU's FTZ/DAZ while the kernel runs; None leaves it alone.
        memory: bytes of contiguous memory.
    """

    _probe_priority_ = 10  # pynq's own: 40 Versal, 50 embedded, 100 remote, 200 XRT
    emulated = True

    @classmethod
    def _probe_(cls) -> list[EmulatedDevice]:
        return [cls()] if os.environ.get("TRITLOOM_EMULATE", "0") not in ("", "0") else []

    def __init__(
        self,
        build: str = "fast",
        trace: Trace | None = None,
        flush: bool | None = None,
        memory: int = DEFAULT_MEMORY,
    ) -> None:
        super().__init__("emulated")
        self.name = "emulated"
        self.arch = "aarch64"
        self.capabilities = {"MEMORY_MAPPED": True}
        self.memory = Memory(-(-memory // PAGE) * PAGE)
        self.trace = trace
        self._build = build
        self._flush = flush
        self._processor = ps_registers("zynqmp")
        self._registers: list[RegisterFile] = []
        self._uios: dict[int, Uio] = {}
        self._bundle: Bundle | None = None
        self.net_kernel: NetKernelModel | None = None
        """The kernel of a feed-forward net, if that is loaded: it counts initiations."""
        self._folder = tempfile.TemporaryDirectory(prefix="tritloom-overlay-")

    # -- the overlay

    def overlay_for(self, bundle: Bundle) -> Path:
        """An overlay for the bundle's kernel, to be loaded by `pynq.Overlay`: the path of its .bit.

        Raises:
            BundleError: the kernel's C++ is for other limits than the manifest's.
            BuildError: it does not compile.
        """
        if bundle.net is None:
            check_limits(bundle.root, bundle.hls_files, bundle.kernel.engine)
        build_library(bundle.root, bundle.hls_files, self._build)
        arch = "armv7l" if bundle.kernel.family == "zynq" else "aarch64"
        if arch != self.arch:  # pynq sets the clocks before it downloads: they are there from now on
            self.arch = arch
            self._processor = ps_registers(bundle.kernel.family)
            self._registers = []
        self._bundle = bundle
        bit = Path(self._folder.name) / "tritloom.bit"
        bit.write_bytes(b"")  # pynq only looks whether it is there
        write_hwh(bit.with_suffix(".hwh"), bundle.kernel)
        return bit

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> Any:
        """pynq asks for the parsed .hwh of an overlay."""
        hwh = Path(bitfile_name).with_suffix(".hwh")
        if not hwh.exists():
            raise RuntimeError(f"{hwh} is missing")
        parser = RuntimeMetadataParser(Metadata(input=str(hwh)))
        parser.mem_dict["PSDDR"] = {
            "raw_type": 2,
            "used": 1,
            "base_address": BASE,
            "size": self.memory.size,
            "type": "DDR4",
            "streaming": False,
            "idx": 0,
            "tag": "PSDDR",
        }
        parser.refresh_hierarchy_dict()
        if not CLOCKS_BY_DEVICE:
            parser.clock_dict = {}
        for clock in parser.clock_dict.values():
            if clock.get("frequency", 0) is None:  # pynq 4.0.0 looks for a ZynqMP parameter
                clock["frequency"] = self._kernel().clock_mhz
        return parser

    def gen_cache(self, bitstream: Any, parser: Any = None) -> None:
        """Nothing to cache."""

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """pynq downloads an overlay: make the models of its IPs and wire their interrupts."""
        by_name = {
            name: self._model(entry, Path(bitstream.bitfile_name))
            for name, entry in parser.ip_dict.items()
            if "phys_addr" in entry
        }
        self._registers = list(by_name.values())
        for name, controller in parser.interrupt_controllers.items():
            uio = self._uios.setdefault(controller["raw_irq"], Uio())
            uio.set_level(False)
            by_name[name].interrupt = uio.set_level
            InterruptController._uio_devices[controller["raw_irq"]] = uio
        for pin, wire in parser.interrupt_pins.items():
            source, target = by_name.get(pin.rpartition("/")[0]), by_name.get(wire["controller"])
            if isinstance(source, HlsKernel) and isinstance(target, AxiIntc):
                source.interrupt = target.line(wire["index"])
        try:
            super().post_download(bitstream, parser, self.name)
        except TypeError:  # pynq 3.0
            super().post_download(bitstream, parser)

    def _kernel(self) -> Kernel:
        if self._bundle is None:
            raise DeviceError("the emulated device has no kernel", "open the bundle with tritloom.runtime.load")
        return self._bundle.kernel

    def _model(self, entry: dict[str, Any], bit: Path) -> RegisterFile:
        base, span, kind = int(entry["phys_addr"]), int(entry["addr_range"]), str(entry["type"])
        if kind.startswith("xilinx.com:ip:axi_intc:"):
            return AxiIntc(base, span)
        if kind not in (VLNV, NET_VLNV) or self._bundle is None:
            return RegisterFile(base, span)
        layout = read_layout(bit.with_suffix(".hwh"), kind, self._bundle.kernel.args)
        return HlsKernel(base, span, layout, self._body(self._bundle))

    def _body(self, bundle: Bundle) -> Run:
        """What the kernel does in a start."""
        library = build_library(bundle.root, bundle.hls_files, self._build)
        if bundle.net is not None:
            self.net_kernel = NetKernelModel(library, bundle.net, self.memory)
            return self.net_kernel.run
        return KernelModel(library, bundle.kernel.engine, self.memory, self.trace, self._flush).run

    # -- registers

    def mmap(self, base_addr: int, length: int) -> RegisterArray:
        """pynq's MMIO maps registers."""
        return RegisterArray(self, base_addr, length // 4)

    def read_registers(self, address: int, length: int) -> bytes:
        """Read whole words at a physical address."""
        target = self._find(address)
        words = (target.read32(address + at - target.base) for at in range(0, length, 4))
        return b"".join(struct.pack("<I", word & 0xFFFFFFFF) for word in words)

    def write_registers(self, address: int, data: bytes) -> None:
        """Write whole words at a physical address."""
        target = self._find(address)
        for index, (word,) in enumerate(struct.iter_unpack("<I", data)):
            target.write32(address + 4 * index - target.base, word)

    def _find(self, address: int) -> RegisterFile:
        for registers in (*self._processor, *self._registers):
            if registers.base <= address < registers.base + registers.span:
                return registers
        raise DeviceError(f"bus error: nothing answers at 0x{address:x}")

    # -- memory

    @property
    def default_memory(self) -> EmulatedDevice:
        return self

    def get_memory(self, description: Any) -> EmulatedDevice:
        """What ``overlay.PSDDR`` is."""
        return self

    def allocate(self, shape: Any, dtype: npt.DTypeLike = "u4", **options: Any) -> EmulatedBuffer:
        """pynq.allocate ends here.

        Raises:
            MemoryError: the emulated contiguous memory is used up.
        """
        nbytes = max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize)
        block = self.memory.allocate(nbytes)
        window = memoryview(self.memory.host_map)[block.offset : block.offset + nbytes]
        buffer = EmulatedBuffer(shape, dtype, device=self, bo=block, device_address=BASE + block.offset, buffer=window)
        buffer._release = weakref.finalize(buffer, self.memory.free, block)
        return buffer

    def flush(self, bo: Any, offset: int, vaddr: int, nbytes: int) -> None:
        """pynq's flush: what the host wrote reaches the device."""
        self.memory.flush(bo.offset + offset, nbytes)

    def invalidate(self, bo: Any, offset: int, vaddr: int, nbytes: int) -> None:
        """pynq's invalidate: what the device wrote reaches the host."""
        self.memory.invalidate(bo.offset + offset, nbytes)
