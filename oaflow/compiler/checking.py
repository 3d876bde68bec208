"""
Checks a pipeline, phase by phase: the file, the shape, the names, the graph, the functions. All mistakes of a phase are
found, and no later phase runs, so that nobody reads about the consequences of a mistake.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from oaflow.compiler.functions import Inspect, Inspected, Inspector, import_folders
from oaflow.compiler.graph import check_graph
from oaflow.compiler.names import check_names
from oaflow.compiler.planning import plan_of
from oaflow.compiler.rules.bugs import BUG
from oaflow.compiler.shape import parse_pipeline
from oaflow.compiler.waits import check_waits
from oaflow.diagnostics import NO_SPANS, Diagnostic, Span, Spans, errors, in_order
from oaflow.errors import UsageError
from oaflow.loader import load
from oaflow.model import Pipeline
from oaflow.plan import Plan
from oaflow.spelling import few_hints


@dataclass(frozen=True)
class Checked:
    """
    What came out of checking.

    Attributes:
        plan: None where there are errors. One whose functions nobody looked at cannot be run.
        pipeline: as declared; None where its shape is wrong.
        diagnostics: errors and warnings, in the order of the file.
        functions: by task, what was found.
        spans: where all of it stands.
    """

    plan: Plan | None
    pipeline: Pipeline | None
    diagnostics: tuple[Diagnostic, ...]
    functions: Mapping[str, Inspected] = field(default_factory=dict[str, Inspected])
    spans: Spans = NO_SPANS

    @property
    def errors(self) -> list[Diagnostic]:
        return errors(self.diagnostics)

    @property
    def unannotated(self) -> tuple[str, ...]:
        """
        The functions that do not say what they take and return, so that what goes between them is not compared.
        """
        return tuple(task for task, function in self.functions.items() if not function.is_annotated)


class PipelineError(UsageError):
    """
    A pipeline in which something is wrong; `diagnostics` say what.
    """

    def __init__(self, name: str, diagnostics: Iterable[Diagnostic]) -> None:
        self.name, self.diagnostics = name, tuple(diagnostics)
        found = errors(self.diagnostics)
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        super().__init__(
            f"pipeline {name!r} cannot be compiled: {found[0].message} ({found[0].code}{more})",
            help=found[0].help or f"oaflow explain {found[0].code}",
        )


def check_file(path: Path, *, imports: bool = True, inspect: Inspect | None = None) -> Checked:
    """
    Check a pipeline file.

    Args:
        imports: whether the functions are looked at, which imports their modules in a child process.
        inspect: who looks at them; None: a child that searches where workers would.
    """
    loaded = load(path)
    if loaded.data is None:
        return Checked(None, None, loaded.diagnostics)
    looks = (inspect or Inspector(import_folders(path))) if imports else None
    return check_data(loaded.data, loaded.spans, looks)


def check_data(data: Mapping[str, Any], spans: Spans = NO_SPANS, inspect: Inspect | None = None) -> Checked:
    """
    Check a pipeline that is plain data: what a file holds, or what the Python form hands over.

    Args:
        inspect: who looks at the functions; None: nobody.
    """
    pipeline, found = parse_pipeline(data, spans)
    if pipeline is None:
        return Checked(None, None, tuple(found))
    with few_hints():
        return _checked(pipeline, spans, inspect, found)


def check_declared(data: Mapping[str, Any], spans: Callable[[], Spans], inspect: Inspect | None = None) -> Checked:
    """
    Check a pipeline of the Python form, whose source is read only where there is something to say about it.

    Args:
        spans: reads the places of what was declared from the source.
        inspect: who looks at the functions; None: nobody.
    """
    once = cache(inspect) if inspect is not None else None
    checked = check_data(data, NO_SPANS, once)
    return check_data(data, spans(), once) if checked.diagnostics else checked


def failed(error: Exception, file: str | None) -> Diagnostic:
    """
    What there is to say where the checks themselves raise.
    """
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    help = f"oaflow check {file or 'PIPELINE'} --debug   # shows where in oaflow"
    return Diagnostic(BUG, f"oaflow itself failed at this pipeline: {told}", Span(file=file), help)


def _checked(pipeline: Pipeline, spans: Spans, inspect: Inspect | None, found: list[Diagnostic]) -> Checked:
    for phase in (check_names, check_graph):
        found += phase(pipeline, spans)
        if errors(found):
            return Checked(None, pipeline, tuple(in_order(found)))
    if inspect is None:
        found += check_waits(pipeline, {}, spans)
        return Checked(plan_of(pipeline, {}), pipeline, tuple(in_order(found)), spans=spans)
    # Not at the top: they bring the table of schemata, which a check without imports has no use for.
    from oaflow.compiler.flows import check_flows
    from oaflow.compiler.kinship import check_kinship
    from oaflow.compiler.signatures import check_functions

    answers = inspect(tuple(dict.fromkeys(stage.task for stage in pipeline.stages.values() if not stage.external)))
    found += check_functions(pipeline, answers, spans)
    # What flows is no news as long as names of schemata are wrong.
    found += () if errors(found) else check_flows(pipeline, answers, spans)
    found += check_kinship(pipeline, answers, spans)
    found += check_waits(pipeline, answers, spans)
    seen = {task: answer for task, answer in answers.items() if isinstance(answer, Inspected)}
    plan = None if errors(found) else plan_of(pipeline, seen)
    return Checked(plan, pipeline, tuple(in_order(found)), seen, spans)
