"""The tools' reports, read back: csynth.xml, utilisation, timing summary, power."""

from __future__ import annotations

from .csynth import HlsReport, Loop, read_csynth
from .vivado import Timing, Utilisation, read_hierarchy, read_power, read_timing, read_utilisation

__all__ = [
    "HlsReport",
    "Loop",
    "Timing",
    "Utilisation",
    "read_csynth",
    "read_hierarchy",
    "read_power",
    "read_timing",
    "read_utilisation",
]
