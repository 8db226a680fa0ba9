"""Every command of jobscripts/README.md has a test that runs it."""

import re

from support.launching import ROOT
from support.references import lost

TESTS: dict[str, str] = {}
"""The tests, by the commands that they run."""

page = (ROOT / "jobscripts" / "README.md").read_text()
blocks = re.findall(r"^```shell\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
commands = [line for block in blocks for line in block.splitlines()]


def test_every_command_of_the_page_has_a_test() -> None:
    assert set(commands) == set(TESTS)
    assert lost(TESTS.values()) == []
