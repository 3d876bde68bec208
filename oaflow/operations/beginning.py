"""
`oaflow new`: the files of a new pipeline, which can be checked, tested and run as they are.
"""

import shlex
import unicodedata
from pathlib import Path

from oaflow.compiler.reading import NAME, NAME_LENGTH
from oaflow.errors import EnvironmentProblem, UsageError

# `<...>` is filled in, because braces and dollars have a meaning in these texts.
_PIPELINE = """\
oaflow: 1
pipeline: <name>
description: Greets everybody who is named.

params:
  names: {type: list, positional: true, required: true, help: Whom to greet}

# A stage is a function of <module>.py. It returns jobs; `next` says where they go.
stages:
  name:
    task: <module>.name
    with: {names: "${params.names}"}
    next: greet

  greet:
    task: <module>.greet
    timeout: 1m

# `oaflow test <file>` tries where jobs go, without running the functions.
tests:
  - at: name
    description: Everybody who is named is greeted
    job: {context: {name: Anna}}
    expect: {greet: 1}
"""

_MODULE = '''\
"""
The stages of <file>: functions that get a job and return jobs. What stands behind the `*` is set under `with`.
"""

from collections.abc import Iterator

from oaflow import Job, stage


@stage
def name(job: Job, *, names: list[str]) -> Iterator[Job]:
    """
    A job for everybody who is named.
    """
    for one in names:
        yield job.model_copy(update={"payload": {"context": {**job.context, "name": one}}})


@stage
def greet(job: Job) -> None:
    """
    Says hello. What is printed is shown by `oaflow logs`.
    """
    print("hello", job.context["name"])
'''

_TEST = '''\
"""
The functions are plain functions, and tested as such: `pytest <test>`.
"""

from <module> import greet, name

from oaflow import Job


def a_job(**context: object) -> Job:
    return Job(queue="any", task="any", payload={"context": context})


def test_everybody_who_is_named_gets_a_job():
    jobs = list(name(a_job(), names=["Anna", "Boris"]))

    assert [job.context["name"] for job in jobs] == ["Anna", "Boris"]


def test_who_is_greeted_is_named(capsys):
    greet(a_job(name="Anna"))

    assert capsys.readouterr().out == "hello Anna\\n"
'''


def begin(typed: str) -> list[Path]:
    """
    Write a pipeline file, a module with its stages, and a test of that module.

    Args:
        typed: the name of the pipeline, optionally with a folder before it.

    Returns:
        The three files.

    Raises:
        UsageError: it is not a valid name for a pipeline, or a file already exists. Then nothing is written.
    """
    path = Path(typed.removesuffix(".yml").removesuffix(".yaml"))
    name, folder = path.name, path.parent
    if not NAME.fullmatch(name) or len(name) > NAME_LENGTH:
        raise UsageError(f"{name!r} is not a valid name for a pipeline: {_RULE}", help=_suggested(folder, name))
    if not folder.is_dir():
        raise UsageError(f"there is no folder {str(folder)!r}", help=f"mkdir -p {shlex.quote(str(folder))}")
    plain = name.replace("-", "_")
    # Not the name of the pipeline: `email` and `queue` are modules that others need.
    module, test = f"{plain}_stages", f"test_{plain}.py"
    texts = {
        folder / f"{name}.yml": _PIPELINE,
        folder / f"{module}.py": _MODULE,
        folder / test: _TEST,
    }
    for file in texts:
        if file.exists():
            raise UsageError(f"{str(file)!r} already exists", help="choose another name, or move it away")
    filled = {"<name>": name, "<module>": module, "<file>": f"{name}.yml", "<test>": test}
    for file, text in texts.items():
        for mark, value in filled.items():
            text = text.replace(mark, value)
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise EnvironmentProblem(f"{str(file)!r} cannot be written: {error.strerror}") from error
    return list(texts)


_RULE = f"a lower-case letter, then lower-case letters, digits, '_' and '-'; at most {NAME_LENGTH} characters"


def _suggested(folder: Path, name: str) -> str | None:
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    mended = "-".join("".join(letter if letter.isalnum() or letter == "_" else " " for letter in plain).split())
    return (
        f"oaflow new {shlex.quote(str(folder / mended))}"
        if NAME.fullmatch(mended) and len(mended) <= NAME_LENGTH
        else None
    )
