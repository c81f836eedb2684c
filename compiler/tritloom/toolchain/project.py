"""A bundle as the tools see it: which files decide what, and where the products and reports lie."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..runtime.bundle import Bundle
from ..runtime.errors import TritloomRuntimeError
from .errors import ToolError

STEM: Final = "tritloom"
BESIDE_THE_KERNEL: Final = ("testbench.cpp", "emulate.cpp", "program.h", "Makefile")
"""Files of hls/ that a bitstream does not depend on."""


@dataclass(frozen=True)
class Project:
    """A bundle that was opened and checked."""

    root: Path
    manifest: Mapping[str, Any]
    report: Mapping[str, Any]
    """report.json, for the estimate beside the tools' figures."""

    @staticmethod
    def open(root: Path) -> Project:
        """Open a bundle: its manifest, every file that the manifest names, its report.

        Raises:
            ToolError: it is no bundle, or was changed since it was compiled.
        """
        try:
            Bundle.open(root)
        except TritloomRuntimeError as error:
            raise ToolError(error.message, error.hint, exit_code=error.exit_code) from error
        try:
            report = json.loads((root / "report" / "report.json").read_text(encoding="utf-8"))
            report["estimate"]["resources"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ToolError(
                f"{root} has no readable report/report.json", "compile the model again", exit_code=2
            ) from error
        manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
        return Project(root.resolve(), manifest, report)

    @property
    def kernel(self) -> Mapping[str, Any]:
        """The manifest's kernel."""
        found: Mapping[str, Any] = self.manifest["kernel"]
        return found

    def script(self, stage: str) -> Path:
        """The script of a stage.

        Raises:
            ToolError: the bundle has none.
        """
        path = self.hls / "run_hls.tcl" if stage == "hls" else self.vivado / ("link.cfg" if self.alveo else "build.tcl")
        if not path.is_file():
            name = path.relative_to(self.root)
            raise ToolError(f"{self.root} has no {name}", "compile the model again", exit_code=2)
        return path

    def origins(self) -> dict[str, list[Mapping[str, Any]]]:
        """Where the kernel's loops come from: the instructions of a program, or the stages of a net."""
        estimate = self.report["estimate"]
        names = self.manifest["program"].get("stages", ())
        stages = [{**row, "name": name} for name, row in zip(names, estimate.get("stages", ()), strict=False)]
        return {"instructions": list(estimate.get("instructions", ())), "stages": stages}

    @property
    def kernel_name(self) -> str:
        """The kernel's top function, which its project, .zip and .xo are called after."""
        return str(self.kernel["vlnv"]).split(":")[2]

    @property
    def hls(self) -> Path:
        return self.root / "hls"

    @property
    def vivado(self) -> Path:
        return self.root / "vivado"

    @property
    def build(self) -> Path:
        """What Vivado or v++ works in."""
        return self.vivado / "build"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def alveo(self) -> bool:
        """Whether v++ links the kernel into a platform, where Vivado would build a block design."""
        return (self.vivado / "link.cfg").is_file()

    @property
    def products(self) -> tuple[Path, ...]:
        """What goes into overlay/."""
        folder = self.build / "products"
        if self.alveo:
            return (folder / f"{STEM}.xclbin",)
        return (folder / f"{STEM}.bit", folder / f"{STEM}.hwh")

    def kernel_sources(self) -> list[Path]:
        """The files of hls/ that decide what the kernel is."""
        names = [
            name
            for name in self.manifest["files"]
            if name.startswith("hls/") and Path(name).name not in BESIDE_THE_KERNEL
        ]
        return [self.root / name for name in sorted(names)]

    def scripts(self) -> list[Path]:
        """The files of vivado/ that the compiler wrote."""
        return [self.root / name for name in sorted(self.manifest["files"]) if name.startswith("vivado/")]

    def csynth(self) -> Path:
        """csynth.xml, wherever this release puts it; the path that one expects where there is none."""
        found = sorted(self.hls.glob("*/**/syn/report/csynth.xml"))
        return found[0] if found else self.hls / "csynth.xml"

    def kernel_ip(self) -> Path | None:
        """The kernel as HLS packaged it: the folder of its component.xml, or the .xo."""
        if self.alveo:
            return next(iter(sorted(self.hls.glob(f"**/{self.kernel_name}.xo"))), None)
        found = sorted(self.hls.glob("*/**/impl/ip/component.xml"))
        return found[0].parent if found else None

    def kernel_ip_path(self) -> str:
        """Path of the packaged kernel below hls/."""
        kernel = self.kernel_ip()
        return kernel.relative_to(self.hls).as_posix() if kernel is not None else f"{self.kernel_name}.xo"

    def run_logs(self) -> list[Path]:
        """Logs of the processes that Vivado or v++ started, in the order in which they ran."""
        found = [*self.build.glob("**/runme.log"), *self.hls.glob("*/**/vitis_hls.log")]
        return sorted(found, key=lambda path: path.stat().st_mtime)

    def board_resources(self) -> dict[str, float]:
        """The board's logic: lut, ff, bram36, uram, dsp."""
        return {use["resource"]: use["available"] for use in self.report["estimate"]["resources"]}
