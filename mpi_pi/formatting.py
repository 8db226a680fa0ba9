"""Counts, names and numbers as text."""

from collections.abc import Iterable, Sequence


def number_of(count: int, thing: str) -> str:
    """Return a count with its noun: 1 host, 2 hosts."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def format_some(names: Sequence[str], most: int, count: int | None = None, separator: str = ", ") -> str:
    """Return the first `most` names, and how many more there are: `a, b and 3 more`.

    `count` is the number of all names, where `names` holds only the first of them.
    """
    more = (len(names) if count is None else count) - most
    return separator.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def format_all(names: Sequence[str]) -> str:
    """Return all names: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def format_percent(part: float, whole: float = 1, form: str = ".3g") -> str:
    """Return how much a part is of the whole: `12.5 %`."""
    return f"{100 * part / whole:{form}} %"


def format_probability(p: float, complement: float) -> str:
    """Return a probability in a few digits, as `1 - complement` where they would round to 1."""
    texts = [f"{max(value, 1e-300):.4g}" for value in (p, complement)]  # near where doubles end
    return f"1 - {texts[1]}" if texts[0] == "1" else texts[0]


def format_numbers(numbers: Iterable[int], separator: str = ",") -> str:
    """Return numbers in ascending ranges, as Linux lists cores: `0-3,8`."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    return separator.join("-".join(map(str, span)) for span in spans)


def format_cores(cores: str) -> str:
    """Return cores, as of `format_numbers`, with their noun: `core 5`, `cores 0-3`."""
    return f"core{'' if cores.isdecimal() else 's'} {cores or 'unknown'}"


def kernel_label(kernel: str, target: str) -> str:
    """Return the name of a kernel, with the CPU that it was compiled for, if it was compiled."""
    return f"{kernel} for {target}" if target else kernel


def shortened(name: str, most: int) -> str:
    """Return a name without its middle if it is longer than `most`; similar names differ at their ends."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


def printable(name: str) -> str:
    """Return a name with an escape for each character that is not printable, such as a line feed.

    A byte that is not UTF-8 stands in a file name as such a character, too.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def truncated(text: str, most: int = 40) -> str:
    """Return a text, cut off after `most` characters: `12345…`."""
    return text if len(text) <= most else text[:most] + "…"
