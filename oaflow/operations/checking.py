"""
`oaflow check`: the mistakes in pipelines, and with `--db` also what would keep them from running here and now.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from oaflow.diagnostics import Diagnostic, errors, in_order
from oaflow.operations.programs import Program, program_of
from oaflow.operations.typed import Value, typed
from oaflow.printed.pipelines import Summary
from oaflow.settings import Settings, or_environment

if TYPE_CHECKING:
    from oaflow.dsl import Pipeline


@dataclass(frozen=True, slots=True)
class Checked:
    """
    What the checks found in a pipeline. It can be run if `mistakes` is 0.

    Attributes:
        pipeline: what was given as the pipeline.
        stages: how many stages it has; None if a mistake keeps that from being known.
        unannotated: functions of its stages without type annotations.
        failure: what the checks themselves raised, which is a bug of oaflow; None if nothing.
        database: the database that was compared with; None without `db`. `workers` is its number of live workers.
    """

    pipeline: str
    diagnostics: tuple[Diagnostic, ...]
    stages: int | None
    unannotated: tuple[str, ...]
    failure: Exception | None = None
    database: str | None = None
    workers: int = 0

    @property
    def mistakes(self) -> int:
        """
        How many keep it from running.
        """
        return len(errors(self.diagnostics))

    @property
    def warnings(self) -> int:
        """
        How many do not.
        """
        return len(self.diagnostics) - self.mistakes

    def as_json(self) -> Summary:
        """
        The public form.
        """
        return {
            "pipeline": self.pipeline,
            "stages": self.stages,
            "mistakes": self.mistakes,
            "warnings": self.warnings,
            "without_annotations": list(self.unannotated),
        }


def check(
    *pipelines: "Pipeline | str | os.PathLike[str]",
    imports: bool = True,
    db: bool = False,
    params: Mapping[str, Value] | None = None,
    settings: Settings | None = None,
) -> list[Checked]:
    """
    Checks pipelines as `oaflow check` does. Mistakes are returned, not raised.

    Args:
        pipelines: each a `Pipeline`, or what `oaflow check` takes: a file, a name, or `module:name`.
        imports: whether the functions of the stages are imported and checked, in a process of their own.
        db: whether to compare the pipelines with the database, too: live workers, limits, runs that have not ended.
        params: with `db`, params of the run to check for. Without them a pipeline is checked for all values of its
            params.

    Returns:
        One result for each pipeline, in the same order.

    Raises:
        UsageError: there is no such pipeline, or it has no such param.
        EnvironmentProblem: with `db`, there is no database to ask.
    """
    programs = [program_of(pipeline, imports=imports) for pipeline in pipelines]
    found = list(map(_checked, programs))
    if not db:
        return found
    from oaflow.operations.deployment import check_deployed

    database, workers, deployed = check_deployed(or_environment(settings), programs, typed(params))
    return [
        replace(one, diagnostics=tuple(in_order([*one.diagnostics, *more])), database=database, workers=workers)
        for one, more in zip(found, deployed, strict=True)
    ]


def _checked(program: Program) -> Checked:
    return Checked(
        program.source.typed,
        program.diagnostics,
        None if program.plan is None else len(program.plan.stages),
        program.unannotated,
        program.failure,
    )
