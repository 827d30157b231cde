"""Sensors of energy on recorded trees, and what a measurement makes of them by a clock of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.measure.energy import IDLE_S, OTHER_DEVICE, SETTLE_S, measure_energy
from runtime.measure.meters import NO_SENSOR, Counter, Ina3221, Rapl, find_meter
from runtime.measure.result import Energy
from runtime.measure.turns import Work
from tests.fakes import RecordingProgress
from tests.machines import make_jetson, make_laptop, write

RAPL = "sys/class/powercap"
MONITOR = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"


def test_a_jetson_has_a_sensor_of_the_whole_module(tmp_path: Path) -> None:
    meter = find_meter(make_jetson(tmp_path))
    assert isinstance(meter, Ina3221)
    assert (meter.source, meter.watts(), meter.of_cpu) == ("INA3221, VDD_IN", 5, False)


def test_where_none_measures_the_whole_the_parts_are_added(tmp_path: Path) -> None:
    make_jetson(tmp_path)
    for index, label in enumerate(("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), 1):
        write(tmp_path, {f"{MONITOR}/in{index}_label": f"{label}\n"})
    other = "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon2"
    write(
        tmp_path,
        {f"{other}/in2_label": "VDDQ_VDD2_1V8AO\n", f"{other}/in2_input": "1800", f"{other}/curr2_input": "99"},
    )
    meter = find_meter(tmp_path)
    assert isinstance(meter, Ina3221)
    assert set(meter.source.removeprefix("INA3221, ").split(" + ")) == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}
    assert meter.watts() == pytest.approx(7.5)


def test_a_laptop_counts_its_package_and_not_what_is_within_or_about(tmp_path: Path) -> None:
    meter = find_meter(make_laptop(tmp_path))
    assert isinstance(meter, Rapl)
    assert (meter.source, meter.of_cpu) == ("RAPL, 1 CPU package", True)
    meter.start()
    write(tmp_path, {f"{RAPL}/intel-rapl:0/energy_uj": "3500000\n", f"{RAPL}/intel-rapl:0:0/energy_uj": "9000000\n"})
    meter.look()
    assert meter.joules() == 2.5


def test_a_counter_that_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "energy_uj"
    path.write_text("900")
    meter = Rapl([Counter(path, 1000)])
    meter.start()
    for value in ("950", "20", "30"):
        path.write_text(value)
        meter.look()
    assert meter.joules() == pytest.approx(130e-6)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_counter_that_only_root_may_read(tmp_path: Path) -> None:
    (make_laptop(tmp_path) / RAPL / "intel-rapl:0" / "energy_uj").chmod(0)
    meter = find_meter(tmp_path)
    assert isinstance(meter, str) and "only root may read" in meter and "tmpfiles.d" in meter


def test_forbidden_is_told_apart_from_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for root, who may read whatever there is."""
    (make_laptop(tmp_path) / RAPL / "intel-rapl:0" / "energy_uj").write_text("")
    assert find_meter(tmp_path) == NO_SENSOR
    monkeypatch.setattr("runtime.measure.meters.os.access", lambda *_: False)
    assert str(find_meter(tmp_path)).startswith("only root may read")


def test_no_sensor(tmp_path: Path) -> None:
    assert find_meter(tmp_path) == NO_SENSOR


class World:
    """Time goes on with every call and in sleep; the machine takes 3 W, and 8 W in a call."""

    source, of_cpu = "a stand-in", True

    def __init__(self) -> None:
        self.now = self.energy = self.begun = 0.0
        self.looks = 0

    def times(self, calls: int) -> list[int]:
        self.go(0.01 * calls, 8)
        return [10_000_000] * calls

    def sleep(self, seconds: float) -> None:
        self.go(seconds, 3)

    def go(self, seconds: float, watts: float) -> None:
        self.now += seconds
        self.energy += seconds * watts

    def clock(self) -> float:
        return self.now

    def start(self) -> None:
        self.begun = self.energy

    def look(self) -> None:
        self.looks += 1

    def joules(self) -> float:
        return self.energy - self.begun

    images = (None,) * 4  # a batch of four


def measure(world: World, works: dict[str, Work], on_gpu: bool = False, meter: str = "") -> dict[str, Energy | str]:
    return measure_energy(
        works,
        dict.fromkeys(works, on_gpu),
        RecordingProgress(),
        seconds=1,
        meter=meter or world,
        clock=world.clock,
        sleep=world.sleep,
    )


def test_idle_is_taken_off_and_the_rest_shared_among_the_images() -> None:
    world = World()
    found = measure(world, {"a": world, "b": world})  # type: ignore[dict-item]
    assert list(found) == ["a", "b"]
    for energy in found.values():
        assert isinstance(energy, Energy)
        assert (energy.watts, energy.idle_watts, energy.source) == (8, 3, "a stand-in")
        assert energy.millijoules == pytest.approx(5 * 0.01 / 4 * 1e3)
    assert world.now == pytest.approx(2 * (SETTLE_S + IDLE_S + 1), abs=0.3)
    assert world.looks > 2 * (IDLE_S + 1) * 15  # often enough for a sensor that shows the moment


def test_the_energy_of_a_gpu_is_not_that_of_the_cpu() -> None:
    world = World()
    assert measure(world, {"a": world}, on_gpu=True) == {"a": OTHER_DEVICE}  # type: ignore[dict-item]
    assert world.now == 0


def test_without_a_sensor_nothing_runs() -> None:
    world = World()
    assert measure(world, {"a": world}, meter="no sensor") == {"a": "no sensor"}  # type: ignore[dict-item]
    assert world.now == 0


def test_power_is_added_up_over_time(tmp_path: Path) -> None:
    volts, amperes = tmp_path / "in1_input", tmp_path / "curr1_input"
    volts.write_text("5000")
    now = iter((0.0, 1.0, 3.0))
    meter = Ina3221([(volts, amperes)], "it", clock=lambda: next(now))
    amperes.write_text("1000")
    meter.start()
    amperes.write_text("2000")
    meter.look()
    meter.look()
    assert meter.joules() == pytest.approx((5 + 10) / 2 * 1 + 10 * 2)
