"""
`python -m benchmarks [NAME ...] [--size small|full] [--rounds N] [--results FOLDER] [--write]`.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from benchmarks.harness import Report, markdown, table

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"

NAMES = (
    *("startup", "checking", "chain", "field", "distance", "latency", "fanout", "backlog", "claims", "fairness"),
    *("limits", "estimates", "idle", "pages", "history", "telemetry", "expressions", "cores", "crashes", "ingest"),
    *("again", "disk", "memory", "kills", "demo"),
)


def main(argv: Sequence[str]) -> int:
    """
    Measure, print, write; 1 where a target was missed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all, where none is given")
    parser.add_argument("--size", choices=("tiny", "small", "full"), default="small")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(ROOT)}")
    given = parser.parse_args(argv)
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"there is no benchmark {sorted(unknown)[0]!r}; there are: {', '.join(NAMES)}")
    # As users have it, and as `make bench` does: modules are compiled once, and not by each process that is measured.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    missed = False
    for name in given.names or NAMES:
        report = import_module(f"benchmarks.{name}").measure(given.size, given.rounds)
        print(table(report), end="\n\n", flush=True)
        keep(report, given.size, given.results)
        if given.write:
            PAGE.write_text(with_table(PAGE.read_text("utf-8"), report, given.size, f"{datetime.now(UTC):%Y-%m-%d}"))
        missed |= any(figure.met is False for figure in report.figures)
    return int(missed)


def with_table(page: str, report: Report, size: str, day: str) -> str:
    """
    A page on which the table of a benchmark is that of this report: in the place of its last one, or at the end.
    """
    begins, ends = f"<!-- {report.name} -->", f"<!-- end of {report.name} -->"
    load = os.getloadavg()[2]
    how = f"Of {day}, `SIZE={size}`, on {os.cpu_count()} cores of {_system()}, Python {platform.python_version()}"
    lines = [f"{begins}\n### `{report.name}`: {report.title}", f"{how}; load of the last 15 minutes {load:.1f}."]
    table = "\n\n".join([*lines, markdown(report).rstrip(), ends])
    before, found, rest = page.partition(begins)
    _, _, after = rest.partition(ends)
    return f"{before}{table}{after}" if found else f"{page.rstrip()}\n\n{table}\n"


def keep(report: Report, size: str, folder: Path) -> None:
    """
    Write a report as JSON, and as a table for the docs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "size": size,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": _system(),
        "python": platform.python_version(),
    }
    whole = {**report.as_json(), "about": about}
    (folder / f"{report.name}-{size}.json").write_text(json.dumps(whole, indent=1, default=str) + "\n")
    (folder / f"{report.name}-{size}.md").write_text(markdown(report) + "\n")


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.platform()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
