"""
What a real bash offers when the tab key is pressed.
"""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import PATIENCE, Command

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")


def offered(cli: Command, *lines: str) -> list[list[str]]:
    """
    What is offered at the end of each line, all in one shell.
    """
    script = ['eval "$(oaflow --show-completion bash)"']
    for line in lines:
        words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
        script += [
            f"COMP_WORDS=({' '.join(map(shlex.quote, words))}) COMP_CWORD={len(words) - 1} COMPREPLY=()",
            "_oaflow_completion oaflow",
            'printf "%s " "${COMPREPLY[@]}"; echo',
        ]
    environment = cli.environment | {"PATH": f"{Path(sys.executable).parent}:{cli.environment['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(script)],
        cwd=cli.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == ""
    return [line.split() for line in done.stdout.splitlines()]


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
    )
    nowhere = offered(offline, "oaflow status ", "oaflow run in")

    assert here[:5] == [["failures"], ["mine"], [run], ["demo"], ["fails"]]
    assert len(here[5]) == 1
    assert here[6] == []
    # Without a database nothing is said, and the shell goes on with files.
    assert nowhere == [[], ["ingest"]]


def test_the_names_of_the_private_server_are_offered_though_it_has_stopped(private: Command) -> None:
    name = private.pipeline("still", {"end": {}})
    assert private("run", name, "-d", "quiet").code == 0

    runs, datasets, stages = offered(private, "oaflow status ", "oaflow entities -d q", "oaflow logs --stage ")

    assert [run.partition("-")[0] for run in runs] == ["still"]
    assert (datasets, stages) == (["quiet"], ["end"])
