"""Things in words."""


def number_of(count: int, thing: str) -> str:
    """So many of them: 1 host, 2 hosts."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def made_for(kernel: str, target: str) -> str:
    """A kernel, and what it was compiled for, if it was."""
    return f"{kernel} for {target}" if target else kernel
