"""
Asks a child process about the functions of a pipeline, and has the types of its answers. Imports no function itself.
"""

import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol, cast

from oaflow.diagnostics import Span
from oaflow.model import StageOptions

# What can be wrong with one function: its module is not there, raises at import, does not answer in time or kills the
# process; the module has no such name; it is no function; it is not decorated; it is a `@task`; what it will import is
# not installed.
Problem = Literal[
    "no-module",
    "import-failed",
    "timeout",
    "died",
    "no-function",
    "not-callable",
    "undecorated",
    "task",
    "not-installed",
]

# A class and all that it is derived from, nearest first, each as `module:name`.
Lineage = tuple[str, ...]

# Seconds for the import of one module. Large models take that long on a cold disk; nobody waits longer without asking.
IMPORT_LIMIT = 30.0


@dataclass(frozen=True)
class Parameter:
    """
    One parameter of a stage function. `kind` is `*` for what takes any positional argument and `**` for any keyword.
    """

    name: str
    required: bool = False
    kind: Literal["positional", "either", "keyword", "*", "**"] = "either"
    annotation: str | None = None


@dataclass(frozen=True)
class Inspected:
    """
    What a function that was found says about itself. `parameters` are in order, the job first; `doc` is the docstring's
    first line. `is_mute`: it can return no value. `outs` are the ports that its source names, each with its place
    there. The job is one of `taken_classes`, what it returns by itself one of `returned_classes`, and in an `Out` one
    of `sent_classes`; None: its annotations do not say. `unseen`: the class of its job as written, where a worker would
    not find it and something would be missing.
    """

    options: StageOptions
    is_async: bool = False
    is_generator: bool = False
    is_mute: bool = False
    parameters: tuple[Parameter, ...] = ()
    returns: str | None = None
    doc: str | None = None
    file: str | None = None
    line: int | None = None
    outs: tuple[tuple[str, Span], ...] = ()
    taken_classes: tuple[Lineage, ...] | None = None
    returned_classes: tuple[Lineage, ...] | None = None
    sent_classes: tuple[Lineage, ...] | None = None
    unseen: str | None = None

    @property
    def is_annotated(self) -> bool:
        """
        Whether it says what it takes and what it returns.
        """
        return self.returns is not None and bool(self.parameters) and self.parameters[0].annotation is not None


@dataclass(frozen=True)
class InspectionError:
    """
    Why a function could not be used. `detail` is one line (an exception's type and text); `known` are the names that
    the module does have, for "did you mean"; `help` is what its own module knows to type.
    """

    problem: Problem
    detail: str = ""
    known: tuple[str, ...] = ()
    help: str = ""


class Inspect(Protocol):
    """
    Looks at functions, named by dotted path, without running any: in a child process with a time limit.
    """

    def __call__(self, tasks: tuple[str, ...], /) -> Mapping[str, Inspected | InspectionError]: ...


@dataclass(frozen=True)
class Inspector:
    """
    The `Inspect` of the program: one child for all tasks, and a new one after a module that killed the first.

    `folders` are searched for modules beside the current folder and what is installed (see `import_folders`).
    """

    folders: tuple[Path, ...] = ()
    limit: float = IMPORT_LIMIT

    def __call__(self, tasks: tuple[str, ...], /) -> Mapping[str, Inspected | InspectionError]:
        answers = ask(tasks, self.folders, self.limit)
        return {name: inspected(answer) for name, answer in answers.items()}


def import_folders(file: Path | None = None) -> tuple[Path, ...]:
    """
    Where the modules that a pipeline names are looked for, beside what is installed: the current folder, the pipeline
    file's own, and the one above it (a project that keeps its files in `pipelines/`). Workers use the same.
    """
    here = Path.cwd()
    found = [here] if file is None else [here, file.resolve().parent, file.resolve().parent.parent]
    return tuple(dict.fromkeys(found))


def inspected(answer: Mapping[str, Any]) -> Inspected | InspectionError:
    """
    An answer of the child, read.
    """
    if "problem" in answer:
        return InspectionError(answer["problem"], answer["detail"], tuple(answer["known"]), answer["help"])
    facts = dict(answer)
    outs: list[tuple[str, Any]] = facts.pop("outs")
    return Inspected(
        options=StageOptions.model_validate_json(json.dumps(facts.pop("options"))),
        parameters=tuple(Parameter(**parameter) for parameter in facts.pop("parameters")),
        outs=tuple((port, Span(**(span | {"path": ()}))) for port, span in outs),
        taken_classes=_lineages(facts.pop("taken_classes")),
        returned_classes=_lineages(facts.pop("returned_classes")),
        sent_classes=_lineages(facts.pop("sent_classes")),
        **facts,
    )


def _lineages(said: list[list[str]] | None) -> tuple[Lineage, ...] | None:
    return None if said is None else tuple(tuple(lineage) for lineage in said)


# --- talking to the child ---


def ask(names: Sequence[str], folders: Sequence[Path], limit: float) -> dict[str, dict[str, Any]]:
    """
    What the child says about each name: `module.function` for a stage, `module:name` for a pipeline.

    A module that hangs or kills the child costs the names of that module; the rest are asked again in a new child.
    """
    waiting: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        waiting.setdefault(module_of(name), []).append(name)
    answers: dict[str, dict[str, Any]] = {}
    while waiting:
        at = next(iter(waiting))
        for kind, value in _listen([name for group in waiting.values() for name in group], folders, limit):
            match kind:
                case "importing":
                    at = value
                case "answer":
                    answers[value[0]] = value[1]
                    if value[1].get("problem") == "import-failed" and not value[1]["help"]:
                        value[1]["help"] = _by_hand(at, folders)
                case _:
                    error = {"problem": kind, "detail": value, "known": (), "help": _by_hand(at, folders)}
                    answers |= {name: error for name in waiting[at] if name not in answers}
        waiting = {module: group for module, group in waiting.items() if any(name not in answers for name in group)}
    return answers


def module_of(name: str) -> str:
    """
    The module in which a name is looked for.
    """
    return name.partition(":")[0] if ":" in name else name.rpartition(".")[0]


def python() -> str:
    """
    How the Python that oaflow runs in is typed here: by its name, where that one is found under it.
    """
    for name in ("python", "python3"):
        if (found := shutil.which(name)) and os.path.dirname(found) == os.path.dirname(sys.executable):
            return name
    return shlex.quote(short(sys.executable))


def short(file: str) -> str:
    """
    A path as it is typed in the current folder.
    """
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _by_hand(module: str, folders: Sequence[Path]) -> str:
    """
    What imports a module as it was imported here, and shows all that it says.
    """
    top = module.partition(".")[0]
    place = next((one for one in folders if (one / top).is_dir() or (one / f"{top}.py").is_file()), None)
    where = "" if place in (None, Path.cwd()) else f"PYTHONPATH={shlex.quote(short(str(place)))} "
    return f"{where}{python()} -c 'import {module}'"


def _listen(names: Sequence[str], folders: Sequence[Path], limit: float) -> Iterator[tuple[str, Any]]:
    """
    The child's messages, and at the end, where it did not come to its own end, `timeout` or `died` with the reason.
    """
    with _child(names, folders) as (child, answers, stderr):
        buffer = b""
        while True:
            deadline = time.monotonic() + limit
            while b"\n" not in buffer:
                if not select.select([answers], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    yield "timeout", f"its import took longer than {limit:g} s"
                    return
                piece = os.read(answers, 1 << 16)
                if not piece:
                    yield "died", _death(child, stderr)
                    return
                buffer += piece
            line, _, buffer = buffer.partition(b"\n")
            kind, value = cast("tuple[str, Any]", tuple(json.loads(line)))
            if kind == "end":
                return
            yield kind, value


@contextmanager
def _child(names: Sequence[str], folders: Sequence[Path]) -> Generator[tuple[subprocess.Popen[bytes], int, IO[bytes]]]:
    reading, writing = os.pipe()
    request = json.dumps({"names": names, "folders": [str(folder) for folder in folders], "answers": writing})
    # The child sees the modules of this process, wherever they came from; what the author wrote is added by itself.
    program = f"import sys; sys.path[:] = {sys.path!r}; from oaflow.compiler.child import main; main(sys.argv[1])"
    with tempfile.TemporaryFile() as stderr:
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-c", program, request],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=[writing],
                # A group of its own: what an import started ends with it.
                start_new_session=True,
            )
        finally:
            os.close(writing)
        try:
            yield child, reading, stderr
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            os.close(reading)


def _death(child: subprocess.Popen[bytes], stderr: IO[bytes]) -> str:
    try:
        status = child.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return "its import closed the files of the process"
    stderr.seek(0)
    last = stderr.read().decode(errors="replace").strip().rpartition("\n")[2]
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"exited with status {status}"
    return f"its import {how}" + (f" ({last})" if last else "")
