"""
How long `oaflow check --no-import` takes for many pipelines, and for one of many stages.
"""

import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.ground import ROOT
from benchmarks.harness import Figure, Report, Size, Target, interleaved
from benchmarks.startup import seconds_of

TIMES: dict[Size, int] = {"tiny": 1, "small": 2, "full": 5}
SMALLER: dict[Size, int] = {"tiny": 20, "small": 1, "full": 1}

PIPELINES, STAGES = 1000, 5000


def measure(size: Size, rounds: int) -> Report:
    """
    Seconds of each command, from its start to its end.
    """
    with TemporaryDirectory(prefix="oaflow-bench-") as folder:
        many = [Path(folder, f"p{number}.yml") for number in range(PIPELINES // SMALLER[size])]
        for path in many:
            shutil.copy(ROOT / "pipelines" / "ingest.yml", path)
        own = [Path(folder, f"own{number}.yml") for number in range(len(many))]
        for number, path in enumerate(own):
            path.write_text(with_a_condition(many[0].read_text(), number))
        large = Path(folder, "large.yml")
        large.write_text(chain_of(STAGES // SMALLER[size]))
        variants = {
            f"{len(many):,} pipelines": partial(seconds_of, folder, ("check", "--no-import", *map(str, many))),
            f"{len(own):,} pipelines, each with a condition": partial(
                seconds_of, folder, ("check", "--no-import", *map(str, own))
            ),
            f"{STAGES // SMALLER[size]:,} stages": partial(seconds_of, folder, ("check", "--no-import", str(large))),
        }
        found = interleaved(variants, TIMES[size] * rounds)
    figures = (Figure(name, "s", tuple(found[name]), Target("at most", 2.0)) for name in variants)
    return Report("checking", "check without a look at the functions", tuple(figures))


def with_a_condition(ingest: str, number: int) -> str:
    """
    `ingest` with an expression that no other pipeline has.
    """
    where = f'others(e.detectedLanguage, "eng") or has(e.name, "{number}")'
    before, plain, after = ingest.partition("    next: index\n")
    assert plain
    return f"{before}    next: {{to: index, where: '{where}'}}\n{after}"


def chain_of(length: int) -> str:
    """
    A pipeline of so many stages in a row, with conditions, recursion and `on_error` among them.
    """
    lines = ["pipeline: large", "params: {language: {default: eng}}", "stages:", "  mend: {task: m.mend}"]
    for number in range(length):
        after = f"s{number + 1}"
        match number % 7:
            case _ if number == length - 1:
                ways = "{to: mend}"
            case 3:
                ways = f"{{default: {after}, children: {{to: s{number}, recurse: 4}}}}"
            case 5 if number + 2 < length:
                where = '"others(e.detectedLanguage, params.language)"'
                ways = f"[{{to: {after}, where: {where}}}, {{to: s{number + 2}, else: true}}]"
            case _:
                ways = after
        lines.append(f"  s{number}: {{task: m.s{number}, timeout: 10m, on_error: mend, with: {{a: 1}}, next: {ways}}}")
    return "\n".join(lines) + "\n"
