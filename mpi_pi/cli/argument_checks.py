"""Checks of arguments that exclude or need each other, on the standard library alone."""

import argparse
import os
from collections.abc import Sequence

from mpi_pi.errors import UserError

SUFFIXES = {"plot": (".png", ".svg", ".pdf"), "report": (".html", ".htm")}
"""Ends of the names of files that are written, by command."""


def _check_run(args: argparse.Namespace) -> None:
    """Raise UserError for arguments that exclude or need each other."""
    for name, value in (("-n/--trials", args.trials), ("-i/--points", args.points)):
        if value is None and not args.ask:
            raise UserError(f"argument {name} is required (or --ask)")
    _check_distinct(args)
    if args.shard and args.seed is None:
        raise UserError("argument --shard: needs --seed, for all shards to be of one job")
    needing = {"--restart": args.restart, "--checkpoint-every": args.checkpoint_every is not None}
    for option, given in needing.items():
        if given and not args.checkpoint:
            raise UserError(f"argument {option}: needs --checkpoint")
    _check_trial_log(args)


def _check_distinct(args: argparse.Namespace) -> None:
    """Raise UserError if two options name the same file."""
    seen: dict[str, str] = {}
    for option in ("--json", "--csv", "--trial-log", "--checkpoint"):
        file = getattr(args, option.strip("-").replace("-", "_"), None)
        place = os.path.realpath(file or "")
        if file and place in seen:
            raise UserError(f"argument {option}: {file!r}: the same file as {seen[place]}")
        seen[place] = option


def _check_inputs(args: argparse.Namespace, inputs: Sequence[str], what: str) -> None:
    """Raise UserError if two outputs are the same file, or one of them is an input."""
    _check_distinct(args)
    for option, file in (("--json", args.json), ("--csv", args.csv)):
        if file and os.path.realpath(file) in map(os.path.realpath, inputs):
            raise UserError(f"argument {option}: {file!r}: is {what}")


def _check_trial_log(args: argparse.Namespace) -> None:
    """Raise UserError for arguments with which a trial log would not be that of the job."""
    if not args.trial_log:
        return
    for option, other in (("--checkpoint", args.checkpoint), ("--shard", args.shard)):
        if other:
            raise UserError(f"argument --trial-log: not with {option}: it would not have all trials")
    if 0 < args.audit < 1:
        why = "it would have hits of ranks that are found to be wrong later"
        raise UserError(f"argument --trial-log: not with --audit below 100%: {why}")


def _check_merge(args: argparse.Namespace) -> None:
    _check_inputs(args, args.files, "one of the files to be merged")


def _check_check(args: argparse.Namespace) -> None:
    _check_inputs(args, [args.baseline] if args.baseline else [], "the baseline, which would be lost")


def _check_output(args: argparse.Namespace) -> None:
    """Raise UserError for an output that is one of the inputs, or whose name ends in no known suffix."""
    output, kinds = args.output, SUFFIXES[args.command]
    if not output.lower().endswith(kinds):
        raise UserError(f"argument -o/--output: {output!r}: the name ends in none of {', '.join(kinds)}")
    if os.path.realpath(output) in map(os.path.realpath, args.files):
        raise UserError(f"argument -o/--output: {output!r}: is one of the files to be read")


def _check_help(args: argparse.Namespace) -> None:
    """Raise UserError if more than one thing is asked for."""
    asked = {"COMMAND": args.topic, "--man": args.man, "--completion": args.completion}
    given = [name for name, value in asked.items() if value]
    if len(given) > 1:
        raise UserError(f"argument {given[1]}: not with {given[0]}")


CHECKS = {
    "run": _check_run,
    "check": _check_check,
    "merge": _check_merge,
    "burn-in": _check_distinct,
    "bench": _check_distinct,
    "plot": _check_output,
    "report": _check_output,
    "help": _check_help,
}
"""Checks of combinations of arguments, by command."""
