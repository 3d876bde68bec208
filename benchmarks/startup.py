"""
How long commands take that people type often, from the start of the process to its end.
"""

import subprocess
import time
from functools import partial
from tempfile import TemporaryDirectory

from benchmarks.ground import ROOT, command
from benchmarks.harness import Figure, Report, Size, Target, interleaved

TIMES: dict[Size, int] = {"tiny": 1, "small": 5, "full": 20}

COMMANDS = {
    "oaflow --help": (("--help",), 0.25),
    "oaflow check pipelines/ingest.yml --no-import": (("check", "pipelines/ingest.yml", "--no-import"), 0.4),
}


def measure(size: Size, rounds: int) -> Report:
    """
    Seconds of each command; as many times in turn as the size says, whatever the rounds.
    """
    with TemporaryDirectory(prefix="oaflow-bench-") as home:
        variants = {name: partial(seconds_of, home, arguments) for name, (arguments, _) in COMMANDS.items()}
        interleaved(variants, 1)  # reads the files into memory
        found = interleaved(variants, TIMES[size] * rounds)
    figures = (Figure(name, "s", tuple(found[name]), Target("at most", most)) for name, (_, most) in COMMANDS.items())
    return Report("startup", "start of a command to its end", tuple(figures))


def seconds_of(home: str, arguments: tuple[str, ...]) -> float:
    """
    Seconds of one command, from the start of its process to its end.
    """
    began = time.perf_counter()
    subprocess.run(
        command(*arguments), cwd=ROOT, env={"PATH": "/usr/bin:/bin", "HOME": home}, capture_output=True, check=True
    )
    return time.perf_counter() - began
