"""
Stages that do what stages should not do, and some that behave.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from oaflow import DatasetJob, Out, Reject, stage


@stage(emit="stream")
def source(job: DatasetJob, *, count: int = 5, named: list[str] | None = None) -> Iterator[DatasetJob]:
    """Name so many documents."""
    for number, name in enumerate(named or [f"file{number}.txt" for number in range(count)]):
        job.found(f"doc-{number}", name)
        yield job.with_entities(
            [{"id": f"doc-{number}", "schema": "Document", "properties": {"fileName": [f"file{number}.txt"]}}]
        )


@stage
def work(job: DatasetJob, *, seconds: float = 0.0, log: str | None = None, begun: str | None = None) -> DatasetJob:
    """Take some time, and note that it was done; with `begun`, another file tells when it was begun."""
    if begun is not None:
        with open(begun, "a"):
            pass
    time.sleep(seconds)
    if log is not None:
        with open(log, "a") as lines:
            lines.write(f"{job.documents[0]}\n")
    return job


@stage
def waits(job: DatasetJob, *, file: str) -> DatasetJob:
    """Wait until there is such a file."""
    while not os.path.exists(file):
        time.sleep(0.02)
    return job


@stage(ports=("default", "other"))
def ports(job: DatasetJob) -> Out:
    """Emit on a port of its own."""
    return Out("other", job)


@stage
def end(job: DatasetJob) -> None:
    """Return nothing."""


@stage(retry=0)
def fails(job: DatasetJob, *, on: list[str] | None = None) -> DatasetJob:
    """Raise, for some documents or for all."""
    if on is None or job.documents[0] in on:
        raise ValueError(f"cannot read [bold]{job.documents[0]}\x1b[31m")
    return job


@stage(retry=0)
def fails_named(job: DatasetJob, *, file: str) -> DatasetJob:
    """Raise for a file of that name, and say its text."""
    for entity in job.load_entities():
        if entity.first("fileName") == file:
            raise ValueError(f"cannot read {entity.get('bodyText')}")
    return job


@stage(retry=0)
def cannot_read(job: DatasetJob, *, reason: str) -> DatasetJob:
    """Of the first document say that it is unreadable, and fail at the second."""
    (document,) = job.documents
    if document == "doc-0":
        job.unreadable(document, "file0.txt", reason)
    if document == "doc-1":
        raise ValueError(reason)
    return job


@stage(retry=0)
def fails_once(job: DatasetJob, *, marker: str) -> DatasetJob:
    """Raise the first time, for every document."""
    path = f"{marker}-{job.documents[0]}"
    if not os.path.exists(path):
        with open(path, "w"):
            pass
        raise ValueError("not yet")
    return job


@stage
def rejects(job: DatasetJob) -> DatasetJob | None:
    """Refuse for good."""
    raise Reject("this will never work")


@stage(retry=0)
def returns_a_number(job: DatasetJob) -> Any:
    """Return what is no job."""
    return 42


@stage(retry=0)
def yields_then_raises(job: DatasetJob) -> Iterator[DatasetJob]:
    """Yield, and then raise: nothing of it may be handed over."""
    yield job
    raise RuntimeError("half-way")


@stage(retry=0, emit="always")
def always_yields_then_raises(job: DatasetJob) -> Iterator[DatasetJob]:
    """Yield, and then raise: what was yielded is handed over."""
    yield job
    raise RuntimeError("half-way")


@stage(retry=0)
def returns_too_many(job: DatasetJob) -> list[DatasetJob]:
    """Return one job more than a hand-over takes."""
    return [job.with_entities([])] * 10_001


@stage(retry=0, timeout="1s")
def never_returns(job: DatasetJob) -> DatasetJob | None:
    """Loop for ever."""
    while True:
        pass


@stage
def sleeps(job: DatasetJob) -> DatasetJob | None:
    """Take an hour."""
    time.sleep(3600)
    return job


@stage(retry=0)
def exits(job: DatasetJob) -> DatasetJob | None:
    """End the process."""
    if job.documents:
        os._exit(7)
    return job


@stage(retry=0)
def crashes(job: DatasetJob, *, on: list[str] | None = None) -> DatasetJob:
    """Crash, for some documents or for all."""
    if on is None or job.documents[0] in on:
        os.kill(os.getpid(), signal.SIGSEGV)
    return job


@stage
def prints(job: DatasetJob, *, lines: int = 20_000) -> DatasetJob:
    """Print a lot, to both."""
    for number in range(lines):
        print(f"line {number} of [bold]{job.documents[0]}")
    os.write(2, b"\x1b[31mto stderr\n")
    return job


@stage
def together(job: DatasetJob, *, count: int = 10) -> DatasetJob:
    """Name so many documents, all in one job."""
    documents = []
    for number in range(count):
        job.found(f"doc-{number}", f"file{number}.txt")
        documents.append({"id": f"doc-{number}", "schema": "Document"})
    return job.with_entities(documents)


@stage
def notes(job: DatasetJob, *, log: str) -> DatasetJob:
    """Write down what arrived, when it was begun and when it was done."""
    began = time.time()
    line = {"documents": job.documents, "context": {k: v for k, v in job.context.items() if k != "oaflow"}}
    with open(log, "a") as lines:
        lines.write(json.dumps(line | {"began": began, "ended": time.time()}) + "\n")
    return job


@stage(retry={"max": 1, "base": "3s", "backoff": "exponential"})
def fails_first(job: DatasetJob, *, log: str, file: str = "file1.txt") -> DatasetJob:
    """Fail at the first attempt at one document; that is tried again after three seconds."""
    (document,) = job.documents
    marker = f"{log}-{document}"
    named = any(file in entity.get("fileName", quiet=True) for entity in job.get_entities())
    if named and not os.path.exists(marker):
        open(marker, "w").close()
        raise ValueError("not yet")
    with open(log, "a") as lines:
        lines.write(json.dumps({"documents": job.documents, "ended": time.time()}) + "\n")
    return job


@stage(ports=("default", "inner"))
def unpacks(job: DatasetJob, *, depth: int = 3) -> Iterator[DatasetJob | Out]:
    """Hand on what arrives, and once more as something inside it, so deep."""
    (document,) = job.documents
    if document.count("/") < depth:
        inner = f"{document}/in"
        job.found(inner, inner)
        yield Out("inner", job.with_entities([{"id": inner, "schema": "Document"}]))
    yield job


def undecorated(job: DatasetJob) -> None:
    """Not a stage."""


@stage
def keeps(job: DatasetJob) -> None:
    """Write what came."""
    with job.get_writer() as writer:
        for entity in job.get_entities():
            writer.add(entity)


@stage
def loads(job: DatasetJob, *, out: str) -> None:
    """Say what the store has of the entities that came."""
    with open(out, "a") as lines:
        for entity in job.load_entities():
            lines.write(f"{entity.id} {' '.join(entity.get('bodyText', quiet=True))[:40]}\n")


@stage
def takes_away(job: DatasetJob, *, folder: str) -> DatasetJob:
    """Delete the source: whoever comes later finds nothing there."""
    shutil.rmtree(folder, ignore_errors=True)
    return job


@stage
def writes(job: DatasetJob, *, out: str, text: str) -> None:
    """Append a line to a file."""
    with open(out, "a") as lines:
        lines.write(f"{text}\n")


@stage
def sees(job: DatasetJob, *, out: str) -> DatasetJob:
    """Note what of its entities the job itself carries."""
    with open(out, "a") as lines:
        for entity in job.entities:
            lines.write(f"{entity['id']} {','.join(entity['properties'])}\n")
    return job


@stage
def strays(job: DatasetJob) -> DatasetJob:
    """Name another queue each time, where in a pipeline the plan decides."""
    return job.model_copy(update={"queue": f"for-{job.documents[0]}", "task": "others.task"})


@stage(retry=0)
def speaks(job: DatasetJob, *, marker: str) -> DatasetJob:
    """Say what it does; fail the first time."""
    path = f"{marker}-{job.documents[0]}"
    tried = os.path.exists(path)
    print(f"{'again' if tried else 'first'} {job.documents[0]}")
    if not tried:
        with open(path, "w"):
            raise ValueError("not yet")
    return job


@stage
def marked(job: DatasetJob, *, ways: int = 2) -> DatasetJob:
    """Give what arrives a context, one of so many."""
    (document,) = job.documents
    context = {"way": int(document.rpartition("-")[2]) % ways}
    return job.model_copy(update={"payload": {**job.payload, "context": {**job.context, **context}}})


@stage
def spoils(
    job: DatasetJob, *, log: str, raises: list[str] | None = None, crashes: list[str] | None = None
) -> DatasetJob:
    """Note what arrives, and raise or crash where one of certain documents is in it."""
    with open(log, "a") as lines:
        lines.write(json.dumps({"documents": job.documents}) + "\n")
    if not set(job.documents).isdisjoint(crashes or []):
        os.kill(os.getpid(), signal.SIGSEGV)
    if not set(job.documents).isdisjoint(raises or []):
        raise ValueError("one of them is bad")
    return job


@stage
def mixes(job: DatasetJob, *, long: bool = False) -> DatasetJob:
    """Three documents and a person in one job; with `long`, one of them is too long to travel whole."""
    languages = {"doc-0": ["rus"], "doc-1": ["eng"], "doc-2": []}
    entities = [
        {
            "id": name,
            "schema": "Email" if name == "doc-2" else "Document",
            "properties": {
                "detectedLanguage": found,
                "bodyText": [f"costs 12 EUR {name}" if found == ["eng"] else f"free {name}"],
                "keywords": [f"{name} {number}" for number in range(3_000 if long else 1)],
            },
        }
        for name, found in languages.items()
    ]
    for name in languages:
        job.found(name, f"{name}.txt")
    return job.with_entities([*entities, {"id": "somebody", "schema": "Person", "properties": {"name": ["Ada"]}}])


@stage
def lasts(job: DatasetJob, *, log: str, seconds: float, fails_on: str | None = None) -> DatasetJob:
    """Take some time, and note from when to when; raise where a certain document is in it."""
    began = time.time()
    time.sleep(seconds)
    if fails_on in job.documents:
        raise ValueError("one of them is bad")
    context = {key: value for key, value in job.context.items() if key != "oaflow"}
    stage = job.context["oaflow"]["stage"]
    noted = {"stage": stage, "documents": job.documents, "context": context, "began": began, "ended": time.time()}
    with open(log, "a") as lines:
        lines.write(json.dumps(noted) + "\n")
    return job


@stage(retry=0)
def learns(job: DatasetJob, *, marker: str) -> DatasetJob:
    """Write what it knows of a file, and raise; the next time it knows something else."""
    tried = os.path.exists(marker)
    (document,) = job.documents
    name = "Ada" if tried else "Boris"
    with job.get_writer() as writer:
        writer.add({"id": document, "schema": "Document", "properties": {"summary": [f"about {name}"]}})
        writer.add({"id": f"person-{name}", "schema": "Person", "properties": {"name": [name]}})
    for reference in job.get_file_references():
        with reference.open() as handle:
            print("it says", handle.read().decode())
    if not tried:
        with open(marker, "w"):
            raise ValueError("not yet")
    return job


@stage(emit="stream", retry=0)
async def pours_second(job: DatasetJob, *, marker: str, count: int) -> AsyncIterator[DatasetJob]:
    """Raise at the first attempt; at the next, yield so many jobs."""
    if not os.path.exists(marker):
        with open(marker, "w"):
            raise ValueError("not yet")
    for number in range(count):
        yield job.with_entities([], number=number)
