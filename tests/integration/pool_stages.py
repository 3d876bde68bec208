"""
Stages that do what stages do on bad days, for the tests of the pool. Imported by its executors.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oaflow.errors import Reject
from oaflow.jobs import Bindings, DatasetJob
from oaflow.model import STAGE_ATTRIBUTE, Out, StageOptions

Text = dict[str, Any]


def stage(function: Any) -> Any:
    setattr(function, STAGE_ATTRIBUTE, StageOptions())
    return function


def for_job(settings_json: str, plan: Any, stage: str, dataset: str | None, temp: Path) -> Bindings:
    return Bindings(entities=Nothing(), files=Nothing(), queue=Nothing(), temp=temp)  # type: ignore[arg-type]


class Nothing:
    """
    A store, an archive or a queue that no test here reaches for.
    """


@stage
def act(job: DatasetJob) -> Any:
    """
    Do what the job's context says.
    """
    return ACTS[job.context["act"]](job)


def fine(job: DatasetJob) -> DatasetJob:
    return job.with_entities([])


def segfault(job: DatasetJob) -> None:
    ctypes.string_at(0)


def leave(job: DatasetJob) -> None:
    os._exit(3)


def sys_exit(job: DatasetJob) -> None:
    sys.exit(4)


def loop(job: DatasetJob) -> None:
    while True:
        pass


def sleep(job: DatasetJob) -> None:
    time.sleep(job.context.get("seconds", 60))


def wait(job: DatasetJob) -> None:
    while not Path(job.context["on"]).exists():
        time.sleep(0.01)


def hog(job: DatasetJob) -> None:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20)) * 16)


EATS = (
    "import os, time; held = [os.urandom(1 << 20) * 16 for _ in range(25)]; print('full', flush=True); time.sleep(60)"
)


def hog_elsewhere(job: DatasetJob) -> None:
    # As soffice does: the program that is started starts another.
    command = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {EATS!r}])"
    subprocess.run([sys.executable, "-c", command], check=True)


def hog_left_behind(job: DatasetJob) -> DatasetJob:
    program = subprocess.Popen([sys.executable, "-c", EATS], stdout=subprocess.PIPE)
    assert program.stdout is not None
    program.stdout.readline()
    return job.with_entities([])


def forks(job: DatasetJob) -> DatasetJob:
    held = os.urandom(1 << 20) * 100
    children = []
    for _ in range(8):
        if not (child := os.fork()):
            time.sleep(60)
            os._exit(len(held) and 1)
        children.append(child)
    time.sleep(1)  # several looks
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return job.with_entities([])


def shout(job: DatasetJob) -> DatasetJob:
    line = "x" * 99
    for _ in range(100_000):
        print(line)
    os.write(1, b"bare\n")
    print("to stderr", file=sys.stderr)
    print("no end of line", end="")
    return job.with_entities([])


def litter(job: DatasetJob) -> DatasetJob:
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"x")
    Path(file.name).with_name("folder").mkdir()
    return job.with_entities([], where=str(Path(file.name).parent))


def litter_and_die(job: DatasetJob) -> None:
    litter(job)
    leave(job)


def start_another(job: DatasetJob) -> None:
    child = subprocess.Popen(["sleep", "60"])
    print("child", child.pid)
    segfault(job)


def silence(job: DatasetJob) -> DatasetJob:
    sys.stdout.close()
    sys.stderr = None  # type: ignore[assignment]
    os.set_blocking(2, False)
    return job.with_entities([])


def reject(job: DatasetJob) -> None:
    raise Reject("not worth it")


ACTS = {
    function.__name__: function
    for function in (
        *(fine, segfault, leave, sys_exit, loop, sleep, shout, litter, litter_and_die, reject, silence, start_another),
        *(wait, hog, hog_elsewhere, hog_left_behind, forks),
    )
}


@stage
def stream(job: DatasetJob) -> Iterator[DatasetJob | Out]:
    """
    `count` jobs, with a rest before number `rest`: for some seconds, or until there is a file `on`.
    """
    for number in range(job.context["count"]):
        if number == job.context.get("rest"):
            time.sleep(job.context.get("seconds", 0.0 if "on" in job.context else 3.0))
            while "on" in job.context and not Path(job.context["on"]).exists():
                time.sleep(0.01)
        yield job.with_entities([], number=number)


@stage
async def in_the_loop(job: DatasetJob) -> None:
    await asyncio.sleep(0)


def undecorated(job: DatasetJob) -> None: ...


def kill_self(number: int) -> None:
    os.kill(os.getpid(), number)
    signal.pause()
