"""
The graph of a program with given params: which of its stages are off, and what each is for.
"""

from collections.abc import Mapping

from oaflow.compiler.functions import Inspected, Inspector, import_folders
from oaflow.errors import OaflowError
from oaflow.graph import Graph
from oaflow.graph import graph_of as drawn_from
from oaflow.operations.programs import Program, without_required
from oaflow.plan import bind, check_params


def graph_of(program: Program, given: Mapping[str, object] | None = None) -> Graph:
    """
    The graph of a program without mistakes, with the stages that are off under the given params (else under their
    defaults).
    """
    plan = program.checked()
    loose = without_required(plan)
    values = check_params(loose, given or {})
    try:
        disabled = bind(loose, values).disabled
    except OaflowError:
        # A plan that cannot be bound without values can be drawn all the same: then only what is off for good is off.
        disabled = {name: "enabled is false" for name, stage in plan.stages.items() if stage.enabled is False}
    return drawn_from(plan, disabled, descriptions=descriptions(program))


def descriptions(program: Program) -> dict[str, str]:
    """
    What each stage is for: its own `description`, else the first line of its function's docstring.

    A function that cannot be imported describes nothing: a pipeline can be drawn where it cannot be run.
    """
    declared = program.pipeline.stages if program.pipeline is not None else {}
    said = {name: stage.description for name, stage in declared.items() if stage.description}
    unsaid = {name: stage.task for name, stage in declared.items() if name not in said and not stage.external}
    if not unsaid:
        return said
    found = Inspector(import_folders(program.source.file))(tuple(dict.fromkeys(unsaid.values())))
    for name, task in unsaid.items():
        match found.get(task):
            case Inspected(doc=str(doc)):
                said[name] = doc
            case _:
                pass
    return said
