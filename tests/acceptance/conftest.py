"""
The installed command as a process, and pipelines of the stages beside this file.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import oaflow
from oaflow.ledger.receipts import receipt
from oaflow.ledger.runs import OPEN_STATES, recent_runs
from oaflow.operations.states import bound_plan, index_stages
from tests.acceptance.outputs import command_of, forms_of
from tests.waiting import waited
from tests.warm import Warm

HERE = Path(__file__).parent
ROOT = Path(oaflow.__file__).parent.parent

# Ten times what is expected: a guard against hanging, and no measurement.
PATIENCE = 120.0

MODULE = (sys.executable, "-m", "oaflow")

# As the script of an installation does: Python itself puts the current folder first for `-m`, before oaflow is asked.
INSTALLED = (sys.executable, "-P", "-m", "oaflow")


@dataclass(frozen=True)
class Result:
    """
    How a command ended.
    """

    code: int
    out: str
    err: str

    @classmethod
    def of(cls, code: int, out: bytes, err: bytes) -> "Result":
        """
        From what came over its pipes.
        """
        return cls(code, out.decode(errors="replace"), err.decode(errors="replace"))

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """
        The sentence after `error:`.
        """
        (line,) = [line for line in self.err.splitlines() if line.startswith("error:")]
        return line.removeprefix("error:").strip()

    @property
    def help(self) -> str:
        """
        The line after `help:`, or nothing.
        """
        lines = [line for line in self.err.splitlines() if line.startswith("help:")]
        return lines[-1].removeprefix("help:").strip() if lines else ""


class Command:
    """
    `oaflow` in a folder, with an environment of its own.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], warm: Warm | None = None) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.warm = warm

    def at(self, folder: Path | None = None, **environment: str) -> "Command":
        """
        The same in another folder, or with other variables.
        """
        return Command(folder or self.folder, self.environment | environment, self.warm)

    def __call__(
        self,
        *arguments: str,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        program: tuple[str, ...] | None = None,
    ) -> Result:
        """
        Runs it to its end.

        What it prints with `--json` is as the schema of that says.

        Args:
            program: a new process that runs this, in place of a fork of one that has imported the program.
        """
        result = self._run(arguments, stdin, self.environment | dict(env or {}), program)
        if "--json" in arguments and result.out and command_of(arguments) is not None:
            assert forms_of(arguments, result.out), f"this is not what its schema says: {result.out[:2000]}"
        return result

    def _run(
        self, arguments: tuple[str, ...], stdin: str, environment: dict[str, str], program: tuple[str, ...] | None
    ) -> Result:
        if self.warm is not None and program is None:
            return Result.of(*self.warm.run(arguments, self.folder, environment, stdin.encode()))
        done = subprocess.run(
            [*(program or MODULE), *arguments],
            cwd=self.folder,
            env=environment,
            input=stdin.encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        return Result.of(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return self.with_streams(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def other(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        """
        Starts a module in place of the program: a worker that the test has changed, or that of procrastinate.
        """
        assert self.warm is not None
        streams: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE) | {"stdin": subprocess.DEVNULL}
        return self.warm.start(arguments, self.folder, self.environment, program, text=True, **streams)

    def new(self, *command: str, **how: Any) -> subprocess.Popen[str]:
        """
        Starts a program in a new process, in place of a fork of one that has imported oaflow.
        """
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **streams, **how)

    def with_streams(self, arguments: tuple[str, ...], **how: Any) -> subprocess.Popen[Any]:
        """
        Starts it with streams of its own, as `subprocess.Popen` takes them.
        """
        if self.warm is not None:
            return self.warm.start(arguments, self.folder, self.environment, **how)
        return subprocess.Popen([*MODULE, *arguments], cwd=self.folder, env=self.environment, **how)

    def pipeline(self, name: str, stages: Mapping[str, Mapping[str, Any]], **keys: Any) -> str:
        """
        Writes a pipeline of test stages; JSON is YAML.
        """
        path = self.folder / f"{name}.yml"
        whole = {
            key: {
                "task": f"stages_for_tests.{value.get('task', key)}",
                **{k: v for k, v in value.items() if k != "task"},
            }
            for key, value in stages.items()
        }
        path.write_text(json.dumps({"pipeline": name, **keys, "stages": whole}, indent=1))
        return path.name

    def place(self, pipeline: str, text: str) -> str:
        """
        Where a text stands in a pipeline that was written here, as FILE:LINE:COLUMN.
        """
        lines = (self.folder / pipeline).read_text().splitlines()
        number, line = next((number, line) for number, line in enumerate(lines, 1) if text in line)
        return f"{pipeline}:{number}:{line.index(text) + 1}"


@pytest.fixture
def clean_environment() -> dict[str, str]:
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("OAFLOW_", "PG", "ARCHIVE_", "FTM_"))
    }
    foreign = ("CI", "PROCRASTINATE_DB_URI", "OPENALEPH_DB_URI", "ALEPH_DATABASE_URI", "DEBUG", "COLUMNS", "LINES")
    path = os.pathsep.join([str(HERE), str(ROOT)])
    return {key: value for key, value in kept.items() if key not in foreign} | {
        "PYTHONPATH": path,
        "OAFLOW_HEARTBEAT": "1",
        "OAFLOW_DEAD_AFTER": "4",
        "OAFLOW_EXECUTORS": "2",
    }


@pytest.fixture
def cli(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, clean_environment: dict[str, str], warm: Warm
) -> Iterator[Command]:
    """
    The command with a database that is migrated and empty; workers are there with `--workers 1` only.

    Afterwards every run in it that has ended must balance, unless the test is marked `unbalanced`.
    """
    yield Command(
        tmp_path, clean_environment | {"OAFLOW_DB_URI": database, "OAFLOW_HOME": str(tmp_path / "home")}, warm
    )
    if request.node.get_closest_marker("unbalanced") is None:
        assert unbalanced(database) == []


def unbalanced(database: str) -> list[str]:
    """
    What is wrong with the receipts of the runs of a database that have ended.
    """
    with psycopg.connect(database, autocommit=True) as connection:
        ended = [run for run in recent_runs(connection, limit=1000) if run.state not in OPEN_STATES]
        accounts = [receipt(connection, run.id, index_stages(bound_plan(connection, run))) for run in ended]
    return [
        f"{run.id} ({run.state}): {account}"
        for run, account in zip(ended, accounts, strict=True)
        if not account.balanced
    ]


@pytest.fixture
def offline(tmp_path: Path, clean_environment: dict[str, str], warm: Warm) -> Command:
    """
    The command where any use of a database would fail at once.
    """
    nobody = "postgresql://nobody@127.0.0.1:1/nothing"
    return Command(tmp_path, clean_environment | {"OAFLOW_DB_URI": nobody, "OAFLOW_HOME": str(tmp_path / "home")}, warm)


@pytest.fixture
def private(tmp_path: Path, used_home: Path, clean_environment: dict[str, str], warm: Warm) -> Command:
    """
    The command with a home of its own, where it starts the private server.
    """
    return Command(tmp_path, clean_environment | {"OAFLOW_HOME": str(used_home)}, warm)


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """
    Waits until something holds, and gives it back.
    """

    def wait(condition: Callable[[], Any]) -> Any:
        found = waited(condition, PATIENCE, 0.1)
        assert found, "it never happened"
        return found

    return wait


@pytest.fixture
def started() -> Iterator[Callable[[subprocess.Popen[str]], subprocess.Popen[str]]]:
    """
    Sees to it that what a test started is gone afterwards.
    """
    processes: list[subprocess.Popen[str]] = []

    def keep(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
        processes.append(process)
        return process

    yield keep
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@pytest.fixture
def again(home: Path) -> Iterator[Path]:
    """
    An empty folder to restore into.
    """
    folder = home.with_name(f"{home.name}-again")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
