"""Every command of jobscripts/README.md has a test that runs it."""

import re

from support.launching import ROOT
from support.references import lost

ARCHIVE = "cluster/test_wheelhouse.py::test_client_and_three_hosts_without_internet_count"
SCHEDULERS = "command/test_schedulers.py::test"
BASELINE = "cluster/test_baseline.py::test_link_that_has_become_slower_is_a_fault"
NETWORK = "cluster/test_bench_network.py::test_slow_cable_is_measured_and_named"
JQ = "command/test_jq.py::test_line_for_jq_gives_what_the_document_has"
REFRAME = "cluster/test_reframe.py::test_reframe_has_the_rates_of_the_result"
REFRAME_ON_SLURM = "cluster/test_reframe.py::test_reframe_runs_on_the_nodes_of_slurm"
CSV = "command/test_csv.py::test_tables_of_a_run_and_of_merged_shards_have_the_points_of_the_json"

TESTS: dict[str, str] = {
    "mpi-pi check --node": "command/test_check_node.py::test_calm_node_is_fit",
    "make wheelhouse": ARCHIVE,
    "tar -xf mpi-pi-wheelhouse-*.tar": ARCHIVE,
    "cd mpi-pi-[0-9]*/": ARCHIVE,
    "make run": ARCHIVE,
    "make deploy HOSTFILE=hostfiles/octapi.hosts": ARCHIVE,
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi check --json good-day.json": BASELINE,
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi check --baseline good-day.json": BASELINE,
    "mpi-pi merge part-1.json part-2.json --csv result.csv": CSV,
    "awk -v RS= '/^hosts\\n/' result.csv | tail -n +2 > hosts.csv": CSV,
    "mpirun -hostfile hostfiles/octapi.hosts mpi-pi bench latency --pairs --json network.json": NETWORK,
    "mpi-pi plot network.json -o network.png": NETWORK,
    "python -m pip install dist/mpi_pi-*.whl": "command/test_packages.py::test_installed_wheel_counts",
    "mpi-pi help --man | man -l -": "command/test_help.py::test_manual_page_is_without_warnings_and_has_all",
    "mpi-pi help --completion bash >mpi-pi.bash": "command/test_help.py::test_shell_completes",
    "mpi-pi examples my-jobs": "command/test_packages.py::test_installed_wheel_writes_its_examples",
    "jq -e .verified run.json": JQ,
    "jq '.points_per_second, .points_per_second_per_core' run.json": JQ,
    "jq -r '.hosts[] | [.host, (.ranks | length), .points, .points_per_second] | @tsv' run.json": JQ,
    "jq -c '.ranks | min_by(.points_per_second) | [.rank, .host, .points_per_second]' run.json": JQ,
    "jq -r '.hosts[] | select(.core_share != null and .core_share < 0.7) | .host' run.json": JQ,
    "jq -r '.steps | to_entries[] | [.key, .value] | @tsv' run.json": JQ,
    "jq -r '[.date, .job_id, (.ranks | length), .estimate.pi, .points_per_second] | @csv' *.json": JQ,
    "jq -r .command run.json": JQ,
    "reframe -c reframe_mpi_pi.py -r": REFRAME,
    "reframe -c reframe_mpi_pi.py -r -P nodes=1,2 -S tasks_per_node=2 --performance-report": REFRAME_ON_SLURM,
    "reframe -c reframe_mpi_pi.py -r --distribute=all -S tasks_per_node=2": REFRAME_ON_SLURM,
    "qsub jobscripts/site/run.pbs": f"{SCHEDULERS}_pbs_script_counts_on_the_slots_of_the_job",
    "qsub -J 1-4 jobscripts/site/run.pbs": f"{SCHEDULERS}_tasks_of_a_pbs_array_count_the_shards",
    "bsub <jobscripts/site/run.lsf": f"{SCHEDULERS}_lsf_script_counts_on_the_slots_of_the_job",
    'bsub -J "mpi-pi[1-4]" <jobscripts/site/run.lsf': f"{SCHEDULERS}_task_of_an_lsf_array_counts_its_shard",
    "flux batch jobscripts/site/run.flux": (
        f"{SCHEDULERS}_flux_script_takes_a_launcher_whose_ranks_find_each_other"
    ),
}
"""The tests, by the commands that they run."""

page = (ROOT / "jobscripts" / "README.md").read_text()
blocks = re.findall(r"^```shell\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
commands = [line for block in blocks for line in block.splitlines()]


def test_every_command_of_the_page_has_a_test() -> None:
    assert set(commands) == set(TESTS)
    assert lost(TESTS.values()) == []
