"""
Phase 4: checks the keys of a `retry` together, wherever each of them was written (stage, defaults, decorator). Pure.
"""

from collections.abc import Iterator, Mapping, Sequence

from oaflow.compiler.functions import Inspected, InspectionError
from oaflow.compiler.planning import retry_of
from oaflow.compiler.rules import functions as rules
from oaflow.diagnostics import Diagnostic, Path, Span, Spans
from oaflow.model import Pipeline
from oaflow.quantities import duration_text


def check_waits(
    pipeline: Pipeline, inspected: Mapping[str, Inspected | InspectionError], spans: Spans
) -> Iterator[Diagnostic]:
    """
    Tell each `retry` in the file of which no repetition waits as long as its `base` says.
    """
    for name, stage in pipeline.stages.items():
        said: list[Path] = [("stages", name, "retry")] if stage.retry is not None else []
        said += [("defaults", "retry")] if pipeline.defaults.retry is not None else []
        if stage.external or not said:
            continue
        found = inspected.get(stage.task)
        decorator = found.options.retry if isinstance(found, Inspected) else None
        retry = retry_of(stage.retry, pipeline.defaults.retry, decorator)
        if isinstance(retry.base, str) or isinstance(retry.cap, str) or retry.backoff == "none":
            continue
        if retry.cap < retry.base and retry.max != 0:
            base, cap = duration_text(retry.base), duration_text(retry.cap)
            message = f"stage {name!r} waits {cap} before each repetition: its `cap` is below its `base`, {base}"
            help = f"a `cap` of {base} or more"
            yield Diagnostic(rules.CAP_BELOW_BASE, message, _place(spans, said), help)


def _place(spans: Spans, said: Sequence[Path]) -> Span:
    """
    Where one of the two is written; else the `retry` that is nearest to the stage.
    """
    for path in said:
        for key in ("cap", "base"):
            if (*path, key) in spans.values:
                return spans.value(*path, key)
    return spans.value(*said[0])
