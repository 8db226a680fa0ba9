"""The command help: what --help prints, the manual page, and completion by real shells."""

import argparse
import os
import re
import subprocess
from pathlib import Path

import pytest

from mpi_pi.cli import completion, man_page, parser, parser_tree
from mpi_pi.cli.main import main
from support import lacks
from support.terminal import on_a_terminal

PARSERS = {one.prog: one for one in parser_tree.walk(parser.build())}
HIDDEN = {
    option
    for one in PARSERS.values()
    for action in one._actions
    if action.help == argparse.SUPPRESS
    for option in action.option_strings
}
READY = "ready to complete"
RC = """\
PS1='ready to complete'
mpi-pi() {{ printf 'called with <%s>\\n' "$*"; }}
{}
"""


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command of an interactive shell that has the script, and prints the arguments of mpi-pi."""
    lacks.require(*({request.param} & {"zsh"}))
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "_mpi-pi").write_text(completion.script(parser.build(), request.param))
    if request.param == "bash":
        (folder / "rc").write_text(RC.format(f". '{folder}/_mpi-pi'"))
        return ["bash", "--noprofile", "--rcfile", str(folder / "rc"), "-i"]
    load = f"fpath=('{folder}' $fpath); autoload -Uz compinit; compinit -u -d '{folder}/dump'"
    (folder / ".zshrc").write_text(RC.format(load))
    return ["env", f"ZDOTDIR={folder}", "zsh", "-d", "-i"]


@pytest.mark.parametrize("words", [name.split()[1:] for name in PARSERS], ids=" ".join)
def test_help_is_that_of_the_option(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["help", *words]) == 0
    shown = capsys.readouterr()
    assert main([*words, "--help"]) == 0
    assert shown == capsys.readouterr()
    assert shown.out.startswith(f"usage: {' '.join(['mpi-pi', *words])} ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("fly", "argument COMMAND: 'fly': choose from run, check, "),
        ("bench fly", "argument PART: 'fly': choose from all, noise, "),
        ("run kernel", "argument COMMAND: 'kernel': mpi-pi run has no parts"),
        ("--man run", "argument --man: not with COMMAND"),
        ("--man --completion bash", "argument --completion: not with --man"),
        ("--completion csh", "argument --completion: invalid choice: 'csh'"),
    ],
)
def test_help_for_what_does_not_exist_is_refused(
    capfd: pytest.CaptureFixture[str], words: str, says: str
) -> None:
    assert main(["help", *words.split()]) == 2
    shown = capfd.readouterr()
    assert shown.err.startswith(f"mpi-pi: error: {says}")
    assert (shown.out, shown.err.count("\n")) == ("", 1)


def test_hidden_options_are_nowhere() -> None:
    assert "--on-ranks" in HIDDEN
    texts = [one.format_help() for one in PARSERS.values()]
    texts += [man_page.text(parser.build()).replace("\\-", "-")]
    texts += [completion.script(parser.build(), shell) for shell in ("bash", "zsh")]
    assert not [option for option in HIDDEN if any(option in text for text in texts)]


def test_manual_page_is_without_warnings_and_has_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacks.require("mandoc")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    page = tmp_path / "mpi-pi.1"
    page.write_text(man_page.text(parser.build()))

    def mandoc(*options: str) -> str:
        command = ["mandoc", *options, str(page)]
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        return run.stdout + run.stderr

    assert mandoc("-Tlint", "-Wwarning") == ""
    plain = re.sub(".\b", "", mandoc("-Tutf8", "-Owidth=80"))  # which strikes bold characters twice
    shown = " ".join(plain.split())
    assert "1970-01-01" in shown
    for one in PARSERS.values():
        for paragraph in f"{one.description or ''}\n\n{one.epilog or ''}".split("\n\n"):
            assert " ".join(paragraph.split()) in shown.replace(" \\ ", " ")
        for action in one._actions:
            if action.help != argparse.SUPPRESS and action.option_strings != ["-h", "--help"]:
                assert all(option in shown for option in action.option_strings)


@pytest.mark.parametrize(
    ("typed", "called"),
    [
        ("burn\t", "burn-in"),
        ("bench lat\t", "bench latency"),
        ("bench latency --ful\t", "bench latency --full"),
        ("run --kernel nump\t", "run --kernel numpy"),
        ("run --json a\t", "run --json a file.json"),
        ("run --cache d\t", "run --cache dir"),
        ("merge a\tb\t", "merge a file.json b.json"),
        ("help ben\tlat\t", "help bench latency"),
        ("run --superv\t", "run --superv"),
    ],
)
def test_shell_completes(shell: list[str], typed: str, called: str, tmp_path: Path) -> None:
    (tmp_path / "a file.json").touch()
    (tmp_path / "b.json").touch()
    (tmp_path / "dir").mkdir()
    command = ["env", "-C", str(tmp_path), *shell]
    shown = on_a_terminal(command, dict(os.environ), f"mpi-pi {typed}\nexit\n".encode(), READY)
    assert f"called with <{called}>" in re.sub("[/ ]>", ">", shown)
