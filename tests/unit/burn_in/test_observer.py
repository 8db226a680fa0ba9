"""Samples of a host, from made-up /sys trees that change."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mpi_pi.burn_in import observer, sample
from mpi_pi.burn_in.observer import Observer
from mpi_pi.burn_in.sample import Sample
from mpi_pi.system import sensors
from mpi_pi.system.sensors import Readings
from support.sensors import CPUS, FIRMWARE, INTEL, MEMORY, PI, write


def between(tmp_path: Path, files: dict[str, object], later: dict[str, object]) -> Sample:
    before = sensors.read(write(tmp_path, files))
    return sample.between(before, sensors.read(write(tmp_path, later)), 10.0, 12.0)


def test_sample_of_a_server_has_everything(tmp_path: Path) -> None:
    later: dict[str, object] = {
        f"{CPUS}/cpu0/cpufreq/scaling_cur_freq": 1_200_000,
        f"{CPUS}/cpu0/thermal_throttle/core_throttle_count": 5,
        f"{CPUS}/cpu0/thermal_throttle/core_throttle_total_time_ms": 1500,
        f"{CPUS}/cpu1/thermal_throttle/package_throttle_count": 8,
        f"{CPUS}/cpu1/thermal_throttle/package_throttle_total_time_ms": 700,
        "sys/class/hwmon/hwmon1/temp2_input": 99_000,
        "sys/class/powercap/intel-rapl:0/energy_uj": 56_671_150,
        f"{MEMORY}/mc0/ce_count": 7,
        f"{MEMORY}/mc1/ue_count": 2,
    }
    told = between(tmp_path, INTEL, later)
    assert replace(told, watts=round(told.watts or 0)) == Sample(
        start_seconds=10.0,
        end_seconds=12.0,
        lowest_mhz=1200.0,
        highest_mhz=3300.0,
        celsius=99.0,
        watts=100,
        throttled_seconds=1.5,
        throttle_events=5,
        under_voltage=None,
        corrected_errors=5,
        uncorrected_errors=1,
    )


def test_quiet_server_was_not_throttled(tmp_path: Path) -> None:
    told = between(tmp_path, INTEL, {})
    assert (told.throttled_seconds, told.throttle_events, told.watts) == (0.0, 0, 0.0)
    assert (told.corrected_errors, told.uncorrected_errors) == (0, 0)


def test_older_system_counts_events_alone(tmp_path: Path) -> None:
    files = {name: value for name, value in INTEL.items() if "time_ms" not in name}
    told = between(tmp_path, files, {f"{CPUS}/cpu1/thermal_throttle/core_throttle_count": 3})
    assert (told.throttled_seconds, told.throttle_events) == (0.0, 2)


def test_cooling_by_linux_lasts_the_whole_sample(tmp_path: Path) -> None:
    told = between(tmp_path, INTEL, {"sys/class/thermal/cooling_device0/cur_state": 2})
    assert told.throttled_seconds == 2.0


@pytest.mark.parametrize(
    ("before", "after", "seconds", "events", "under_voltage"),
    [
        ("0", "0", 0.0, 0, False),
        ("50000", "50000", 0.0, 0, False),
        ("0", "40004", 2.0, 1, False),
        ("50000", "50005", 2.0, 0, True),
        # Between two readings, so that only the bits for the time since boot tell.
        ("0", "40000", 0.0, 1, False),
        ("0", "10000", 0.0, 0, True),
        ("0", "80000", 0.0, 1, False),
    ],
)
def test_raspberry_pi_tells_of_moments_between_samples(
    tmp_path: Path, before: str, after: str, seconds: float, events: int, under_voltage: bool
) -> None:
    told = between(tmp_path, PI | {FIRMWARE: before}, {FIRMWARE: after})
    assert (told.throttled_seconds, told.throttle_events, told.under_voltage) == (
        seconds,
        events,
        under_voltage,
    )


def test_cpus_that_came_and_counters_that_were_reset_are_no_growth(tmp_path: Path) -> None:
    reset: dict[str, object] = {
        f"{CPUS}/cpu2/thermal_throttle/core_throttle_count": 900,
        f"{MEMORY}/mc0/ce_count": 0,
    }
    told = between(tmp_path, INTEL, reset)
    assert (told.throttle_events, told.corrected_errors) == (None, 0)


def test_joined_samples_keep_extremes_and_sums() -> None:
    one = Sample(0.0, 2.0, 1000.0, 2000.0, 60.0, 50.0, 0.5, 1, False, 2, None)
    other = Sample(2.0, 3.0, 900.0, 1900.0, 70.0, 80.0, 0.25, 2, True, None, 1)
    assert one + other == Sample(0.0, 3.0, 900.0, 2000.0, 70.0, 60.0, 0.75, 3, True, 2, 1)
    unknown = Sample(3.0, 4.0, *[None] * 9)
    assert unknown + unknown == replace(unknown, end_seconds=4.0)
    assert one + unknown == replace(one, end_seconds=4.0)
    assert sample.add_pairs([one, other, unknown]) == [one + other, unknown]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def observed(seconds: float, cost: float, read: Callable[[], Readings]) -> list[float]:
    """Return the ends of the samples of a phase that is polled every 20 ms."""
    clock = Clock()

    def slow() -> Readings:
        clock.now += cost
        return read()

    own = Observer(seconds, slow, clock)
    start = clock.now - cost
    while clock.now < start + seconds:
        clock.now += 0.02
        own.poll()
    return [one.end_seconds for one in own.result().samples]


def test_host_is_read_every_two_seconds(tmp_path: Path) -> None:
    ends = observed(60.0, 0.0, lambda: sensors.read(tmp_path))
    assert len(ends) in (30, 31)
    assert max(later - one for one, later in itertools.pairwise(ends)) == pytest.approx(2, abs=0.03)


def test_slow_sensors_are_read_less_often(tmp_path: Path) -> None:
    """So that reading them takes a hundredth of the time at most."""
    ends = observed(60.0, 0.1, lambda: sensors.read(tmp_path))
    assert 5 <= len(ends) <= 8


def test_samples_of_a_long_phase_are_bounded(tmp_path: Path) -> None:
    nothing = sensors.read(tmp_path)
    ends = observed(4000.0, 0.0, lambda: nothing)
    assert observer.MAX_SAMPLES / 2 <= len(ends) <= observer.MAX_SAMPLES
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(4000, abs=0.1)


def test_modules_with_new_errors_are_named(tmp_path: Path) -> None:
    write(tmp_path, INTEL)
    own = Observer(60.0, lambda: sensors.read(tmp_path))
    write(tmp_path, {f"{MEMORY}/mc0/dimm0/dimm_ce_count": 1, f"{MEMORY}/mc0/ce_count": 3})
    watch = own.result()
    assert watch.modules == ("DIMM_A1",)
    assert [one.corrected_errors for one in watch.samples] == [1]
