"""
What changed from one plan to another, for people.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from oaflow.cli.output import clean, say_hanging, screen
from oaflow.operations.comparing import Comparison
from oaflow.plan.differences import Change


def print_comparison(comparison: Comparison) -> None:
    """
    Prints the changes below the names of what they belong to, and whether runs in flight may go over.
    """
    from rich.text import Text

    old, new = comparison.old.digest, comparison.new.digest
    if comparison.same:
        say_hanging(Text(f"the plans do not differ for jobs: both are sha256:{new}"))
        return
    say_hanging(Text(f"sha256:{old[:12]} became sha256:{new[:12]}"))
    for about, group in groupby(_gathered(comparison), lambda pair: pair[0]):
        screen().print(Text(f"\n{clean(about)}", "bold"))
        for _, change in group:
            say_hanging(Text(clean(change.text)), first=2, rest=4)
    screen().print()
    which = "runs in flight" if comparison.run is None else f"run {comparison.run.id}"
    if comparison.run is not None and not comparison.run.open:
        say_hanging(Text(f"run {comparison.run.id} has ended: what `oaflow retry` sends again would move"))
    if not comparison.obstacles:
        say_hanging(Text(clean(f"{which} may move to it"), "green"))
        return
    say_hanging(Text(clean(f"{which} may not move to it:"), "yellow"))
    for obstacle in comparison.obstacles:
        say_hanging(Text(clean(obstacle)), first=2, rest=4)


def _gathered(comparison: Comparison) -> Iterator[tuple[str, Change]]:
    """
    Each change with what it is about: what is the same for every stage, as under `defaults`, is told once.
    """
    kept = comparison.old.stages.keys() & comparison.new.stages.keys()
    often = Counter(change.text for change in comparison.changes if change.stage in kept)
    of_all = {text for text, times in often.items() if times == len(kept) > 1}
    told = [change for change in comparison.changes if change.stage is None]
    yield from ((_about(change), change) for change in told)
    first = {change.text: change for change in reversed(comparison.changes) if change.text in of_all}
    yield from (("every stage", first[text]) for text in often if text in of_all)
    rest = [change for change in comparison.changes if change.stage is not None and change.text not in of_all]
    yield from ((_about(change), change) for change in rest)


def _about(change: Change) -> str:
    if change.stage is not None:
        return f"stage {change.stage!r}"
    return f"param {change.param!r}" if change.param is not None else "pipeline"
