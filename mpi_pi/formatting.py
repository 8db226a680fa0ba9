"""Things in words."""


def number_of(count: int, thing: str) -> str:
    """So many of them: 1 host, 2 hosts."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def kernel_label(kernel: str, target: str) -> str:
    """A kernel, and what it was compiled for, if it was."""
    return f"{kernel} for {target}" if target else kernel


def chance(p: float, rest: float | None = None) -> str:
    """A probability in a few digits. Where they would round to 1, as 1 less the `rest`, known for itself.

    What is below 1e-300, where floats end, is told as that.
    """
    text = f"{max(p, 1e-300):.4g}"
    return f"1 - {chance(rest)}" if text == "1" and rest is not None else text


def printable(name: str) -> str:
    """A name with whatever is no letter, such as a line's end or a byte that is not UTF-8, as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
