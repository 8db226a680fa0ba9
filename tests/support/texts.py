"""Readers of what the program prints."""

import re


def values(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([^=\n]+?) = (.+?)\r?$", text, re.MULTILINE))


def reasons_in(text: str) -> list[str]:
    """Of a report; all of them stand right below the verdict."""
    if "Verification = SUCCESSFUL" in text:
        assert "Reason = " not in text
        return []
    (block,) = re.findall(r"^Verification = UNSUCCESSFUL\n((?:Reason = .+\n)+)", text, re.MULTILINE)
    assert text.count("Reason = ") == block.count("Reason = ")
    return re.findall(r"^Reason = (.+)$", block, re.MULTILINE)
