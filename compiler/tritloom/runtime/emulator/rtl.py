"""RTL behind the emulated device: a Verilog kernel, simulated by Verilator, at the registers and memory of the driver.

The same driver, the same memory with its two views, the same interrupt controller; only the kernel is RTL. The ports
are those of a Vitis HLS kernel: ``ap_clk``, ``ap_rst_n``, ``interrupt``, ``s_axi_control_*``, ``m_axi_<name>_*``.
A whole token takes too long in RTL simulation: run a layer (docs/kernel.md, the test bench's one-layer mode).
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..driver import AP_DONE, AP_IDLE, AP_START, CTRL
from ..errors import BuildError, DeviceError, TritloomRuntimeError
from ..hwh import read_layout
from ..kernel_manifest import Kernel
from .device import EmulatedDevice
from .hwh_writer import write_hwh
from .memory import Memory
from .registers import HlsKernel, RegisterFile, ps_registers

LIBRARY = "libtritloom_rtl.so"
_TOOL_SECONDS = 900
_CYCLES = 256
"""Clock cycles that the simulation runs on between two looks at the host."""
_PAUSE_SECONDS = 20e-6
"""Between two stretches of the clock: the host gets its turn at the registers."""
_LINT = ("-Wno-lint", "-Wno-style", "-Wno-fatal")

_READ = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p
)
_WRITE = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p
)


@dataclass(frozen=True)
class Master:
    """A memory port of the kernel: `m_axi_<name>`, its data `bits` wide."""

    name: str
    bits: int


@dataclass(frozen=True)
class RtlDesign:
    """Verilog of a kernel: `bridge` is the folder with bridge.cpp (templates/rtl)."""

    top: str
    sources: tuple[Path, ...]
    masters: tuple[Master, ...]
    bridge: Path


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BuildError(
            f"RTL simulation needs `{name}`, which is not installed", f"install it (Debian: apt-get install {package})"
        )
    return found


def _run(command: Sequence[str], what: str) -> str:
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_TOOL_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{what} took more than {_TOOL_SECONDS} s", "simulate a smaller kernel") from error
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        first = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "no output")
        raise BuildError(f"{what} failed: {first[:400]}", "the Verilog is not what the bridge expects of an HLS kernel")
    return done.stdout


def _header(design: RtlDesign, model: str) -> str:
    """design.h: which memory ports the bridge has to serve, and what Verilator made of the name of the interrupt.

    Verilator renames what SystemC reserves, `interrupt` among it.
    """
    rows = " ".join(f"X({master.name}, {number}, {master.bits // 8})" for number, master in enumerate(design.masters))
    interrupt = "__SYM__interrupt" if "__SYM__interrupt" in model else "interrupt"
    return f'#include "Vkernel.h"\n#define MASTERS(X) {rows}\n#define INTERRUPT {interrupt}\n'


def build_rtl(design: RtlDesign, output: Path) -> Path:
    """Verilate a kernel and compile it with the bridge: the path of the library, in `output`.

    Raises:
        BuildError: a tool is missing, or the Verilog is not accepted (the first error is shown).
    """
    verilator = _tool("verilator", "verilator")
    compiler = os.environ.get("CXX", "g++").split()
    _tool(compiler[0], "g++")
    root = Path(_run([verilator, "--getenv", "VERILATOR_ROOT"], "verilator").strip())
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rtl-", dir=output) as scratch:
        made = Path(scratch)
        sources = [str(source) for source in design.sources]
        options = ["--cc", "--prefix", "Vkernel", "--Mdir", str(made), "--top-module", design.top, *_LINT]
        _run([verilator, *options, *sources], "verilator")
        model = (made / "Vkernel.h").read_text(encoding="utf-8")
        (made / "design.h").write_text(_header(design, model), encoding="utf-8")
        library = made / LIBRARY
        includes = [f"-I{folder}" for folder in (made, design.bridge, root / "include", root / "include" / "vltstd")]
        support = [str(root / "include" / name) for name in ("verilated.cpp", "verilated_threads.cpp")]
        models = sorted(str(path) for path in made.glob("Vkernel*.cpp"))
        flags = ["-O1", "-shared", "-fPIC", "-std=c++17", "-faligned-new", "-pthread", "-w"]
        bridge = str(design.bridge / "bridge.cpp")
        _run([*compiler, *flags, *includes, bridge, *models, *support, "-o", str(library)], "the C++ compiler")
        library.replace(output / LIBRARY)
    return output / LIBRARY


class _Simulation:
    """A Verilated kernel with its memory; the caller holds a lock over each call."""

    def __init__(self, library: Path, design: RtlDesign, memory: Memory, seed: int) -> None:
        try:
            self._library = ctypes.CDLL(str(library))
            self._new = self._library.tritloom_rtl_new
        except (OSError, AttributeError) as error:
            raise BuildError(f"{library.name} cannot be loaded: {error}", "build it again") from error
        self._new.argtypes = [_READ, _WRITE, ctypes.c_void_p, ctypes.c_uint32]
        self._new.restype = ctypes.c_void_p
        for name, arguments, result in (
            ("delete", [], None),
            ("read", [ctypes.c_uint32], ctypes.c_uint32),
            ("write", [ctypes.c_uint32, ctypes.c_uint32], None),
            ("advance", [ctypes.c_uint32], None),
            ("interrupt", [], ctypes.c_int),
            ("error", [], ctypes.c_char_p),
        ):
            function = getattr(self._library, f"tritloom_rtl_{name}")
            function.argtypes = [ctypes.c_void_p, *arguments]
            function.restype = result
        self._design = design
        self._memory = memory
        self.error: TritloomRuntimeError | None = None
        self._told = False
        # The library keeps the callbacks: they must live as long as the simulation.
        self._callbacks = (_READ(self._read_memory), _WRITE(self._write_memory))
        self._handle = ctypes.c_void_p(self._new(*self._callbacks, None, seed))

    def close(self) -> None:
        """End the simulation; harmless when repeated."""
        if self._handle:
            self._library.tritloom_rtl_delete(self._handle)
            self._handle = ctypes.c_void_p()

    def read(self, offset: int) -> int:
        return int(self._checked(self._library.tritloom_rtl_read(self._handle, offset)))

    def write(self, offset: int, value: int) -> None:
        self._checked(self._library.tritloom_rtl_write(self._handle, offset, value & 0xFFFFFFFF))

    def advance(self, cycles: int) -> None:
        self._checked(self._library.tritloom_rtl_advance(self._handle, cycles))

    @property
    def interrupt(self) -> bool:
        return bool(self._library.tritloom_rtl_interrupt(self._handle))

    def _checked(self, value: Any) -> Any:
        text = self._library.tritloom_rtl_error(self._handle)
        if text and not self._told:  # before an address that is wrong because of it
            self._told = True
            self.error = DeviceError(
                f"the RTL breaks its bus protocol: {text.decode()}", "report this with the Verilog"
            )
        return value

    def _read_memory(self, _user: Any, port: int, address: int, nbytes: int, data: int) -> int:
        try:
            view = self._memory.device_view(address, nbytes, self._design.masters[port].name)
        except DeviceError as error:
            self.error = self.error or error
            return 1
        ctypes.memmove(data, view.ctypes.data, nbytes)
        return 0

    def _write_memory(self, _user: Any, port: int, address: int, nbytes: int, data: int, strobes: int) -> int:
        try:
            view = self._memory.device_view(address, nbytes, self._design.masters[port].name)
        except DeviceError as error:
            self.error = self.error or error
            return 1
        new = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(data))
        mask = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(strobes)).astype(bool)
        view[mask] = new[mask]
        return 0


class RtlKernel(HlsKernel):
    """The register file of a Verilated kernel, whose clock runs while the kernel does.

    Where the kernel reads or writes memory that is not there, or breaks AXI's rules, reading the control register
    raises the error: the bus error that a board cannot give.
    """

    def __init__(self, base: int, span: int, library: Path, design: RtlDesign, memory: Memory, seed: int = 1) -> None:
        RegisterFile.__init__(self, base, span)
        self._simulation = _Simulation(library, design, memory, seed)
        self._running = False
        self._level = False
        # Not at the interpreter's end: the clock's thread may be in the library then.
        weakref.finalize(self, self._simulation.close).atexit = False

    def read32(self, offset: int) -> int:
        with self.lock:
            value = self._simulation.read(offset)
            if offset == CTRL:
                self._raise()
            ended = value & AP_DONE or (value & AP_IDLE and not value & AP_START)
            if offset == CTRL and ended:
                self._running = False
            self._drive()
            return value

    def write32(self, offset: int, value: int) -> None:
        with self.lock:
            self._simulation.write(offset, value)
            self._drive()
            if offset == CTRL and value & AP_START and not self._running:
                self._running = True
                threading.Thread(target=_clock, args=(weakref.ref(self),), daemon=True, name="emulated-clock").start()

    def tick(self) -> bool:
        """Run the clock on for a while; whether it is still wanted."""
        with self.lock:
            if not self._running:
                return False
            self._simulation.advance(_CYCLES)
            if self._simulation.error is not None:
                self._running = False
                self.interrupt(True)  # wake a host that waits: its next read of CTRL tells why
                return False
            self._drive()
            return True

    def _drive(self) -> None:
        """Pass the interrupt on where it changed; a kernel that raised it is done, and its clock can stop."""
        level = self._simulation.interrupt
        if level != self._level:
            self._level = level
            self.interrupt(level)
            if level:
                self._running = False

    def _raise(self) -> None:
        if self._simulation.error is not None:
            error, self._simulation.error = self._simulation.error, None
            self._running = False
            raise error


def _clock(reference: weakref.ref[RtlKernel]) -> None:
    """The clock of a kernel: it stops when the kernel is done, or is no longer on any device."""
    while (kernel := reference()) is not None and kernel.tick():
        del kernel
        time.sleep(_PAUSE_SECONDS)


class RtlDevice(EmulatedDevice):
    """An emulated device whose kernel is RTL; everything else is the emulated device's.

    Args:
        design: the kernel's Verilog.
        library: where `build_rtl` left it.
        seed: of the waits on its memory ports.
        options: of the emulated device.
    """

    _probe_priority_ = 11  # pynq asks for a number of its own

    @classmethod
    def _probe_(cls) -> list[EmulatedDevice]:
        return []  # made by hand only

    def __init__(self, design: RtlDesign, library: Path, seed: int = 1, **options: Any) -> None:
        super().__init__(**options)
        self._design = design
        self._rtl_library = library
        self._seed = seed
        self._rtl_kernel: Kernel | None = None

    def overlay_for(self, bundle: Bundle) -> Path:
        """An overlay for the bundle's kernel: a .hwh, and an empty .bit."""
        kernel = bundle.kernel
        self.arch = "armv7l" if kernel.family == "zynq" else "aarch64"
        self._processor = ps_registers(kernel.family)
        self._registers = []
        self._rtl_kernel = kernel
        bit = Path(self._folder.name) / "tritloom.bit"
        bit.write_bytes(b"")
        write_hwh(bit.with_suffix(".hwh"), kernel)
        return bit

    def _kernel(self) -> Kernel:
        if self._rtl_kernel is None:
            raise DeviceError("the emulated device has no kernel", "load a bundle onto it")
        return self._rtl_kernel

    def _model(self, entry: dict[str, Any], bit: Path) -> RegisterFile:
        if self._rtl_kernel is None or entry["type"] != self._rtl_kernel.vlnv:
            return super()._model(entry, bit)
        read_layout(bit.with_suffix(".hwh"), self._rtl_kernel.vlnv, self._rtl_kernel.args)
        base, span = int(entry["phys_addr"]), int(entry["addr_range"])
        return RtlKernel(base, span, self._rtl_library, self._design, self.memory, self._seed)
