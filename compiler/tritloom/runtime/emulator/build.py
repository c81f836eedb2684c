"""Compiling a bundle's C++ for the emulated device, once: the library is kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ..errors import BuildError, BundleError
from ..kernel_manifest import Limits

FLAVOURS = ("fast", "bounded")
_MAKE_SECONDS = 900


def cache_folder() -> Path:
    """``$XDG_CACHE_HOME/tritloom``, or ``~/.cache/tritloom``; not created."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "tritloom"


def build_library(root: Path, sources: Mapping[str, str], flavour: str = "fast") -> Path:
    """``libtritloom_<flavour>.so`` of the bundle at `root`, from the cache where it is there.

    `sources` maps the bundle's ``hls/`` files to their sha256: with the compiler's version and the
    machine they are the cache's key. A library appears in the cache whole or not at all.

    Raises:
        BuildError: no make or C++ compiler, or the compilation failed (the first error line is shown).
        ValueError: another flavour than "fast" and "bounded".
    """
    if flavour not in FLAVOURS:
        raise ValueError(f"flavour {flavour!r}: not one of {FLAVOURS}")
    compiler = _compiler()
    name = f"libtritloom_{flavour}.so"
    target = cache_folder() / f"{flavour}-{_key(sources, compiler)}"
    if (target / name).is_file():
        return target / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=target.parent) as scratch:
            built = Path(scratch) / "out"
            built.mkdir()
            _make(root / "hls", flavour, built)
            if not (built / name).is_file():
                raise BuildError(f"`make {flavour}` left no {name}", "compile the bundle again")
            _publish(built, target, name)
    except OSError as error:
        raise BuildError(
            f"cannot write the compiled model to {target.parent}: {error}", "set XDG_CACHE_HOME"
        ) from error
    return target / name


def check_limits(root: Path, sources: Mapping[str, str], limits: Limits) -> None:
    """Look whether the C++ was written for the manifest's limits.

    Raises:
        BundleError: ``hls/config.h`` says otherwise.
    """
    if "hls/config.h" not in sources:
        return
    text = (root / "hls" / "config.h").read_text(encoding="utf-8", errors="replace")
    found = dict(re.findall(r"constexpr unsigned (\w+) = (\d+);", text))
    for name, limit in asdict(limits).items():
        value = found.get(name.upper(), "no number")
        if value != str(limit):
            raise BundleError(
                f"hls/config.h has {value} for {name.upper()}, the manifest says {limit}", "compile the bundle again"
            )


def _compiler() -> str:
    """The C++ compiler's version line."""
    command = os.environ.get("CXX", "g++")
    for program in ("make", command.split()[0] if command.split() else "g++"):
        if shutil.which(program) is None:
            raise BuildError(
                f"the emulated device compiles the kernel, but `{program}` is not installed",
                "install make and g++ (Debian: apt-get install make g++), or set CXX",
            )
    found = subprocess.run([*command.split(), "--version"], capture_output=True, text=True, check=False, timeout=60)
    return found.stdout.split("\n", 1)[0]


def _key(sources: Mapping[str, str], compiler: str) -> str:
    text = "\n".join([f"{name} {sources[name]}" for name in sorted(sources)])
    return hashlib.sha256(f"{text}\n{compiler}\n{platform.machine()}\n{_processor()}".encode()).hexdigest()[:32]


def _processor() -> str:
    """The processor's feature flags: a library made with -march=native does not run everywhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), "")


def _make(folder: Path, flavour: str, built: Path) -> None:
    command = ["make", "-C", str(folder), flavour, f"BUILD={built}"]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_MAKE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"`make {flavour}` took more than {_MAKE_SECONDS} s", "check CXX") from error
    if done.returncode:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        first = next((line for line in lines if "error:" in line or "Error:" in line), None)
        shown = first or (lines[-1] if lines else "no output")
        raise BuildError(
            f"the kernel's C++ does not compile: {shown[:400]}",
            f"run `{' '.join(command[:4])}` to see all of it",
        )


def _publish(built: Path, target: Path, name: str) -> None:
    try:
        built.rename(target)
    except OSError:
        if not (target / name).is_file():  # otherwise another process was first
            raise
