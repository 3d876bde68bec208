"""
The worker processes of one command. They are started before the database is, and before the pipeline is checked: what
they import takes longer than both.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

import oaflow
from oaflow.runtime.supervisor import Supervisor, worker_command
from oaflow.settings import Settings, variables_of


class Crew:
    """
    Workers for the time of a block; at its end none is left.

    Args:
        settings: of the command; the workers get the same.
        count: worker processes; 0 where they are elsewhere.
        executors: of each; None: what the settings say, else the cores of the machine, shared.
        folders: where modules of stages are looked for, after what is installed. None: that is known with the run, and
            no worker is started before.
    """

    def __init__(
        self, settings: Settings, count: int, *, executors: int | None = None, folders: tuple[Path, ...] | None = ()
    ) -> None:
        self._settings, self._count, self._folders = settings, count, folders
        self._executors = executors or settings.executors or max(1, (os.cpu_count() or 1) // max(count, 1))
        self._logs = settings.home / "logs"
        self._supervisor: Supervisor | None = None

    def begin(self, run: str | None = None, folders: tuple[Path, ...] = ()) -> Supervisor | None:
        """
        The database is there: the workers may use it. Those of a run work on that one only: another run may have stages
        of the same names, from another folder.

        Args:
            folders: where modules of this run's stages are looked for besides, after the others.
        """
        wanted = tuple(dict.fromkeys([*(self._folders or ()), *folders]))
        if self._supervisor is not None and wanted != self._folders:
            self._supervisor.stop()  # what is prepared does not look there
            self._supervisor = None
        if self._supervisor is None:
            self._supervisor = self._made(wanted)
        if self._supervisor is not None:
            self._supervisor.begin(run)
        return self._supervisor

    def _made(self, folders: tuple[Path, ...]) -> Supervisor | None:
        if not self._count:
            return None
        command = worker_command(self._executors, folders)
        lines = sys.stderr.fileno() if self._settings.log_format == "json" else None
        environment = environment_of(self._settings)
        return Supervisor(command, count=self._count, logs=self._logs, environment=environment, lines=lines)

    def __enter__(self) -> Self:
        # Nothing is made in a data folder that nobody has looked at: the first time they are started with the rest.
        if self._folders is not None and os.access(self._logs, os.W_OK | os.X_OK):
            self._supervisor = self._made(self._folders)
            if self._supervisor is not None:
                self._supervisor.prepare()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()


def crew_of(settings: Settings, workers: int | None, folders: tuple[Path, ...] | None = None) -> Crew:
    """
    The workers of a command that follows a run.

    Args:
        workers: how many; None: one with the private server, none with another, where they are elsewhere.
        folders: where modules of stages are looked for; None: where those of the run are.
    """
    return Crew(settings, count_of(settings, workers), folders=folders)


def count_of(settings: Settings, workers: int | None) -> int:
    """
    How many workers a command has that follows a run, where so many were asked for.
    """
    return workers if workers is not None else int(settings.db_uri is None)


def environment_of(settings: Settings) -> Mapping[str, str]:
    """
    What processes of a command are started with: the same settings, also where they did not come from the environment,
    less what workers have no use for; and the same oaflow, also where it is not installed.
    """
    environment = dict(os.environ)
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if field.exclude or (name in settings.model_fields_set and value is None):
            for variable in variables_of(name):
                environment.pop(variable, None)
        elif name in settings.model_fields_set:
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            environment[variables_of(name)[0]] = text
    environment["OAFLOW_HOME"] = str(settings.home.absolute())
    root = Path(oaflow.__file__).parent.parent
    if root.name not in ("site-packages", "dist-packages"):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [environment.get("PYTHONPATH"), str(root)]))
    return environment
