"""
Phase 4: whether the next function takes the class of job that a function returns. Pure.
"""

from collections.abc import Iterator, Mapping

from oaflow.compiler.functions import Inspected, InspectionError, Lineage
from oaflow.compiler.rules import functions as rules
from oaflow.diagnostics import Diagnostic, Path, Spans
from oaflow.model import Pipeline

# The class that every job is derived from, as a lineage names it.
_JOB = "oaflow.jobs.models:Job"

# What that is derived from itself.
_ABOVE = ("pydantic.main:BaseModel",)


def check_kinship(
    pipeline: Pipeline, inspected: Mapping[str, Inspected | InspectionError], spans: Spans
) -> Iterator[Diagnostic]:
    """
    Compare what a function returns with what the next one takes, and with `on_error` what the two take.

    Who says nothing returns and takes anything; so does an external stage. What goes out on other ports than `default`
    is returned in an `Out`.
    """
    functions = {
        name: found
        for name, stage in pipeline.stages.items()
        if not stage.external and isinstance(found := inspected.get(stage.task), Inspected)
    }
    for name, before in functions.items():
        stage = pipeline.stages[name]
        comes = [
            (edge.to, before.returned_classes, edge.place, f"{stage.task!r} returns")
            if edge.port == "default"
            else (edge.to, before.sent_classes, edge.place, f"in an `Out` {stage.task!r} returns")
            for edge in stage.next
        ]
        if stage.on_error is not None:
            # A failed job goes there as it arrived.
            comes.append((stage.on_error, before.taken_classes, ("on_error",), f"{stage.task!r} takes"))
        for to, given, place, says in comes:
            after = functions.get(to)
            taken = after and after.taken_classes
            # A function that takes no job at all is told at its own stage.
            if given and taken and may_be_jobs(taken) and not related(given, taken):
                yield _told(to, given, taken, says, spans, ("stages", name, *place))


def may_be_jobs(classes: tuple[Lineage, ...]) -> bool:
    """
    Whether something of one of these classes may be a job.
    """
    return any(_JOB in one or one[0] in _ABOVE for one in classes)


def related(given: tuple[Lineage, ...], taken: tuple[Lineage, ...]) -> bool:
    """
    Whether one of these classes may be one of those: it is the same, derived from it, or what it is derived from.
    """
    return any(one[0] in other or other[0] in one for one in given for other in taken)


def _told(
    to: str, given: tuple[Lineage, ...], taken: tuple[Lineage, ...], says: str, spans: Spans, place: Path
) -> Diagnostic:
    comes, takes = _in_words(given), _in_words(taken)
    if comes == takes:
        comes, takes = _in_words(given, whole=True), _in_words(taken, whole=True)
    message = f"stage {to!r} takes {takes}, but this edge brings {comes}"
    common = next((base for base in given[0] if all(base in one and _JOB in one for one in (*given, *taken))), None)
    help = f"{says} {comes}; "
    if common is None:
        help += "a job is a Job, a DatasetJob, or an instance of a subclass"
    else:
        help += f"a function that takes both is annotated `job: {_shown(common)}`"
    return Diagnostic(rules.OTHER_JOB, message, spans.value(*place), help)


def _in_words(lineages: tuple[Lineage, ...], whole: bool = False) -> str:
    return " or ".join(one[0].replace(":", ".") if whole else _shown(one[0]) for one in lineages)


def _shown(name: str) -> str:
    return name.partition(":")[2].rpartition("<locals>.")[2]
