"""Golden texts of the reports, to the letter, since users search them for lines.

MPI_PI_RENEW_GOLDEN=1 writes them afresh where a change is meant; the difference is then to be reviewed.
"""

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpi_pi.bench import document as bench_document
from mpi_pi.burn_in import diagnosis
from mpi_pi.burn_in.outcome import BurnIn
from mpi_pi.check.diagnosis import findings
from mpi_pi.check.hosts import group_by_host
from mpi_pi.cluster import deploy, ports, preflight
from mpi_pi.cluster.host import Host
from mpi_pi.cluster.host_check import HostCheck
from mpi_pi.cluster.platforms import Platform
from mpi_pi.model.origin import Origin
from mpi_pi.model.result import Result
from mpi_pi.report import burn_in as burn_in_report
from mpi_pi.report import check as check_report
from mpi_pi.report import deployment, plain
from mpi_pi.report import preflight as preflight_report
from mpi_pi.report import run as run_report
from mpi_pi.report.bench import document as bench_report
from mpi_pi.report.bench import network as network_report
from mpi_pi.storage import merge, result_file
from support import audited_runs, burn_ins, networks, runs
from support.benchmarks import compared
from support.health import CASES, healthy, without
from support.launching import TESTS
from support.runs import flame

TEXTS = TESTS / "data" / "text"
BEFORE = TESTS / "data" / "before"
BENCHMARKS = TESTS / "data" / "benchmarks"


def of_run(result: Result, per_rank: bool = True) -> str:
    return plain.text(run_report.whole(result, per_rank))


def of_merge_with_losses() -> str:
    """Return the report on two shards; ranks of one were lost before its first round, too."""
    losses = ({runs.BEFORE_ROUNDS: [0, 5], 3: [2], 5: [1]}, {2: [0, 1, 2]})
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{folder}/{index}.json" for index in (1, 2)]
        for index, name in enumerate(names, 1):
            result = runs.run(2, 3, losses=losses[index - 1], shard=(index, 2))
            Path(name).write_text(result_file.as_json(result))
        return of_run(merge.merge(names))


def of_starved_run() -> str:
    """Return the report on a run in a Slurm job, in which ranks of two hosts had a part of a core."""
    shares = (1.0, 0.99, 0.5, 0.5, 0.97, 0.312)
    ranks = [
        replace(row, count_seconds=20.0, count_cpu_seconds=share * 20)
        for row, share in zip(runs.run(3, 2).ranks, shares, strict=True)
    ]
    origin = Origin("2026-11-26T14:05:35Z", "Slurm", "4711_3", ("mpi-pi", "run", "-n", "960", "-i", "1000"))
    return of_run(replace(runs.run(3, 2), ranks=tuple(ranks), origin=origin))


def stored(name: str) -> dict[str, Any]:
    return bench_document.read(str(BENCHMARKS / f"{name}.json"))


def network(hosts: int, silent: bool = False) -> dict[str, Any]:
    section: dict[str, Any] = networks.benchmark(hosts, silent=silent)["network"]
    return section


def of_check(change: Callable[[Any], Any] = list, hosts: int = 4) -> str:
    found = group_by_host(list(change(healthy(hosts))))
    return plain.text(check_report.blocks(found, findings(found)))


def of_findings() -> str:
    texts = []
    for case, (change, *_) in CASES.items():
        found = findings(group_by_host(list(change(healthy()))))
        texts += [f"# {case}", *(f"{one.severity}: {one.text}" for one in found), ""]
    return "\n".join(texts)


def of_burn_in(burn_in: BurnIn) -> str:
    return plain.text(burn_in_report.blocks(burn_in, diagnosis.findings(burn_in)))


def of_burn_in_findings() -> str:
    texts = []
    for case, (change, *_) in burn_ins.CASES.items():
        found = diagnosis.findings(change(burn_ins.healthy()))
        texts += [f"# {case}", *(f"{one.severity}: {one.text}" for one in found), ""]
    return "\n".join(texts)


def of_bad_hosts() -> str:
    """Return the report on a slow and a wrong core, and a hot host, of many."""
    throttled = burn_ins.on(30, samples=range(20, 60), throttled_seconds=4.0, watts=6.4)
    bad = burn_ins.both(throttled, burn_ins.wrong(90))
    return of_burn_in(bad(burn_ins.healthy(40, slow={20: 0.7}, hot={30: 0.75})))


def of_stopped_burn_in() -> str:
    whole = burn_ins.healthy()
    return of_burn_in(replace(whole, phases=whole.phases[:1], stopped="SIGINT"))


def of_deploy() -> str:
    target = Platform("3.11.2", "aarch64", "2.36")
    hosts = [Host(f"node{number}") for number in range(1, 6)]
    sites = [
        deploy.Target(host, platform=target, seconds=12.34 + number) for number, host in enumerate(hosts)
    ]
    sites[0].outcome, sites[1].outcome, sites[2].outcome = deploy.NOTHING, deploy.PACKAGE, deploy.EVERYTHING
    sites[2].platform = replace(target, python="3.13.1")
    sites[3].problem = sites[4].problem = "no space left on its disk"
    sites[4].platform = None
    return plain.text(deployment.blocks(sites))


def of_check_hosts() -> str:
    own = {"version": "0.1.0", "python": "3.11.2", "launcher": "Open MPI 5.0.11"}
    client = HostCheck(Host("client"), here=True, facts=own)
    everyone = [client]
    for number in range(1, 6):
        one = HostCheck(Host(f"node{number}"), address=f"192.168.1.10{number}", facts=own)
        one.ports = [1024, 1025]
        everyone.append(one)
    everyone[1].here = True
    everyone[2].facts = {}
    everyone[2].problems = ["no route to host: is it on, and in the network?"]
    everyone[3].blocked = {1024: ["node1: timed out", "node5: timed out"], 1025: ["client: refused"]}
    everyone[3].notes = ["Python 3.13 here, and 3.11 there: no obstacle"]
    for one in everyone:
        one.problems += ports.blocked_ports(one)
    return plain.text(preflight_report.blocks(preflight.Preflight(client, everyone[1:], "192.168.1.0/24")))


GOLDEN: dict[str, Callable[[], str]] = {
    "run_flame": lambda: of_run(flame()),
    "run_flame_threads": lambda: of_run(flame(ranks=4, hosts=2, threads=3), per_rank=False),
    "run_wrong": lambda: of_run(flame(hits=78_900_000)),
    "run_hosts": lambda: of_run(runs.run(3, 2)),
    "run_starved": of_starved_run,
    "run_many_hosts": lambda: of_run(runs.run(40)),
    "run_stopped": lambda: of_run(runs.run(3, 2, stopped=True)),
    "run_bad_kernel": lambda: of_run(replace(flame(), kernels_right=False)),
    "run_lost": lambda: of_run(runs.run(3, 2, losses={runs.BEFORE_ROUNDS: [1], 3: [3], 6: [4, 5]})),
    "run_lost_root": lambda: of_run(runs.run(2, 4, losses={0: [7], 4: [0, 1, 2, 3]})),
    "run_lost_at_the_end": lambda: of_run(runs.run(3, 1, losses={8: [2]})),
    "run_audited": lambda: of_run(audited_runs.proven()),
    "run_audit_with_wrong_ranks": lambda: of_run(audited_runs.audited(wrong=[3, 5])),
    "run_audit_undecided": lambda: of_run(audited_runs.undecided(), per_rank=False),
    "merge_lost": of_merge_with_losses,
    "merge": lambda: of_run(merge.merge([str(BEFORE / f"shard{index}.json") for index in (1, 2)])),
    "check_healthy": of_check,
    "check_of_many_hosts": lambda: of_check(without(7), 20),
    "check_findings": of_findings,
    "burn_in_passed": lambda: of_burn_in(burn_ins.healthy()),
    "burn_in_of_many_hosts": of_bad_hosts,
    "burn_in_findings": of_burn_in_findings,
    "burn_in_stopped": of_stopped_burn_in,
    "bench_host": lambda: plain.text(bench_report.blocks(stored("host"))),
    "bench_hosts": lambda: plain.text(bench_report.blocks(stored("four_hosts"))),
    "bench_network": lambda: plain.text(network_report.blocks(network(4, silent=True))),
    "bench_network_of_host": lambda: plain.text(network_report.blocks(network(1))),
    "bench_network_of_many_hosts": lambda: plain.text(network_report.blocks(network(40))),
    "compare_same": lambda: compared(stored("host"), stored("host"))[0],
    "compare_slower": lambda: compared(stored("host"), stored("host_slower"))[0],
    "compare_faster": lambda: compared(stored("two_hosts"), stored("two_hosts_faster"))[0],
    "deploy": of_deploy,
    "check_hosts": of_check_hosts,
}


@pytest.mark.parametrize("name", GOLDEN)
def test_text_is_as_before(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: "3.11.2")
    for report in ("burn_in", "run"):
        monkeypatch.setattr(f"mpi_pi.report.{report}.__version__", "0.1.0")
    text, file = GOLDEN[name](), TEXTS / f"{name}.txt"
    if "MPI_PI_RENEW_GOLDEN" in os.environ:
        file.write_text(text)
    assert text == file.read_text()
