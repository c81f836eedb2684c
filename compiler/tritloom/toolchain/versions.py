"""What each release of AMD's tools can do: the one table that the build is gated by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from .errors import ToolError


class Version(NamedTuple):
    """A release of Vivado or Vitis: 2024.1. Patch levels (2023.2.2) make no difference here.

    >>> Version.parse("2023.2.2") < Version(2024, 1)
    True
    >>> str(Version(2024, 1))
    '2024.1'
    """

    year: int
    release: int

    def __str__(self) -> str:
        return f"{self.year}.{self.release}"

    @staticmethod
    def parse(text: str) -> Version:
        """A release from its name.

        Raises:
            ToolError: the text names no release.
        """
        found = re.fullmatch(r"v?(20\d\d)\.(\d)(?:\.\d+)?", text.strip())
        if found is None:
            raise ToolError(f"{text!r} is no release of Vivado or Vitis", "give one like 2024.1", exit_code=2)
        return Version(int(found[1]), int(found[2]))


OLDEST: Final = Version(2020, 2)
NEWEST: Final = Version(2026, 1)
"""The newest release whose documentation was read; a later one is used as if it were this one."""


@dataclass(frozen=True)
class Feature:
    """Releases that have something, both ends included, and where that is said."""

    first: Version
    last: Version | None
    source: str

    def present(self, version: Version) -> bool:
        return self.first <= version and (self.last is None or version <= self.last)


FEATURES: Final = {
    "vitis_hls -f": Feature(
        OLDEST, Version(2024, 2), "Vitis_Libraries 2024.2, L1 guide: deprecated; absent from 2025.1"
    ),
    "vitis-run --tcl": Feature(Version(2023, 2), None, "UG1399 2023.2, 'vitis, v++, and vitis-run Commands'; UG1702"),
    "v++ --mode hls": Feature(Version(2023, 1), None, "UG1399 2023.1; UG1702 'v++ Mode HLS'"),
    "flow_target": Feature(OLDEST, Version(2025, 2), "config file only: UG1399 2026.1, 'Interface Configuration'"),
    "default_axi": Feature(Version(2026, 1), None, "UG1399 2026.1, 'Interface Configuration'"),
}
"""Name of a feature -> the releases that have it. Everything that depends on a version asks here."""


def has(feature: str, version: Version) -> bool:
    """Whether a release has a feature of the table."""
    return FEATURES[feature].present(version)


def flow_line(version: Version, flow: str) -> str:
    """The line of an HLS config file that picks the kind of kernel: `vivado` (IP) or `vitis` (.xo).

    It only decides the interfaces of arguments without an INTERFACE pragma, and the kernel has none such. The
    Tcl commands keep `-flow_target` in every release (UG1399 2026.1, 'Default User Control Settings').
    """
    return "syn.interface.default_axi=0" if has("default_axi", version) else f"flow_target={flow}"
