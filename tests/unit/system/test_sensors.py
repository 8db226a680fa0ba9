"""Readings of sensors, from made-up /sys trees and on this machine."""

from pathlib import Path

import pytest

from mpi_pi.system import sensors
from support.sensors import AMD, CPUS, FIRMWARE, INTEL, MEMORY, PI, write


def test_server_tells_everything(tmp_path: Path) -> None:
    """The temperatures of the board and the disk, and the power of parts of a package, are not the CPU's."""
    assert sensors.read(write(tmp_path, INTEL)) == sensors.Readings(
        core_mhz=(3400.0, 3300.0),
        celsius=73.5,
        energy={"intel-rapl:0": (262_000_000_000, 262_143_328_850)},
        throttle_events=(0, 7, 1, 7),
        throttle_milliseconds=(0, 300, 40, 300),
        slowed=False,
        firmware=None,
        under_voltage=None,
        corrected_errors=3,
        uncorrected_errors=1,
        module_errors={"DIMM_A1": 0, "mc0 dimm1": 2},
    )


def test_raspberry_pi_tells_of_its_firmware(tmp_path: Path) -> None:
    readings = sensors.read(write(tmp_path, PI))
    assert readings.core_mhz == (1500.0,) * 4
    assert readings.celsius == 61.322
    assert (readings.firmware, readings.slowed, readings.under_voltage) == (0x50000, False, False)
    assert (readings.energy, readings.throttle_events, readings.corrected_errors) == ({}, (), None)


@pytest.mark.parametrize(
    ("bits", "slowed", "under_voltage"),
    [("0", False, False), ("1", False, True), ("2", True, False), ("50005", True, True), ("8", True, False)],
)
def test_bits_of_the_firmware_tell_of_the_present(
    tmp_path: Path, bits: str, slowed: bool, under_voltage: bool
) -> None:
    readings = sensors.read(write(tmp_path, PI | {FIRMWARE: bits}))
    assert (readings.slowed, readings.under_voltage) == (slowed, under_voltage)


@pytest.mark.parametrize(
    "place", ["soc@107c000000/soc@107c000000:firmware", "soc:firmware", "soc/soc:firmware"]
)
def test_firmware_is_found_on_each_model(tmp_path: Path, place: str) -> None:
    write(tmp_path, {f"sys/devices/platform/{place}/get_throttled": "4"})
    assert sensors.read(tmp_path).firmware == 4


def test_alarm_of_a_kernel_without_the_firmware_file_is_under_voltage(tmp_path: Path) -> None:
    files = {name: value for name, value in PI.items() if name != FIRMWARE}
    assert sensors.read(write(tmp_path, files)).under_voltage is False
    write(tmp_path, {"sys/class/hwmon/hwmon1/in0_lcrit_alarm": 1})
    readings = sensors.read(tmp_path)
    assert (readings.under_voltage, readings.firmware, readings.slowed) == (True, None, None)


@pytest.mark.parametrize("kind", ["cpufreq-cpu0", "thermal-cpufreq-0", "Processor"])
def test_cooling_by_linux_slows_the_cpu(tmp_path: Path, kind: str) -> None:
    device = "sys/class/thermal/cooling_device9"
    write(tmp_path, {f"{device}/type": kind, f"{device}/cur_state": 1})
    assert sensors.read(tmp_path).slowed is True


def test_temperature_for_the_control_of_fans_is_not_the_real_one(tmp_path: Path) -> None:
    assert sensors.read(write(tmp_path / "both", AMD)).celsius == 68.0
    alone = {name: value for name, value in AMD.items() if "temp2" not in name}
    assert sensors.read(write(tmp_path / "alone", alone)).celsius == 95.0


def test_host_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    empty = sensors.Readings((), None, {}, (), (), None, None, None, None, None, {})
    assert sensors.read(tmp_path) == empty
    garbage = {name: "no number" for name in INTEL if not name.endswith(("/name", "/type"))}
    assert sensors.read(write(tmp_path, INTEL | garbage)) == empty


def test_energy_for_root_alone_is_unknown(tmp_path: Path) -> None:
    """A file that cannot be read; root can read all files, so here it is a folder."""
    write(tmp_path, INTEL)
    file = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    file.unlink()
    file.mkdir()
    readings = sensors.read(tmp_path)
    assert readings.energy == {}
    assert sensors.watts(readings, readings, 1.0) is None


def test_power_is_right_when_a_counter_begins_anew(tmp_path: Path) -> None:
    before = sensors.read(write(tmp_path, INTEL))
    energy = "sys/class/powercap/intel-rapl:0/energy_uj"
    after = sensors.read(write(tmp_path, {energy: 262_100_000_000}))
    assert sensors.watts(before, after, 2.0) == 50.0
    wrapped = sensors.read(write(tmp_path, {energy: 56_671_150}))
    assert sensors.watts(before, wrapped, 2.0) == pytest.approx(100.0)
    assert sensors.watts(before, wrapped, 0.0) is None


def test_counters_of_one_package_are_no_power_of_two(tmp_path: Path) -> None:
    both = {name.replace("rapl:0/", "rapl:2/"): value for name, value in INTEL.items() if "rapl:0/" in name}
    before = sensors.read(write(tmp_path / "both", INTEL | both))
    after = sensors.read(write(tmp_path / "one", INTEL))
    assert sensors.watts(before, after, 1.0) is None
    assert sensors.watts(before, before, 1.0) == 0.0


def test_folder_of_the_tests_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "ROOT", str(write(tmp_path, {f"{MEMORY}/mc0/ce_count": 5})))
    assert sensors.read().corrected_errors == 5
    write(tmp_path, {f"{CPUS}/cpu0/cpufreq/scaling_cur_freq": 800_000})
    assert sensors.read().core_mhz == (800.0,)
