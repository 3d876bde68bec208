"""
What a real bash and a real zsh offer when the tab key is pressed.
"""

import os
import pty
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pytest

from tests.acceptance.conftest import PATIENCE, Command

Press = Callable[[str, str], None]

in_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
in_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh here")


def with_the_command(cli: Command) -> dict[str, str]:
    return {**cli.environment, "PATH": f"{Path(sys.executable).parent}:{cli.environment['PATH']}"}


def offered(cli: Command, *lines: str) -> list[list[str]]:
    """
    What is offered at the end of each line, all in one shell. The command that it asks is a fork; zsh and fish ask the
    one that is installed.
    """
    assert cli.warm is not None
    called = cli.folder / "called"
    called.mkdir(exist_ok=True)
    cli.warm.script(called)
    script = ['eval "$(oaflow --show-completion bash)"']
    for line in lines:
        words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
        script += [
            f"COMP_WORDS=({' '.join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1} COMPREPLY=()",
            "_oaflow_completion oaflow",
            'printf "%s " "${COMPREPLY[@]}"; echo',
        ]
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(script)],
        cwd=cli.folder,
        env={**cli.environment, "PATH": f"{called}:{cli.environment['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


@contextmanager
def zsh(cli: Command) -> Generator[Press]:
    """
    A zsh in a terminal of its own. Its keys are pressed, and what it is to show is waited for.
    """
    ours, theirs = pty.openpty()
    environment = with_the_command(cli) | {"TERM": "dumb", "PS1": "", "ZDOTDIR": str(cli.folder)}
    shell = subprocess.Popen(
        ["zsh", "-f", "-i"], cwd=cli.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)

    def press(keys: str, shows: str) -> None:
        os.write(ours, keys.encode())
        shown, until = "", time.monotonic() + PATIENCE
        while shows not in shown:
            assert time.monotonic() < until, shown
            if select([ours], [], [], 1)[0]:
                shown += os.read(ours, 65536).decode(errors="replace")

    try:
        yield press
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


@in_zsh
def test_zsh_offers_commands_and_names_too(cli: Command) -> None:
    assert cli("run", cli.pipeline("mine", {"end": {}}), "-d", "demo", "--workers", "1").code == 0
    run = cli("status", "--json").json["run"]

    with zsh(cli) as press:
        press("autoload -Uz compinit; compinit -u -D; echo rea''dy\n", "ready")
        press("eval \"$(oaflow --show-completion)\"; echo lear''ned\n", "learned")
        for typed, shows in (("oaflow fail", "failures"), ("oaflow status ", run), ("oaflow search -d ", "demo")):
            press(f"\x15{typed}\t", shows)


@in_bash
def test_a_shell_is_offered_commands_pipelines_runs_stages_datasets_and_causes(cli: Command, offline: Command) -> None:
    stages = {"source": {"with": {"count": 1}, "next": "fails"}, "fails": {}}
    (cli.folder / "pipelines").mkdir()
    name = cli.pipeline("mine", stages)
    assert cli("run", name, "-d", "demo", "--workers", "1").code == 1
    run = cli("status", "--json").json["run"]
    (cli.folder / name).rename(cli.folder / "pipelines" / name)

    here = offered(
        cli,
        "oaflow fail",
        "oaflow run m",
        "oaflow status ",
        "oaflow search -d ",
        f"oaflow retry {run} --stage f",
        "oaflow failures --cause ",
        "oaflow logs --document ",
        "oaflow limit source",
    )
    nowhere = offered(offline, "oaflow status ", "oaflow run in")

    assert here[:5] == [["failures"], ["mine"], [run], ["demo"], ["fails"]]
    assert len(here[5]) == 1
    assert here[6:] == [[], ["source/stages_for_tests.source"]]
    # Without a database nothing is said, and the shell goes on with files.
    assert nowhere == [[], ["ingest"]]


@in_bash
def test_the_names_of_the_private_server_are_offered_though_it_has_stopped(private: Command) -> None:
    name = private.pipeline("still", {"end": {}})
    assert private("run", name, "-d", "quiet").code == 0

    runs, datasets, stages = offered(private, "oaflow status ", "oaflow entities -d q", "oaflow logs --stage ")

    assert [run.partition("-")[0] for run in runs] == ["still"]
    assert (datasets, stages) == (["quiet"], ["end"])

    for command in (
        ("schedule", "add", name, "-d", "quiet", "--cron", "0 3 * * *"),
        ("webhook", "add", "https://example.org/hook"),
        ("limit", "slow/other.task", "--concurrency", "2"),
    ):
        assert private(*command).code == 0
    asks = ("oaflow schedule remove ", "oaflow schedule pause st", "oaflow webhook test ", "oaflow limit ")
    task = "end/stages_for_tests.end"
    assert offered(private, *asks) == [["still-quiet"], ["still-quiet"], ["example.org"], [task, "slow/other.task"]]
    assert private("schedule", "remove", "still-quiet").code == 0
    assert private("webhook", "remove", "example.org").code == 0
    assert private("limit", "slow/other.task", "--clear").code == 0
    assert offered(private, *asks) == [[], [], [], [task]]


def test_fish_is_offered_the_same_by_what_its_script_asks(cli: Command) -> None:
    # As the script that typer writes for fish asks: whether there is anything to offer, and then for it.
    assert cli("run", cli.pipeline("mine", {"end": {}}), "-d", "demo", "--workers", "1").code == 0
    run = cli("status", "--json").json["run"]

    def asked(action: str, line: str) -> subprocess.CompletedProcess[str]:
        asking = {"_OAFLOW_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": action}
        environment = {**with_the_command(cli), **asking, "_TYPER_COMPLETE_ARGS": line}
        return subprocess.run(
            ["oaflow"], cwd=cli.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    assert asked("is-args", "oaflow status ").returncode == 0
    for line, shows in (("oaflow fail", "failures"), ("oaflow status ", run), ("oaflow search -d ", "demo")):
        assert [offer.split("\t")[0] for offer in asked("get-args", line).stdout.splitlines()] == [shows]


@in_bash
@pytest.mark.parametrize(
    ("shell", "begins"), [("fish", "complete --command oaflow "), ("zsh", "#compdef oaflow"), ("bash", "_oaflow_comp")]
)
def test_the_script_is_that_of_the_shell_that_was_named(offline: Command, shell: str, begins: str) -> None:
    # From a shell, which would be taken where no name is read.
    ask = f"oaflow --show-completion {shell}; exit $?"
    done = subprocess.run(
        ["bash", "--norc", "-c", ask], env=with_the_command(offline), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(begins)


def test_a_shell_that_is_not_known_is_named(offline: Command) -> None:
    result = offline("--show-completion", "fsh", program=(str(Path(sys.executable).parent / "oaflow"),))

    assert (result.code, result.out) == (2, "")
    assert "'fsh' is not one of 'bash', 'zsh', 'fish'" in result.error
