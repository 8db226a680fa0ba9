"""Conversion of arguments on the command line. All functions raise ValueError."""

import re

from mpi_pi.model.job import MAX_POINTS, MAX_TRIALS, Job

MAX_THREADS = 4096

MIN_BURN_IN_SECONDS = 3.0
"""Shortest burn-in: each core has to count for a while in each phase."""

MAX_DIGITS = 4000
"""Largest number of digits; Python converts integers of up to 4300 digits."""


def quantity(text: str) -> int:
    """Return a whole number, such as 100000, 100_000, 1e5, 1.5M or 2G."""
    match = re.fullmatch(
        r"([+-]?)(\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE]([+-]?\d{1,9}))?([kKmMgGtT]?)", text, re.ASCII
    )
    if not match or "__" in text or "_." in text or re.search(r"_\D", text + " "):
        raise ValueError("not a number")
    sign, digits, exponent, suffix = match.groups()
    whole, _, fraction = digits.replace("_", "").partition(".")
    zeros = int(exponent or 0) + 3 * " kmgt".index(suffix.lower() or " ") - len(fraction)
    if len(digits) + abs(zeros) > MAX_DIGITS:
        raise ValueError("too large" if zeros > 0 else "not a whole number")
    number, rest = int(sign + whole + fraction), 0
    if zeros < 0:
        number, rest = divmod(number, 10**-zeros)
    if rest:
        raise ValueError("not a whole number")
    return int(number * 10 ** max(zeros, 0))


def patience(text: str) -> float:
    """Return the seconds of a time of at least a second, since a busy rank may answer late."""
    if (seconds := duration(text)) < 1:
        raise ValueError("must be at least 1s")
    return seconds


def duration(text: str) -> float:
    """Return the seconds of a time, such as 90, 90s, 55m, 1.5h, 2d or 1:30:00."""
    if match := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", text, re.ASCII):
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    if match := re.fullmatch(r"(\d{1,6}):([0-5]\d):([0-5]\d)", text, re.ASCII):
        return int(match[1]) * 3600.0 + int(match[2]) * 60 + int(match[3])
    raise ValueError("not a time such as 90s, 55m or 1:30:00")


def burn_in_time(text: str) -> float:
    """Return the seconds of a time that is long enough for each phase of a burn-in."""
    if (seconds := duration(text)) < MIN_BURN_IN_SECONDS:
        raise ValueError(f"must be at least {MIN_BURN_IN_SECONDS:.0f}s")
    return seconds


def share(text: str) -> float:
    """Return a share such as 1%, 0.1 or 100%, from 0 to 1."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(%?)", text, re.ASCII)
    if not match:
        raise ValueError("not a share such as 1%, 0.1 or 100%")
    part = float(match[1]) / (100 if match[2] else 1)
    if part > 1:
        raise ValueError("more than all: a share is at most 100%, or 1")
    return part


def shard(text: str) -> tuple[int, int]:
    """Return the two numbers of K/N."""
    match = re.fullmatch(r"(\d{1,30})/(\d{1,30})", text, re.ASCII)
    if not match:
        raise ValueError("not a shard such as 3/16")
    index, count = int(match[1]), int(match[2])
    Job(trials=MAX_TRIALS, points=MAX_POINTS, seed=0).shard(index, count)
    return index, count


def threads(text: str) -> int:
    """Return a number of threads."""
    number = quantity(text)
    if not 1 <= number <= MAX_THREADS:
        raise ValueError(f"from 1 to {MAX_THREADS} threads are possible")
    return number


def starts(text: str) -> int:
    """Return a number of starts."""
    number = quantity(text)
    if number < 1:
        raise ValueError("at least 1 is needed")
    return number


def file_name(text: str) -> str:
    """Return the name of a file; "-" is none."""
    if text in ("", "-"):
        raise ValueError("a name is needed")
    return text


def python_version(text: str) -> str:
    """Return a minor version of Python."""
    if not re.fullmatch(r"3\.\d+", text):
        raise ValueError("a version such as 3.11 is needed")
    return text


def command(text: str) -> tuple[str, ...]:
    """Return the words of a command."""
    import shlex  # for one option alone

    words = tuple(shlex.split(text))
    if not words:
        raise ValueError("a command is needed")
    return words


def trials(text: str) -> int:
    """Return a number of trials."""
    return Job(trials=quantity(text), points=1, seed=0).trials


def points(text: str) -> int:
    """Return a number of points for each trial."""
    return Job(trials=1, points=quantity(text), seed=0).points
