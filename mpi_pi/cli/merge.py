"""The command `mpi-pi merge`."""

import argparse
from dataclasses import replace

from mpi_pi.cli.exit_codes import FAILED, status_of_result
from mpi_pi.cli.origin import origin_of
from mpi_pi.cli.output import Output
from mpi_pi.report import run as run_report
from mpi_pi.storage import merge, result_file


def execute(args: argparse.Namespace) -> int:
    """Merge the result files of shards, report the result of the job, and return the exit status."""
    with Output(args.json, args.csv) as output:
        result = replace(merge.merge(args.files), origin=origin_of(args.argv))
        report, json = run_report.whole(result, args.per_rank), result_file.as_json(result)
        if not output.put(report, json, tables=lambda: run_report.tables(result)):
            return FAILED
    return status_of_result(result)
