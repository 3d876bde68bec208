"""
What came of the tests of pipelines, in a terminal and as JUnit's XML: what `oaflow test` shows.
"""

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from rich.text import Text

from oaflow.cli.output import clean, count, remark, say_hanging, screen
from oaflow.errors import EnvironmentProblem
from oaflow.operations.trying import EdgeName, Trial


def print_trial(trial: Trial) -> None:
    """
    Each test of a pipeline, and the ways that none took: those at which nothing is decided together.
    """
    console = screen()
    console.print(Text(clean(trial.pipeline), "bold"))
    for one in trial.tried:
        mark = Text("✓", "green") if one.passed else Text("✗", "red")
        console.print(Text.assemble("  ", mark, f" {clean(one.name)}"))
        for line in one.differences:
            say_hanging(Text(clean(line)), 6, 8)
    if not trial.tried:
        console.print("  [dim]no tests[/]")
        return
    for edge in trial.untaken:
        if edge in trial.decided:
            console.print(Text(f"  no test goes from {_edge_text(edge, trial)}", "dim"))
    plain = [_edge_text(edge, trial) for edge in trial.untaken if edge not in trial.decided]
    if plain:
        say_hanging(Text(f"no test goes from {', nor from '.join(plain)}: no condition is decided there", "dim"), 2, 4)


def _edge_text(edge: EdgeName, trial: Trial) -> str:
    of_port = f", port {edge.port}" if edge.port != "default" else ""
    # Its condition is named where another edge of the port leads to the same stage.
    alike = sum(one[:3] == edge[:3] for one in trial.edges) > 1
    condition = f" ({edge.condition})" if alike else ""
    return clean(f"{edge.stage}{of_port} to {edge.to}{condition}")


def print_totals(trials: Sequence[Trial]) -> None:
    """
    How many of all tests went as expected.
    """
    tried = [one for trial in trials for one in trial.tried]
    failed = sum(not one.passed for one in tried)
    if not tried:
        remark("there are no tests: write `tests: [{at: STAGE, job: {...}, expect: {STAGE: 1}}]`", "yellow")
    elif failed:
        remark(f"{count(failed, 'test')} of {len(tried):,} not as expected", "red")
    else:
        remark(f"{count(len(tried), 'test')} as expected", "green")


def write_junit(path: Path, trials: Iterable[Trial]) -> None:
    """
    The tests as a report that build servers read; what they cover stands in properties of the suite. A test that could
    not be tried is an error, one that goes elsewhere a failure. Ant's schema wants a number, a package, outputs, and a
    time without a zone; that of Jenkins takes milliseconds only.

    Raises:
        EnvironmentProblem: the file cannot be written.
    """
    suites = ElementTree.Element("testsuites")
    for number, trial in enumerate(trials):
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            id=str(number),
            package="",
            name=clean(trial.pipeline),
            tests=str(len(trial.tried)),
            failures=str(sum(not one.passed and one.problem is None for one in trial.tried)),
            errors=str(sum(one.problem is not None for one in trial.tried)),
            skipped="0",
            time=f"{sum(one.seconds for one in trial.tried):.3f}",
            timestamp=trial.began.strftime("%Y-%m-%dT%H:%M:%S"),
            hostname=clean(platform.node()),
        )
        covered = [("edges", str(len(trial.edges))), *(("untaken", _edge_text(edge, trial)) for edge in trial.untaken)]
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in covered:
            ElementTree.SubElement(properties, "property", name=name, value=value)
        for one in trial.tried:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=clean(trial.pipeline),
                name=clean(one.name),
                time=f"{one.seconds:.3f}",
            )
            if not one.passed:
                kind, sort = ("failure", "unexpected") if one.problem is None else ("error", "not tried")
                lines = [clean(line) for line in one.differences]
                # Jenkins shows the message and then the text, GitLab the text alone.
                told = ElementTree.SubElement(case, kind, type=sort, message=lines[0])
                told.text = "\n".join(lines)
        for output in ("system-out", "system-err"):
            ElementTree.SubElement(suite, output)
    try:
        ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise EnvironmentProblem(f"{str(path)!r} cannot be written: {error.strerror}") from error
