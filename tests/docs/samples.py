"""
The samples of a page of documentation: taken out of it, run in order as a reader would type them, and compared with
what the page shows.

A fenced block is one of these:

    console                 lines with `$ ` are typed into a shell; what follows is what they print, `...` is anything
    console exit="1"        the same, where the last command ends with 1
    LANGUAGE title="NAME"   a file of that name
    python                  a script
    yaml                    a pipeline without mistakes
    text                    a figure: shows something, and is no sample
    LANGUAGE skip="WHY"     not run, for this reason

Lines that begin with `$ ` stand in `console` blocks only, so that none goes untested by oversight.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from oaflow.compiler import check_data
from oaflow.loader import load_text

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>\S[^\n]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_RUN = re.compile(r"\brun ([a-z][a-z0-9_-]*-[a-z2-7]{6})\b")
_DURATION = re.compile(r"\b(\d+ h )?(\d+ min )?\d+(\.\d+)? (ms|s|min|h)\b")

# A hang guard; what a page asks for takes seconds.
_SECONDS = 120


@dataclass(frozen=True)
class Block:
    """
    One fenced block.
    """

    language: str
    options: Mapping[str, str]
    body: str
    line: int


@dataclass(frozen=True)
class Typed:
    """
    A command of a console block, with the lines that the page shows below it.
    """

    command: str
    shown: tuple[str, ...]


def blocks(text: str) -> Iterator[Block]:
    """
    The fenced blocks of a page, in order.
    """
    for match in _FENCE.finditer(text):
        language, *rest = shlex.split(match["info"])
        options = dict(option.partition("=")[::2] for option in rest)
        indent = len(match["indent"])
        body = "".join(line[indent:] if line.strip() else line for line in match["body"].splitlines(keepends=True))
        yield Block(language, options, body, text.count("\n", 0, match.start()) + 1)


def typed(body: str) -> Iterator[Typed]:
    """
    The commands of a console block. A line that ends with a backslash goes on in the next.
    """
    command, shown, open_ = "", [], False
    for line in body.splitlines():
        if open_:
            command += "\n" + line
        elif line.startswith("$ "):
            if command:
                yield Typed(command, tuple(shown))
            command, shown = line[2:], []
        else:
            shown.append(line)
            continue
        open_ = line.endswith("\\")
    if command:
        yield Typed(command, tuple(shown))


def agrees(shown: tuple[str, ...], printed: str) -> bool:
    """
    Whether a command printed what the page shows: `...` stands for anything, in a line or for whole lines; widths of
    spaces, durations and ids of runs are not compared.
    """
    pattern = ""
    for line in _levelled("\n".join(shown)).splitlines():
        inside = re.escape(line).replace(re.escape("..."), r"[\s\S]*?")
        pattern += r"(?:[^\n]*\n)*?" if line == "..." else rf"{inside}\n"
    return re.fullmatch(pattern, _levelled(printed) + "\n") is not None


def _levelled(text: str) -> str:
    for run in set(_RUN.findall(text)):
        text = text.replace(run, "RUN")
    text = _DURATION.sub("N s", text)
    lines = (re.sub(r"\s+", " ", re.sub("─+", "─", line)).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _mistakes_of_pipeline(text: str) -> Iterator[str]:
    loaded = load_text(text)
    found = loaded.diagnostics or check_data(loaded.data, loaded.spans).diagnostics
    yield from (f"the pipeline has a mistake: {one.message}" for one in found)


class Page:
    """
    A page whose samples are run in a folder.

    Args:
        text: of the page.
        folder: where its files are written and its commands typed.
        environment: what its commands see.
    """

    def __init__(self, text: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.text, self.folder, self.environment = text, folder, environment
        # Ids of runs on the page, and those that the runs really got.
        self._runs: dict[str, str] = {}

    def mistakes(self) -> Iterator[str]:
        """
        What is not as the page says; the samples behind a mistake are not run.
        """
        for block in blocks(self.text):
            found = list(self._mistakes_of(block))
            yield from (f"line {block.line}: {mistake}" for mistake in found)
            if found:
                return

    def _mistakes_of(self, block: Block) -> Iterator[str]:
        if "skip" in block.options:
            if len(block.options["skip"]) < 10:
                yield "skip gives no reason"
        elif "title" in block.options:
            path = self.folder / block.options["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")
        elif block.language == "console":
            yield from self._type(block)
        elif block.language == "python":
            status, printed = self._run([sys.executable, "-c", block.body])
            if status:
                yield f"the script ended with {status}:\n{printed}"
        elif block.language == "yaml":
            yield from _mistakes_of_pipeline(block.body)
        elif block.language != "text":
            yield f"a block of {block.language!r} has no title, and no reason to be skipped"
        elif re.search(r"^\$ ", block.body, re.MULTILINE):
            yield "a command stands in a figure"

    def _type(self, block: Block) -> Iterator[str]:
        commands = list(typed(block.body))
        if not commands:
            yield "a console block without a command"
        for one in commands:
            command = one.command
            for there, here in self._runs.items():
                command = command.replace(there, here)
            status, printed = self._run(["bash", "-c", command])
            for there, here in self._runs.items():
                printed = printed.replace(here, there)
            expected = int(block.options.get("exit", 0)) if one is commands[-1] else 0
            if status != expected:
                yield f"{command!r} ended with {status}, not {expected}:\n{printed}"
                return
            if any(line.strip() for line in one.shown) and not agrees(one.shown, printed):
                shown = "\n".join(one.shown)
                yield f"{command!r} printed:\n{printed}\nand the page shows:\n{shown}"
                return
            self._learn("\n".join(one.shown), printed)

    def _learn(self, shown: str, printed: str) -> None:
        there = [run for run in dict.fromkeys(_RUN.findall(shown)) if run not in self._runs]
        here = [run for run in dict.fromkeys(_RUN.findall(printed)) if run not in self._runs.values()]
        self._runs.update(zip(there, here, strict=False))

    def _run(self, command: list[str], given: str = "") -> tuple[int, str]:
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=dict(self.environment),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return ran.returncode, ran.stdout
