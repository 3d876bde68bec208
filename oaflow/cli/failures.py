"""
What failed in a run, by cause, in a terminal: what `oaflow failures` shows.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from rich.text import Text

from oaflow.cli.output import clean, escape, remark, say_hanging, screen, shortened, typable
from oaflow.cli.summary import cluster_line
from oaflow.ledger.failures import Cluster, Failure
from oaflow.ledger.runs import Run
from oaflow.operations.afresh import once_more

# Of what a crashed process printed last, and of a traceback, so many lines.
_PRINTED = 6
_TRACED = 8

# Letters of a line.
_LONGEST = 100


def print_clusters(run: Run, jobs: Iterable[Failure], clusters: Sequence[Cluster], services: Collection[str]) -> None:
    """
    Each cause with when it was met, the documents that met it, the first traceback, and what sends just these again.

    Args:
        services: the stages that live in services, whose jobs cannot be run here.
    """
    first = _first_of_each(jobs, len(clusters))
    stages = Counter(cluster.fingerprint for cluster in clusters)
    for number, cluster in enumerate(clusters):
        if number:
            screen().print()
        say_hanging(cluster_line(cluster))
        _print_cluster(cluster, first.get((cluster.stage, cluster.fingerprint)))
        if cluster.unwired and len(clusters) > 1:
            say_hanging(Text.assemble(("anew: ", "cyan"), typable(clean(once_more(run)))), 2, 6)
        elif run.state != "cancelled" and cluster.again and len(clusters) > 1:
            stage = f" --stage {cluster.stage}" if stages[cluster.fingerprint] > 1 else ""
            line = Text.assemble(
                ("again: ", "cyan"), typable(f"oaflow retry {run.id} --cause {clean(cluster.fingerprint)}{stage}")
            )
            say_hanging(line, 2, 6)
    if unwired := [cluster for cluster in clusters if cluster.unwired]:
        # Of several causes each has its own line. One that sends all again would send these, too.
        if len(unwired) == len(clusters):
            remark(f"start again, once the pipeline is fixed: {typable(clean(once_more(run)))}")
    elif run.state != "cancelled" and any(cluster.again for cluster in clusters):
        all = "all of them" if len(clusters) > 1 else "them"
        remark(f"send {all} again: {typable(f'oaflow retry {run.id}')}")
    local = (cluster.jobs[0] for cluster in clusters if cluster.again and cluster.stage not in services)
    if (one := next(local, None)) is not None:
        remark(f"look at one of them: {typable(f'oaflow retry {one} --here')}")


def _first_of_each(jobs: Iterable[Failure], causes: int) -> dict[tuple[str, str], Failure]:
    """
    The first job of each cause; no more are read than it takes to find them.
    """
    first: dict[tuple[str, str], Failure] = {}
    for job in jobs:
        first.setdefault((job.stage, job.fingerprint), job)
        if len(first) >= causes:
            break
    return first


def _print_cluster(cluster: Cluster, first: Failure | None) -> None:
    console = screen()
    facts = [f"cause {clean(cluster.fingerprint)}", _when(cluster.first, cluster.last)]
    if cluster.place:
        facts.append(f"in {shortened(cluster.place, _LONGEST)}")
    say_hanging(Text(", ".join(facts), "dim"), 2, 6)
    for name in cluster.names:
        console.print(f"  {escape(shortened(name, _LONGEST))}")
    if cluster.count > len(cluster.names) and cluster.names:
        console.print(f"  [dim]and {cluster.count - len(cluster.names):,} more[/]")
    if first is None:
        return
    if first.traceback:
        for line in excerpt(first.traceback, cluster.place):
            console.print(f"  [dim]│ {escape(line)}[/]")
    detail = first.detail or {}
    if detail.get("help"):
        console.print(f"  [cyan]help:[/] {escape(typable(detail['help']))}")
    tail = detail.get("log") or []
    for line in (tail if isinstance(tail, list) else str(tail).splitlines())[-_PRINTED:]:
        console.print(f"  [dim]printed: {escape(shortened(line, _LONGEST))}[/]")


def excerpt(traceback: str, place: str | None) -> list[str]:
    """
    The end of a traceback, and before it the line of the author's code that led there, where libraries that it called
    would push it out. Pure.

    Args:
        traceback: as Python prints it.
        place: `module:function`, the innermost that the author of the stage wrote.
    """
    lines = traceback.rstrip().splitlines()
    module, _, function = (place or "").partition(":")
    stem, name = module.rpartition(".")[2], function.rpartition(".")[2]
    own = rf'  File ".*\b{re.escape(stem)}(/__init__)?\.py", line \d+, in {re.escape(name)}'
    at = max((number for number, line in enumerate(lines) if name and re.fullmatch(own, line)), default=len(lines))
    if at >= len(lines) - _TRACED:
        return lines[-_TRACED:]
    source = [line for line in lines[at + 1 : at + 2] if not line.startswith("  File ")]
    head = [lines[at], *source, "  ..."]
    return [*head, *lines[len(head) - _TRACED :]]


def _when(first: datetime, last: datetime) -> str:
    one, other = first.astimezone(), last.astimezone()
    if one.date() != other.date():
        return f"from {one:%Y-%m-%d %H:%M} to {other:%Y-%m-%d %H:%M}"
    if f"{one:%H:%M:%S}" == f"{other:%H:%M:%S}":
        return f"at {one:%Y-%m-%d %H:%M:%S}"
    return f"on {one:%Y-%m-%d} from {one:%H:%M:%S} to {other:%H:%M:%S}"
