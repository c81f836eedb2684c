"""Power rails and temperatures from a tree of files like Linux's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tritloom.runtime.sensors import PowerMeter, Sensor, board_sensors, power_rails


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")


def sensors(root: Path) -> list[Sensor]:
    return board_sensors(root / "hwmon", root / "iio")


def test_a_kria_module_with_its_one_supply(tmp_path: Path) -> None:
    write(tmp_path / "hwmon/hwmon0", {"name": "ina260_u14", "power1_input": "3450000", "in1_input": "5000"})
    write(tmp_path / "hwmon/hwmon1", {"name": "other", "power1_input": "900000", "temp1_input": "41500"})
    found = [(sensor.name, sensor.unit, round(sensor.read(), 9)) for sensor in sensors(tmp_path)]
    assert found == [("ina260_u14", "W", 3.45), ("other", "W", 0.9), ("other", "°C", 41.5)]
    assert [rail.name for rail in power_rails(sensors(tmp_path))] == ["ina260_u14"]


def test_regulators_are_counted_once(tmp_path: Path) -> None:
    files = {"name": "irps5401", "power1_input": "2000000", "power1_label": "pin"}
    files |= {"power2_input": "700000", "power2_label": "pout1", "power3_input": "800000", "power3_label": "pout2"}
    write(tmp_path / "hwmon/hwmon0", files)
    rails = power_rails(sensors(tmp_path))
    assert [rail.name for rail in rails] == ["irps5401 pout1", "irps5401 pout2"]
    assert sum(rail.read() for rail in rails) == pytest.approx(1.5)


def test_the_processors_own_thermometers(tmp_path: Path) -> None:
    zynq = {"in_temp0_raw": "2600", "in_temp0_offset": "-2219", "in_temp0_scale": "123.040771484"}
    write(tmp_path / "iio/iio:device0", zynq)
    write(tmp_path / "iio/iio:device1", {"in_temp1_pl_temp_raw": "100", "in_temp1_pl_temp_scale": "400"})
    found = {sensor.name: sensor.read() for sensor in sensors(tmp_path)}
    assert found == {"temp0": pytest.approx(46.88, abs=0.01), "temp1_pl_temp": 40.0}
    assert power_rails(sensors(tmp_path)) == []


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    assert sensors(tmp_path) == []
    write(tmp_path / "hwmon/hwmon0", {"name": "x", "power1_input": "n/a", "temp1_input": "", "temp2_input": "7000"})
    assert [sensor.read() for sensor in sensors(tmp_path)] == [7.0]


def test_energy_is_the_integral_of_power() -> None:
    began = time.monotonic()
    ramp = Sensor("ramp", "W", lambda: 10 * (time.monotonic() - began))
    with PowerMeter([ramp, Sensor("constant", "W", lambda: 2.0)], interval=0.005) as meter:
        time.sleep(0.2)
    (first, low), (last, high) = meter.samples[0], meter.samples[-1]
    assert len(meter.samples) > 10
    assert low >= 2.0
    assert meter.watts == pytest.approx((low + high) / 2, rel=0.05)  # a straight line
    assert meter.joules == pytest.approx(meter.watts * (last - first))


def test_energy_by_trapezoids() -> None:
    meter = PowerMeter([])
    meter._samples = [(10.0, 2.0), (11.0, 4.0), (13.0, 0.0)]
    assert meter.joules == pytest.approx(3 + 4)
    assert meter.watts == pytest.approx(7 / 3)


def test_a_rail_that_fails_now_and_then() -> None:
    calls = 0

    def read() -> float:
        nonlocal calls
        calls += 1
        if calls % 2:
            return 4.0
        raise OSError("busy")

    with PowerMeter([Sensor("flaky", "W", read)], interval=0.002) as meter:
        time.sleep(0.05)
    assert meter.watts == pytest.approx(4.0)
