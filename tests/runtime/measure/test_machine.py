"""The machine and its state, on recorded trees of a Jetson and a laptop, and on this machine, whatever it is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from runtime.measure import system
from runtime.measure.machine import Watch, WatchedProgress, describe_machine
from runtime.measure.result import Interval
from tests.fakes import RecordingProgress
from tests.machines import CPU, make_jetson, make_laptop, write

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def jetson(tmp_path: Path) -> Path:
    return make_jetson(tmp_path)


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    return make_laptop(tmp_path)


def idle() -> float:
    return 0.0


class TestMachine:
    def test_a_jetson(self, jetson: Path) -> None:
        machine = describe_machine(jetson)
        assert machine.board == "NVIDIA Jetson Orin Nano Developer Kit (JetPack 6.2)"
        assert (machine.cpu, machine.memory_bytes, machine.gpus) == ("Cortex-A78AE", 7802752 * 1024, ())
        assert machine.system.startswith("Ubuntu 22.04.5 LTS, ")

    def test_a_laptop(self, laptop: Path) -> None:
        machine = describe_machine(laptop)
        assert (machine.board, machine.gpus) == ("", ("NVIDIA GeForce RTX 4060",))
        assert machine.cpu == "13th Gen Intel(R) Core(TM) i7"
        assert machine.system.startswith("Debian GNU/Linux 13 (trixie), ")

    def test_this_one(self) -> None:
        machine = describe_machine()
        assert machine.packages["numpy"] == np.__version__
        assert machine.cores >= 1 and machine.python and machine.name

    def test_nothing_at_all(self, tmp_path: Path) -> None:
        machine = describe_machine(tmp_path)
        assert (machine.memory_bytes, machine.board, machine.gpus) == (None, "", ())
        assert machine.cpu and machine.system


class TestWatch:
    def test_a_jetson_at_rest(self, jetson: Path) -> None:
        seen = Watch(jetson, idle).conditions()
        assert (seen.governor, seen.power_mode, seen.load_before) == ("schedutil", "15W", 0.15)
        assert seen.clock_mhz == Interval(1120, 1120)
        assert (seen.temperature_c, seen.throttled) == (48.5, False)
        assert (seen.others_percent, seen.stolen_percent) == (None, None)  # no tick has passed
        (warning,) = seen.warnings
        assert "schedutil" in warning and "sudo jetson_clocks" in warning

    def test_a_laptop(self, laptop: Path) -> None:
        seen = Watch(laptop, idle).conditions("and this")
        assert (seen.governor, seen.power_mode, seen.throttled) == ("powersave", "", False)
        assert seen.clock_mhz == Interval(1500, 1500)  # of /proc/cpuinfo
        assert seen.temperature_c == 61
        assert "cpupower" in seen.warnings[0] and seen.warnings[1] == "and this"

    def test_the_lowest_and_the_highest_clock_and_the_highest_temperature(self, jetson: Path) -> None:
        watch = Watch(jetson, idle)
        for khz, temperature in ((300_000, 50_000), (2_000_000, 70_000), (1_000_000, 60_000)):
            for core in (0, 1):
                write(jetson, {f"{CPU}/cpu{core}/cpufreq/scaling_cur_freq": str(khz)})
            write(jetson, {"sys/class/thermal/thermal_zone0/temp": str(temperature)})
            watch.sample()
        seen = watch.conditions()
        assert (seen.clock_mhz, seen.temperature_c) == (Interval(300, 2000), 70)

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("sys/class/hwmon/hwmon2/oc1_event_cnt", "1\n"),
            ("sys/class/thermal/cooling_device0/cur_state", "3\n"),
        ],
    )
    def test_a_jetson_that_slows_itself_down(self, jetson: Path, file: str, text: str) -> None:
        watch = Watch(jetson, idle)
        write(jetson, {file: text})
        seen = watch.conditions()
        assert seen.throttled and any("slowed itself down" in warning for warning in seen.warnings)

    def test_a_laptop_that_slows_itself_down(self, laptop: Path) -> None:
        watch = Watch(laptop, idle)
        write(laptop, {f"{CPU}/cpu0/thermal_throttle/core_throttle_count": "13\n"})
        assert watch.conditions().throttled

    def test_what_was_slowed_down_for_a_moment_is_remembered(self, jetson: Path) -> None:
        watch = Watch(jetson, idle)
        state = "sys/class/thermal/cooling_device0/cur_state"
        write(jetson, {state: "1\n"})
        watch.sample()
        write(jetson, {state: "0\n"})
        assert watch.conditions().throttled

    @pytest.mark.parametrize(("bits", "slowed"), [("0\n", False), ("50001\n", False), ("0x4\n", True), ("e0008", True)])
    def test_a_raspberry_pi(self, tmp_path: Path, bits: str, slowed: bool) -> None:
        write(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": bits})
        assert Watch(tmp_path, idle).conditions().throttled is slowed

    def test_others_and_stolen_time(self, laptop: Path) -> None:
        seconds = iter((10.0, 12.0))  # of our own: 200 ticks, if there are 100 in a second
        watch = Watch(laptop, lambda: next(seconds))
        own, others, stolen, rest = 2 * TICKS, 3 * TICKS, TICKS, 4 * TICKS
        write(laptop, {"proc/stat": f"cpu  {10000 + own} {50 + others} 5000 {900000 + rest} 1000 0 100 {stolen} 0 0\n"})
        seen = watch.conditions()
        assert (seen.others_percent, seen.stolen_percent) == (30, 10)
        assert "other processes took 30 %" in seen.warnings[0] and "did not get 10 %" in seen.warnings[1]

    def test_a_quiet_machine_gives_no_warning(self, laptop: Path) -> None:
        write(laptop, {f"{CPU}/cpu0/cpufreq/scaling_governor": "performance\n"})
        watch = Watch(laptop, idle)
        write(laptop, {"proc/stat": f"cpu  10000 {50 + TICKS} 5000 {900000 + 99 * TICKS} 1000 0 100 0 0 0\n"})
        seen = watch.conditions()
        assert (seen.others_percent, seen.warnings) == (1, ())

    def test_nothing_at_all(self, tmp_path: Path) -> None:
        seen = Watch(tmp_path, idle).conditions()
        assert (seen.governor, seen.power_mode, seen.warnings) == ("", "", ())
        assert {seen.clock_mhz, seen.temperature_c, seen.throttled, seen.load_before, seen.others_percent} == {None}

    def test_nonsense(self, jetson: Path) -> None:
        for file in [path for path in jetson.rglob("*") if path.is_file()]:
            file.write_bytes(b"\xff nonsense \x00")
        seen = Watch(jetson, idle).conditions()
        assert (seen.clock_mhz, seen.temperature_c, seen.load_before) == (None, None, None)
        describe_machine(jetson)

    def test_this_machine(self) -> None:
        watch = Watch()
        sum(range(3_000_000))  # some ticks
        seen = watch.conditions()
        assert seen.load_before is not None
        assert seen.others_percent is None or 0 <= seen.others_percent <= 100


def test_a_watch_looks_at_every_advance(jetson: Path) -> None:
    watch, shown = Watch(jetson, idle), RecordingProgress(stop_after=3)
    with WatchedProgress(shown, watch).stage("work", 3) as stage:
        assert stage.advance() and stage.advance()
        assert not stage.advance()  # what the display asks for is passed on
        stage.note("hello")
    assert len(watch.temperatures) == 3
    assert shown.stages["work"].notes == ["hello"]


def test_a_power_mode_without_a_name(tmp_path: Path) -> None:
    write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0003 fmode:quiet"})
    assert system.read_power_mode(tmp_path) == "mode 3"
