"""
The worker processes of one command. They are started before the database, and before the pipeline is checked, because
their imports take longer than both.
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
    Workers while the block runs; none is left at its end.

    Args:
        settings: of the command; the workers get the same.
        count: how many worker processes; 0 if they are elsewhere.
        executors: how many for each; None: as the settings say, otherwise the cores of the machine, shared.
        folders: where modules of stages are searched, after installed packages. None: not known before the run, so no
            worker is started before it.
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
        The database is ready: the workers may use it. Those of a run work only on that run, because another run may
        have stages with the same names in another folder.

        Args:
            folders: where modules of this run's stages are also searched, after the others.
        """
        wanted = tuple(dict.fromkeys([*(self._folders or ()), *folders]))
        if self._supervisor is not None and wanted != self._folders:
            self._supervisor.stop()  # prepared workers do not search there
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
        # Create nothing in a data folder that has not been checked: the first time, start them with the rest.
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
        workers: how many; None: one with the private server, none with another server, whose workers are elsewhere.
        folders: where modules of stages are searched; None: in the folders of the run.
    """
    return Crew(settings, count_of(settings, workers), folders=folders)


def count_of(settings: Settings, workers: int | None) -> int:
    """
    How many workers a command that follows a run has, given how many were requested.
    """
    return workers if workers is not None else int(settings.db_uri is None)


def environment_of(settings: Settings) -> Mapping[str, str]:
    """
    The environment of a command's processes: the same settings, even if they did not come from the environment, without
    those that workers do not use; and the same oaflow, even if it is not installed.
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
