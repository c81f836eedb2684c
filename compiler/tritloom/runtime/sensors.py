"""Power and temperature of the board, from the files that Linux keeps for its sensors (hwmon, iio).

No library is needed: pynq's `pmbus` reads the same sensors through libsensors, and its recorder wants pandas.
Which rails there are differs by board; a PYNQ-Z2 has none.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

HWMON = Path("/sys/class/hwmon")
IIO = Path("/sys/bus/iio/devices")
_TOTAL_CHIPS = ("ina260",)
"""Chips that measure a whole board: on Kria modules, the module's only supply."""


@dataclass(frozen=True)
class Sensor:
    """A rail's power in watts or a temperature in degrees Celsius; `total`: it covers all other rails."""

    name: str
    unit: Literal["W", "°C"]
    read: Callable[[], float]
    total: bool = False


def board_sensors(hwmon: Path = HWMON, iio: Path = IIO) -> list[Sensor]:
    """The sensors of this machine that can be read."""
    found = [*_hwmon(hwmon), *_iio(iio)]
    return [sensor for sensor in found if _readable(sensor)]


def power_rails(sensors: Iterable[Sensor]) -> list[Sensor]:
    """The rails whose sum is the board's power: the total where there is one, all of them otherwise."""
    rails = [sensor for sensor in sensors if sensor.unit == "W"]
    return [rail for rail in rails if rail.total] or rails


def _hwmon(root: Path) -> Iterable[Sensor]:
    for chip in sorted(root.glob("hwmon*")):
        name = _text(chip / "name") or chip.name
        labels = {path: _text(path.with_name(path.name.replace("_input", "_label"))) for path in _inputs(chip)}
        delivered = any((label or "").startswith("pout") for label in labels.values())
        for path, label in labels.items():
            if delivered and (label or "").startswith("pin"):
                continue  # what goes into a regulator comes out of it again
            shown = f"{name} {label}" if label else name
            if path.name.startswith("power"):
                yield Sensor(shown, "W", _reader(path, 1e-6), name.startswith(_TOTAL_CHIPS))
            else:
                yield Sensor(shown, "°C", _reader(path, 1e-3))


def _inputs(chip: Path) -> list[Path]:
    return sorted([*chip.glob("power*_input"), *chip.glob("temp*_input")])


def _iio(root: Path) -> Iterable[Sensor]:
    """The XADC of a Zynq-7000, the AMS of a Zynq UltraScale+."""
    for raw in sorted(root.glob("iio:device*/in_temp*_raw")):
        offset = raw.with_name(raw.name.replace("_raw", "_offset"))
        scale = raw.with_name(raw.name.replace("_raw", "_scale"))
        name = raw.name.removeprefix("in_").removesuffix("_raw")
        yield Sensor(name, "°C", functools.partial(_celsius, raw, offset, scale))


def _celsius(raw: Path, offset: Path, scale: Path) -> float:
    shift = float(offset.read_text()) if offset.exists() else 0.0
    return (float(raw.read_text()) + shift) * float(scale.read_text()) / 1000


def _reader(path: Path, scale: float) -> Callable[[], float]:
    return lambda: float(path.read_text()) * scale


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _readable(sensor: Sensor) -> bool:
    try:
        sensor.read()
    except (OSError, ValueError):
        return False
    return True


class PowerMeter:
    """Samples rails in a thread while a `with` block runs; their sum is integrated over time (trapezoids)."""

    def __init__(self, rails: Sequence[Sensor], interval: float = 0.02) -> None:
        self._rails = rails
        self._interval = interval
        self._samples: list[tuple[float, float]] = []
        self._stop = threading.Event()

    def __enter__(self) -> PowerMeter:
        self._thread = threading.Thread(target=self._record, daemon=True, name="tritloom-power")
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def _record(self) -> None:
        while not self._stop.wait(self._interval):
            self._sample()

    def _sample(self) -> None:
        try:
            watts = sum(rail.read() for rail in self._rails)
        except (OSError, ValueError):
            return  # a busy bus: the next sample spans the gap
        self._samples.append((time.monotonic(), watts))

    @property
    def samples(self) -> list[tuple[float, float]]:
        """Seconds and watts of each sample."""
        return list(self._samples)

    @property
    def joules(self) -> float:
        """Energy of the block; 0 with fewer than two samples."""
        pairs = zip(self._samples, self._samples[1:], strict=False)
        return sum((t1 - t0) * (w0 + w1) / 2 for (t0, w0), (t1, w1) in pairs)

    @property
    def watts(self) -> float:
        """Mean power of the block; 0 with fewer than two samples."""
        spent = self._samples[-1][0] - self._samples[0][0] if self._samples else 0.0
        return self.joules / spent if spent > 0 else 0.0
