"""
The end of a run, and a run on demand: its stages, its documents, what failed, and what to type next.
"""

from collections.abc import Iterator, Sequence

from rich.text import Text

from oaflow.cli.output import clean, count, escape, say_hanging, screen, shortened, typable
from oaflow.cli.tables import print_table
from oaflow.ledger.failures import Cluster
from oaflow.ledger.receipts import Receipt
from oaflow.ledger.runs import COUNTERS
from oaflow.ledger.unmatched import Unmatched
from oaflow.ledger.workers import Worker
from oaflow.operations.afresh import once_more
from oaflow.operations.estimating import Estimate
from oaflow.operations.states import Account, Details, RunStatus
from oaflow.operations.waits import Wait
from oaflow.quantities import duration

_STYLES = {
    "finished": "bold green",
    "running": "bold cyan",
    "paused": "bold yellow",
    "interrupted": "bold yellow",
    "incomplete": "bold red",
    "cancelled": "bold red",
}

# Failures and unreadable documents that are named; the rest is counted.
_NAMED = 5

# What is longer is cut, in letters: a reason may be all that some parser said.
_LONGEST = 400

_LONGEST_NAME = 150

# Workers with old code that are told one by one.
_MOST_OLD = 5


def print_summary(status: RunStatus, account: Account | None) -> None:
    """
    The summary of a run that has ended, or was interrupted.
    """
    console = screen()
    console.print()
    console.print(headline(status))
    console.print()
    _print_stages(status, account)
    if account is None:
        return
    for line in documents_line(account.receipt):
        console.print()
        console.print(line)
    if status.run.state == "finished" and account.crawls and not account.receipt.found and not account.clusters:
        console.print()
        console.print("[yellow]no documents:[/] there is no file in what was crawled")
    print_again(account.receipt)
    _print_gone(status)
    _print_vanished(status, account)
    _print_unreadable(account)
    _print_clusters(account.clusters)
    print_unmatched(account.unmatched)
    if account.report is not None:
        console.print()
        console.print(f"[bold]report:[/] {escape(str(account.report))}", soft_wrap=True)
    steps = list(next_steps(status, account))
    if steps:
        console.print()
        console.print("[bold]next:[/]")
        for step in steps:
            console.print(f"  [cyan]{escape(typable(step))}[/]")


def headline(status: RunStatus, *, reason: bool = True) -> Text:
    """
    One line: which run, how it stands, and for how long; and one for the reason.
    """
    run = status.run
    ended = run.state in ("finished", "incomplete", "cancelled")
    line = Text.assemble(
        ("run ", "bold"),
        (clean(run.id), "bold"),
        " ",
        (run.state, _STYLES.get(run.state, "bold")),
        f" after {duration(run.seconds)}" if ended else f", begun {duration(run.seconds)} ago",
        (f"  dataset {clean(run.dataset)}", "dim"),
    )
    if run.first is not None:
        line.append(f", the first {run.first:,} only", "yellow")
    if run.round > 1:
        line.append(f", round {run.round}", "dim")
    if run.reason and reason:
        line.append(f"\n{clean(run.reason)}", "yellow")
    return line


def estimate_line(estimate: Estimate, aged: float = 0.0) -> Text:
    """
    How long a run will still take, and what that takes for granted.

    Args:
        aged: seconds since it was made.
    """
    said = time_left(estimate, aged)
    if said is None:
        return Text(f"no estimate yet: {clean(estimate.why)}", "dim")
    line = Text(said, "bold")
    if estimate.assumes:
        line.append(f"; this assumes that {clean(estimate.assumes)}", "not bold dim")
    return line


def time_left(estimate: Estimate, aged: float = 0.0) -> str | None:
    """
    The same without what it takes for granted; None where there is nothing to say.
    """
    if estimate.seconds is None or estimate.low is None or estimate.high is None:
        return None
    left, low, high = (duration(max(seconds - aged, 0)) for seconds in (estimate.seconds, estimate.low, estimate.high))
    return f"about {left} left" + (f" ({low} to {high})" if low != high else "")


def _print_stages(status: RunStatus, account: Account | None = None) -> None:
    """
    Jobs by stage; columns that are empty all the way down are left out, but for the first two.

    Args:
        account: what became of the documents. Where none of them merely ended, that jobs ended is no news: `index`
            returns its job, for pipelines in which something follows it.
    """
    news = account is None or not account.receipt.found or bool(account.receipt.counts.get("ended"))
    shown = [name for name in COUNTERS if name == "done" or (status.total(name) and (name != "ended" or news))]
    columns = [("stage", False), *((name, True) for name in shown)]
    rows: list[list[object]] = []
    for name, stage in status.stages.items():
        cells: list[object] = [Text(clean(name))]
        for counter in shown:
            value = getattr(stage, counter)
            style = "red" if counter in ("failed", "vanished") else "yellow" if counter in ("unmatched",) else ""
            cells.append(Text(f"{value:,}", style) if value else Text("·", "dim"))
        rows.append(cells)
    print_table(columns, rows)


def documents_line(receipt: Receipt) -> Iterator[Text]:
    """
    The account of the documents in a line; nothing where nobody found any.
    """
    if not receipt.found:
        return
    parts: list[str] = []
    for line, number in sorted(receipt.counts.items(), key=lambda item: item[0] != "indexed"):
        if number:
            part = {"indexed": ("unreadable", receipt.unreadable), "dropped": ("cancelled", receipt.cancelled)}.get(
                line
            )
            of_them = f" ({part[1]:,} of them {part[0]})" if part is not None and part[1] else ""
            parts.append(f"{number:,} {line}{of_them}")
    rest = receipt.found - sum(receipt.counts.values())
    if rest:
        parts.append(f"{rest:,} not yet accounted for")
    text = Text(f"{count(receipt.found, 'document')}: {', '.join(parts)}")
    if receipt.balanced:
        text.append("  ✓ balanced", "green")
    yield text


def print_again(receipt: Receipt) -> None:
    """
    Why documents ran again, where an earlier run had done them.
    """
    for why, number in list(receipt.again.items())[:_NAMED]:
        say_hanging(Text(f"{number:,} ran: {shortened(why, _LONGEST)}"), 2, 4)
    if len(receipt.again) > _NAMED:
        screen().print(f"  [dim]and {len(receipt.again) - _NAMED:,} more reasons[/]")
    # Reasons are those of files; what they hold ran with them.
    rest = receipt.found - sum(receipt.again.values()) - receipt.counts["unchanged"] - receipt.counts["skipped"]
    if receipt.again and rest > 0:
        say_hanging(Text(f"{rest:,} ran: inside archives and mails that ran"), 2, 4)


def _print_gone(status: RunStatus) -> None:
    run = status.run
    if not run.gone:
        return
    what = f"{count(run.gone, 'file')} {'is' if run.gone == 1 else 'are'} gone from the folders"
    them = "it" if run.gone == 1 else "them"
    console = screen()
    if run.prune:
        console.print(f"[yellow]{what}[/], and removed from the dataset:")
    else:
        console.print(f"[yellow]{what}[/] and still in the dataset; the next run with --prune removes {them}:")
    for name in run.gone_names:
        say_hanging(Text(shortened(name, _LONGEST_NAME)), 2, 6)
    if run.gone > len(run.gone_names):
        console.print(f"  [dim]and {run.gone - len(run.gone_names):,} more[/]")


def _print_vanished(status: RunStatus, account: Account) -> None:
    console = screen()
    for name, stage in status.stages.items():
        if stage.vanished:
            jobs, them = count(stage.vanished, "job"), "it" if stage.vanished == 1 else "them"
            what = (
                f"a user deleted or cancelled {them} in the database,"
                f" or a worker of another program took {them} from the same queue"
            )
            console.print(f"[red]{jobs} of {escape(name)} vanished[/]: {what}")
    for document in account.vanished[:_NAMED]:
        say_hanging(Text(shortened(document.name, _LONGEST_NAME)), 2, 6)
    rest = account.receipt.counts["vanished"] - min(len(account.vanished), _NAMED)
    if rest > 0:
        every = typable(f"oaflow receipt {account.receipt.run} --list vanished")
        console.print(f"  [dim]and {rest:,} more: {escape(every)}[/]")


def _print_unreadable(account: Account) -> None:
    console = screen()
    if not account.unreadable:
        return
    console.print("[yellow]unreadable[/] (indexed by name only; not counted as failures):")
    for document in account.unreadable[:_NAMED]:
        line = Text(shortened(document.name, _LONGEST_NAME))
        if document.reason:
            line.append(f"  {shortened(document.reason, _LONGEST)}", "dim")
        say_hanging(line, 2, 6)
    rest = account.receipt.unreadable - min(len(account.unreadable), _NAMED)
    if rest > 0:
        every = typable(f"oaflow receipt {account.receipt.run} --list unreadable")
        console.print(f"  [dim]and {rest:,} more: {escape(every)}[/]")


def _print_clusters(clusters: list[Cluster]) -> None:
    console = screen()
    for cluster in clusters[:_NAMED]:
        say_hanging(cluster_line(cluster))
        if cluster.names:
            more = cluster.count - len(cluster.names[:_NAMED])
            line = Text(", ".join(shortened(name, _LONGEST_NAME) for name in cluster.names[:_NAMED]))
            if more > 0:
                line.append(f" and {more:,} more", "dim")
            say_hanging(line, 2, 2)
    if len(clusters) > _NAMED:
        console.print(f"  [dim]and {len(clusters) - _NAMED:,} more causes[/]")


def print_unmatched(causes: list[Unmatched]) -> None:
    """
    What no edge took, by stage, port and reason.
    """
    for cause in causes[:_NAMED]:
        number = Text(f"{cause.count:,} unmatched", "yellow")
        say_hanging(Text.assemble(number, f" at {clean(cause.stage)}: {shortened(cause.reason, _LONGEST)}"))
    if len(causes) > _NAMED:
        screen().print(f"  [dim]and {len(causes) - _NAMED:,} more reasons[/]")


def cluster_line(cluster: Cluster) -> Text:
    """
    One cause of failures.
    """
    what = ": ".join(part for part in (cluster.type, cluster.message) if part)
    where = f" at {clean(cluster.stage)}: {shortened(what, _LONGEST)}"
    return Text.assemble((f"{cluster.count:,} failed", "red"), where)


def next_steps(status: RunStatus, account: Account) -> Iterator[str]:
    """
    What to type next.
    """
    run = status.run
    findable = account.receipt.counts["indexed"] or account.receipt.counts["unchanged"]
    if run.state in ("finished", "incomplete") and findable:
        yield f"oaflow search WORDS -d {run.dataset}"
        yield f"oaflow entities -d {run.dataset}"
    if account.clusters:
        yield f"oaflow failures {run.id}"
        if run.state != "cancelled" and any(cluster.again and not cluster.unwired for cluster in account.clusters):
            yield f"oaflow retry {run.id}"
    if run.state == "cancelled" or any(cluster.unwired for cluster in account.clusters):
        yield once_more(run)
    if account.receipt.found:
        yield f"oaflow receipt {run.id}{' --list vanished' if account.receipt.counts['vanished'] else ''}"
    if not account.receipt.found and not account.clusters:
        # Without documents it is what the stages printed that one looks for; how it stands has just been said.
        yield f"oaflow {'logs' if run.state == 'finished' else 'status'} {run.id}"


def print_details(details: Details) -> None:
    """
    How a run stands: what `oaflow status` shows.
    """
    console = screen()
    # Of a run that is to go on, what keeps it waiting is told below.
    console.print(headline(details.status, reason=not details.status.run.open))
    if details.status.run.rerun_of is not None:
        console.print(f"repeats part of run {escape(details.status.run.rerun_of)} again")
    if details.estimate is not None:
        say_hanging(estimate_line(details.estimate))
    console.print()
    _print_stages(details.status)
    if details.running:
        console.print()
        console.print("[bold]running:[/]")
        for job in details.running:
            names = ", ".join(escape(shortened(name, 40)) for name in job.names)
            # On our own server nobody notes when it began: what is known is since when it was there.
            time = f", for {duration(job.seconds)} at most" if job.seconds is not None else ""
            console.print(f"  {escape(job.stage)} job {job.job}{time}, worker {job.worker}  {names}".rstrip())
    _print_waits(details.waits)
    for stage, versions in details.mixed.items():
        met = ", ".join(f"{escape(version.version)} ({count(version.attempts, 'attempt')})" for version in versions)
        console.print(f"[yellow]stage {escape(stage)} ran {len(versions)} versions of its code:[/] {met}")
    for line in old_code(details.old_code):
        say_hanging(line)
    print_unmatched(details.unmatched)


def old_code(workers: Sequence[Worker]) -> Iterator[Text]:
    """
    Which workers run on with old code, each with what to type; the first of them where they are many.
    """
    for one in workers[:_MOST_OLD]:
        yield Text.assemble((clean(one.name), "yellow"), f" {shortened(one.old_code, _LONGEST)}")
        if one.restart:
            yield Text.assemble(("help:", "bold cyan"), f"  {clean(one.restart)}")
    if len(workers) > _MOST_OLD:
        yield Text(f"and {count(len(workers) - _MOST_OLD, 'more worker')} with old code")


def _print_waits(waits: list[Wait]) -> None:
    """
    What keeps a run waiting, and once below all that it helps, what to type.
    """
    for wait in waits:
        say_hanging(Text.assemble((clean(wait.head), "yellow"), " ", shortened(wait.text, _LONGEST)))
        if wait.more:
            say_hanging(Text(shortened(wait.more, _LONGEST)), 2, 2)
    for help in dict.fromkeys(wait.help for wait in waits if wait.help):
        say_hanging(Text.assemble(("help:", "bold cyan"), f"  {clean(typable(help))}"))
