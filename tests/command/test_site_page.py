"""Every command of jobscripts/README.md has a test that runs it."""

import re

from support.launching import ROOT
from support.references import lost

ARCHIVE = "cluster/test_wheelhouse.py::test_client_and_three_hosts_without_internet_count"
BASELINE = "cluster/test_baseline.py::test_link_that_has_become_slower_is_a_fault"

TESTS: dict[str, str] = {
    "mpi-pi check --node": "command/test_check_node.py::test_calm_node_is_fit",
    "make wheelhouse": ARCHIVE,
    "tar -xf mpi-pi-wheelhouse-*.tar": ARCHIVE,
    "cd mpi-pi-[0-9]*/": ARCHIVE,
    "make run": ARCHIVE,
    "make deploy HOSTFILE=hostfiles/octapi.hosts": ARCHIVE,
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi check --json good-day.json": BASELINE,
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi check --baseline good-day.json": BASELINE,
    "python -m pip install dist/mpi_pi-*.whl": "command/test_packages.py::test_installed_wheel_counts",
    "mpi-pi help --man | man -l -": "command/test_help.py::test_manual_page_is_without_warnings_and_has_all",
    "mpi-pi help --completion bash >mpi-pi.bash": "command/test_help.py::test_shell_completes",
    "mpi-pi examples my-jobs": "command/test_packages.py::test_installed_wheel_writes_its_examples",
}
"""The tests, by the commands that they run."""

page = (ROOT / "jobscripts" / "README.md").read_text()
blocks = re.findall(r"^```shell\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
commands = [line for block in blocks for line in block.splitlines()]


def test_every_command_of_the_page_has_a_test() -> None:
    assert set(commands) == set(TESTS)
    assert lost(TESTS.values()) == []
