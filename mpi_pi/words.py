"""Numbers in words."""


def number_of(count: int, thing: str) -> str:
    """So many of them: 1 host, 2 hosts."""
    return f"{count} {thing}{'' if count == 1 else 's'}"
