"""ReFrame test of mpi-pi: it counts right on all ranks, and how fast it does; README.md has commands.

It was tried with ReFrame 4.10, and needs mpi-pi on the PATH of jobs, or else `-S executable=/path/of/mpi-pi`.
"""

import json
from pathlib import Path
from typing import Any

import reframe as rfm
import reframe.utility.sanity as sn
from reframe.core.builtins import run_before, sanity_function, variable

RESULT = "result.json"


@rfm.simple_test
class MpiPi(rfm.RunOnlyRegressionTest):
    """mpi-pi on `nodes` nodes with `tasks_per_node` ranks each."""

    nodes = variable(int, value=1)
    tasks_per_node = variable(int, value=1)
    trials_per_task = variable(int, value=40_000)
    """Of 100,000 points each: a second for a core of a new PC, twenty for one of a Raspberry Pi."""
    rate_per_core = variable(float, value=0.0)
    """Points per second of a core; the test fails below 90 % of it. By default any rate will do."""

    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    executable = "mpi-pi"
    postrun_cmds = ['echo "Status = $?"']  # whatever the scheduler makes of it
    keep_files = [RESULT]

    @run_before("run")
    def choose_job(self) -> None:
        """Set the number of ranks, and work in proportion to it."""
        self.num_tasks_per_node = self.tasks_per_node
        self.num_tasks = self.nodes * self.tasks_per_node
        trials = self.trials_per_task * self.num_tasks
        self.executable_opts = ["run", "-n", str(trials), "-i", "100000", "--seed", "1", "--json", RESULT]

    @sanity_function
    def is_right(self) -> Any:
        """Check verdict, exit status and number of ranks; name the reasons that mpi-pi gives."""
        reasons = sn.extractall(r"^Reason = (.*)", self.stdout, 1).evaluate()
        errors = sn.extractall(r"^mpi-pi: error: (.*)", self.stderr, 1).evaluate()
        why = "; ".join([*reasons, *errors]) or "see its output"
        verified = sn.count(sn.findall(r"^Verification = SUCCESSFUL$", self.stdout)).evaluate() == 1
        ended = bool(sn.findall(r"^Status = 0$", self.stdout).evaluate())
        ranks = len(self._result()["ranks"]) if verified and ended else 0
        return sn.all(
            [
                sn.assert_true(verified, f"mpi-pi is not verified: {why}"),
                sn.assert_true(ended, f"mpi-pi did not end with status 0: {why}"),
                sn.assert_eq(ranks, self.num_tasks, "mpi-pi ran on {0} ranks instead of {1}"),
            ]
        )

    @run_before("performance")
    def tell_rates(self) -> None:
        """Take the rates of the whole job, of a core and of each node from the JSON."""
        result = self._result()
        rates = {name: result[name] for name in ("points_per_second", "points_per_second_per_core")}
        rates |= {f"points_per_second_{host['host']}": host["points_per_second"] for host in result["hosts"]}
        self.perf_variables = {
            name: sn.make_performance_function(sn.defer(rate), "points/s") for name, rate in rates.items()
        }
        if self.rate_per_core:
            expected = (self.rate_per_core, -0.1, None, "points/s")
            self.reference = {"*": {"points_per_second_per_core": expected}}

    def _result(self) -> Any:
        return json.loads((Path(self.stagedir) / RESULT).read_text())
