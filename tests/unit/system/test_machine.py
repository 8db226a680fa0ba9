"""Facts about recorded machines, and about this one against psutil."""

import os
import socket
from pathlib import Path

import psutil
import pytest

from mpi_pi.system import clock
from mpi_pi.system.machine import (
    State,
    clock_hz,
    machine,
    reported_clock_hz,
    state,
    throttled_now,
    throttled_since_boot,
)

CPUS = "sys/devices/system/cpu"
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"

ARM = """\
processor\t: {cpu}
BogoMIPS\t: 108.00
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: {part}
CPU revision\t: 3

"""
ARM_32 = """\
processor\t: {cpu}
model name\t: ARMv7 Processor rev 4 (v7l)
BogoMIPS\t: 38.40
Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32
CPU implementer\t: 0x41
CPU architecture: 7
CPU part\t: 0xd03

"""
X86 = """\
processor\t: {cpu}
vendor_id\t: GenuineIntel
model\t\t: 85
model name\t: Intel(R) Xeon(R)   CPU @ 2.00GHz
cpu MHz\t\t: {mhz}
flags\t\t: fpu sse sse2 ssse3 sse4_1 sse4_2 avx avx2 avx512f avx512dq avx512bw avx512vl

"""
OF_PI_5 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


def raspberry(cpuinfo: str, mhz: int, max_mhz: int, throttled: str) -> dict[str, str]:
    """Return the files of a Raspberry Pi with four cores."""
    files = {
        "proc/cpuinfo": cpuinfo,
        "proc/sys/kernel/random/boot_id": "6f1c8f6e-0000-4000-8000-1b0f5a3b2c1d\n",
        f"{CPUS}/online": "0-3\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        FIRMWARE: f"{throttled}\n",
    }
    for cpu in range(4):
        files[f"{CPUS}/cpu{cpu}/topology/thread_siblings_list"] = f"{cpu}\n"
        files[f"{CPUS}/cpu{cpu}/cpufreq/scaling_cur_freq"] = f"{mhz * 1000}\n"
        files[f"{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = f"{max_mhz * 1000}\n"
    return files


def arm(features: str, part: str, rest: str) -> str:
    return "".join(ARM.format(cpu=cpu, features=features, part=part) for cpu in range(4)) + rest


PI_3 = raspberry(
    arm(
        "fp asimd evtstrm crc32 cpuid",
        "0xd03",
        "Hardware\t: BCM2835\nRevision\t: a02082\nModel\t\t: Raspberry Pi 3 Model B Rev 1.2\n",
    ),
    600,
    1200,
    "50005",
)
PI_3_32_BIT = raspberry(
    "".join(ARM_32.format(cpu=cpu) for cpu in range(4))
    + "Hardware\t: BCM2835\nModel\t\t: Raspberry Pi 3 Model B Plus Rev 1.3\n",
    1400,
    1400,
    "80008",
)
PI_4 = raspberry(arm("fp asimd evtstrm crc32 cpuid", "0xd08", ""), 1500, 1500, "0") | {
    # Some systems name the board here alone; what is set is 1500 MHz, what root can read is less.
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\0",
    f"{CPUS}/cpu0/cpufreq/cpuinfo_cur_freq": "1000000\n",
}
PI_5 = raspberry(
    arm(OF_PI_5, "0xd0b", "Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n"),
    2400,
    2400,
    "e0000",
)
XEON = (
    {
        "proc/cpuinfo": "".join(X86.format(cpu=cpu, mhz=2000 + cpu) for cpu in range(8)),
        f"{CPUS}/online": "0-3,8-11\n",
        "sys/class/thermal/thermal_zone0/type": "acpitz\n",
        "sys/class/thermal/thermal_zone0/temp": "20000\n",
        "sys/class/thermal/thermal_zone1/type": "x86_pkg_temp\n",
        "sys/class/thermal/thermal_zone1/temp": "71000\n",
    }
    | {
        f"{CPUS}/cpu{cpu}/topology/thread_siblings_list": f"{cpu % 8},{cpu % 8 + 8}\n"
        for cpu in (0, 1, 2, 3, 8, 9, 10, 11)
    }
    | {f"{CPUS}/cpu{cpu}/cpufreq/scaling_cur_freq": f"{1_000_000 + 1000 * cpu}\n" for cpu in (0, 1, 2, 3)}
    | {f"{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq": "3900000\n" for cpu in (0, 1, 2, 3)}
    | {f"{CPUS}/cpu{cpu}/thermal_throttle/core_throttle_count": f"{cpu}\n" for cpu in (0, 1, 2, 3)}
)
GUEST = {"proc/cpuinfo": X86.format(cpu=0, mhz=2000) + X86.format(cpu=1, mhz=1900.5), f"{CPUS}/online": "0-1"}


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "cpu", "flags", "cores", "cpus", "max_mhz"),
    [
        (PI_3, "Raspberry Pi 3 Model B Rev 1.2", "asimd", 4, 4, 1200),
        (PI_3_32_BIT, "Raspberry Pi 3 Model B Plus Rev 1.3", "neon", 4, 4, 1400),
        (PI_4, "Raspberry Pi 4 Model B Rev 1.5", "asimd", 4, 4, 1500),
        (PI_5, "Raspberry Pi 5 Model B Rev 1.0", "asimd", 4, 4, 2400),
        (XEON, "Intel(R) Xeon(R) CPU @ 2.00GHz", "avx512f avx512bw avx512dq avx2 sse4_2", 4, 8, 3900),
        (GUEST, "Intel(R) Xeon(R) CPU @ 2.00GHz", "avx512f avx512bw avx512dq avx2 sse4_2", 2, 2, None),
    ],
)
def test_facts_of_recorded_machines_are_read(
    tmp_path: Path,
    files: dict[str, str],
    cpu: str,
    flags: str,
    cores: int,
    cpus: int,
    max_mhz: float | None,
) -> None:
    found = machine(tree(tmp_path, files))
    assert (found.cpu, " ".join(found.flags)) == (cpu, flags)
    assert (found.cores, found.cpus, found.max_mhz) == (cores, cpus, max_mhz)
    assert found.cores_alike


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (PI_3, State(600, 48.312, 0x50005, None)),
        (PI_4, State(1000, 48.312, 0, None)),
        (XEON, State(1003, 71, None, 6)),
        (GUEST, State(2000, None, None, None)),
        ({}, State(None, None, None, None)),
    ],
)
def test_state_of_recorded_machines_is_read(tmp_path: Path, files: dict[str, str], expected: State) -> None:
    assert state(tree(tmp_path, files)) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (PI_3, 600e6),
        (PI_4, 1e9),
        (XEON, 1.003e9),
        (GUEST, None),
        ({"proc/cpuinfo": X86.format(cpu=0, mhz=2893.4).replace("sse2", "sse2 aperfmperf")}, 2893.4e6),
        ({}, None),
    ],
)
def test_nominal_clock_of_a_virtual_machine_is_unknown(
    tmp_path: Path, files: dict[str, str], expected: float | None
) -> None:
    assert reported_clock_hz(tree(tmp_path, files)) == pytest.approx(expected)


def test_without_a_compiler_the_clock_is_what_the_system_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "measured_hz", lambda: None)
    told = reported_clock_hz()
    found = clock_hz()
    # It may have changed in between.
    assert (found is None) == (told is None)


V1 = "31 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "30 25 0:25 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
HYBRID = "32 25 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup rw\n" + V1


@pytest.mark.parametrize(
    ("cgroup", "mounts", "files", "quota"),
    [
        ("0::/a/b\n", V2, {"a/cpu.max": "50000 100000\n", "a/b/cpu.max": "max 100000\n"}, ("a/cpu.max", 0.5)),
        ("0::/\n", V2, {"cpu.max": "150000 100000\n"}, ("cpu.max", 1.5)),
        ("0::/\n", V2, {"cpu.max": "max 100000\n"}, None),
        ("0::/a\n", V2, {"a/cpu.stat": "\n"}, None),
        (
            "4:cpu,cpuacct:/a\n1:name=systemd:/\n0::/a\n",
            HYBRID,
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "20000\n",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "unified/a/cgroup.procs": "\n",
            },
            ("cpu,cpuacct/a/cpu.cfs_quota_us", 0.2),
        ),
        (  # a container that sees its own part alone
            "4:cpu,cpuacct:/docker/1f\n",
            V1.replace(" / ", " /docker/1f ", 1),
            {"cpu,cpuacct/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            ("cpu,cpuacct/cpu.cfs_quota_us", 3.0),
        ),
        ("", "", {}, None),
    ],
    ids=["v2", "v2 at the top", "v2 without a quota", "v2 without cpu", "hybrid", "container", "none"],
)
def test_cpu_quota_is_read_with_its_file(
    tmp_path: Path, cgroup: str, mounts: str, files: dict[str, str], quota: tuple[str, float] | None
) -> None:
    there = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    root = tree(tmp_path, {**there, "proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts})
    assert machine(root).cpu_quota == (quota and (f"/sys/fs/cgroup/{quota[0]}", quota[1]))


def test_cores_of_different_kinds_are_noticed(tmp_path: Path) -> None:
    small = {f"{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq": "1800000\n" for cpu in (0, 1)}
    assert not machine(tree(tmp_path, PI_5 | small)).cores_alike


def test_core_whose_second_thread_is_switched_off_is_noticed(tmp_path: Path) -> None:
    siblings = {0: "0,3", 1: "1", 2: "2", 3: "0,3"}
    files = {f"{CPUS}/cpu{cpu}/topology/thread_siblings_list": f"{them}\n" for cpu, them in siblings.items()}
    assert not machine(tree(tmp_path, PI_5 | files)).cores_alike


@pytest.mark.parametrize(
    ("bits", "now", "since_boot"),
    [
        # As the firmware's documentation has them.
        (0x0, "", ""),
        (0x50005, "under-voltage throttled", "under-voltage throttled"),
        (0x50000, "", "under-voltage throttled"),
        (0xE0002, "frequency capped", "frequency capped throttled soft temperature limit"),
        (0x80008, "soft temperature limit", "soft temperature limit"),
    ],
)
def test_throttling_of_a_raspberry_pi(bits: int, now: str, since_boot: str) -> None:
    found = State(None, None, bits, None)
    assert " ".join(throttled_now(found, found) or ()) == now
    assert " ".join(throttled_since_boot(found) or ()) == since_boot


def test_throttling_of_an_x86() -> None:
    """The counters grow while the CPU is throttled."""
    calm, earlier, later = (State(None, None, None, events) for events in (0, 5, 6))
    assert (throttled_now(calm, calm), throttled_since_boot(calm)) == ((), ())
    assert (throttled_now(earlier, earlier), throttled_since_boot(earlier)) == ((), ("throttled",))
    assert throttled_now(earlier, later) == ("throttled",)


def test_throttling_of_a_system_that_does_not_tell() -> None:
    silent = State(None, None, None, None)
    assert throttled_now(silent, silent) is None
    assert throttled_since_boot(silent) is None


@pytest.mark.parametrize(
    ("program", "throttling"),
    [("echo throttled=0x50005", 0x50005), ("echo error=1 >&2; exit 1", None), ("echo no", None)],
)
def test_firmware_is_asked_where_the_kernel_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, throttling: int | None
) -> None:
    vcgencmd = tmp_path / "vcgencmd"
    vcgencmd.write_text(f'#!/bin/sh\n[ "$1" = get_throttled ] || exit 2\n{program}\n')
    vcgencmd.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert state(tmp_path).throttling == throttling


@pytest.mark.parametrize(
    ("files", "turbo"),
    [
        ({"intel_pstate/no_turbo": "1\n"}, False),
        ({"intel_pstate/no_turbo": "0\n", "cpufreq/boost": "0\n"}, True),
        ({"cpufreq/boost": "1\n"}, True),
        ({"cpufreq/boost": "0\n"}, False),
        ({}, None),
    ],
)
def test_memory_and_limits_of_the_clock_are_read(
    tmp_path: Path, files: dict[str, str], turbo: bool | None
) -> None:
    governors, limits = ("performance", "powersave", "performance"), (3_900_000, 2_400_000, 3_900_000)
    set_ = {
        f"{CPUS}/cpu{cpu}/cpufreq/{name}": f"{values[cpu]}\n"
        for cpu in range(3)
        for name, values in (("scaling_governor", governors), ("scaling_max_freq", limits))
    }
    memory = {"proc/meminfo": "MemTotal:       24620344 kB\nMemFree:         1234 kB\n"}
    found = machine(tree(tmp_path, XEON | memory | set_ | {f"{CPUS}/{name}": files[name] for name in files}))
    assert (found.governor, found.limit_mhz, found.turbo) == ("performance/powersave", 2400, turbo)
    assert found.memory_bytes == 24620344 * 1024


def test_memory_and_limits_of_a_system_that_does_not_tell(tmp_path: Path) -> None:
    found = machine(tree(tmp_path, GUEST))
    assert {found.memory_bytes, found.governor, found.turbo, found.limit_mhz} == {None}


def test_facts_of_this_machine_agree_with_psutil() -> None:
    assert machine().memory_bytes == psutil.virtual_memory().total
    found = machine()
    assert found.architecture == os.uname().machine
    assert found.cpus == psutil.cpu_count()
    assert found.cores == psutil.cpu_count(logical=False)
    known = set(Path("/proc/cpuinfo").read_text().split())
    assert set(found.flags) <= known
    assert not {"avx2", "asimd"} & known - set(found.flags)
    assert found.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_addresses_of_this_machine_agree_with_psutil() -> None:
    expected = {
        (name, address.address)
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    }
    found = {(name, address.partition("/")[0]) for name, address in machine().interfaces}
    assert found <= expected
    # An interface that has several tells the first.
    assert {name for name, _ in found} == {name for name, _ in expected}
