"""
Phase 4: compares how a pipeline uses its functions with their signatures and options. Pure.
"""

import re
from collections.abc import Iterator, Mapping

from oaflow.compiler.annotations import accepted, shape_of
from oaflow.compiler.functions import Inspected, InspectionError, Parameter
from oaflow.compiler.kinship import may_be_jobs
from oaflow.compiler.rules import functions as rules
from oaflow.diagnostics import NO_SPANS, Diagnostic, Spans
from oaflow.model import Pipeline, Stage, StageOptions
from oaflow.packages import module_of
from oaflow.plan import references
from oaflow.schemata import SCHEMATA
from oaflow.spelling import closest, did_you_mean

_STREAMS = ("Iterator", "Iterable", "Generator", "AsyncIterator", "AsyncIterable", "AsyncGenerator")


def check_functions(
    pipeline: Pipeline, inspected: Mapping[str, Inspected | InspectionError], spans: Spans = NO_SPANS
) -> Iterator[Diagnostic]:
    """
    Compare each stage that is not external with its function.

    Args:
        inspected: by task, what an `Inspect` answered.
    """
    told: set[str] = set()
    for name, stage in pipeline.stages.items():
        found = None if stage.external else inspected.get(stage.task)
        match found:
            case None:
                pass
            case InspectionError():
                # Two stages with one function, or functions of one module that fails, are one mistake.
                cause = module_of(stage.task) if found.problem in _OF_MODULE else stage.task
                if cause not in told:
                    told.add(cause)
                    yield unusable(name, stage, found, spans)
            case Inspected():
                yield from _signature(pipeline, name, stage, found, spans)
                yield from _returns(name, stage, found, spans)
                yield from _ports(name, stage, found, spans)
                yield from _decorator(name, stage, found, spans)
                if stage.task not in told:
                    told.add(stage.task)
                    yield from _outs(name, stage, found, spans)


_OF_MODULE = ("no-module", "import-failed", "timeout", "died")


def unusable(name: str, stage: Stage, error: InspectionError, spans: Spans) -> Diagnostic:
    """
    Why the function of a stage cannot be used.
    """
    module, _, function = stage.task.rpartition(".")
    match error.problem:
        case "no-module":
            rule, message = rules.NO_MODULE, error.detail
            help = (
                error.help
                or did_you_mean(module, error.known)
                or "install it where oaflow is, or run oaflow in the folder that it stands in;"
                " `external: true` if it is a service's"
            )
        case "import-failed":
            rule, message = rules.IMPORT_FAILED, f"module {module!r} cannot be imported: {error.detail}"
            help = error.help or f"python -c 'import {module}'"
        case "timeout" | "died":
            rule, message = rules.NO_ANSWER, f"module {module!r} gave no answer: {error.detail}"
            help = error.help or f"python -c 'import {module}'"
        case "no-function":
            rule, message = rules.NO_FUNCTION, f"module {module!r} has no function {function!r}"
            message += f": it raised {error.detail}" if error.detail else ""
            known = f"it has: {', '.join(error.known[:8])}" if error.known else "the module has no functions"
            help = error.help or did_you_mean(function, error.known) or known
        case "not-callable":
            rule, message = rules.NOT_CALLABLE, f"{stage.task!r} is not a function: {error.detail}"
            help = "a stage is a function with @stage above it"
        case "undecorated":
            rule, message = rules.UNDECORATED, f"{stage.task!r} is not decorated with @stage"
            help = f"from oaflow import stage, and @stage above `def {function}`"
        case "task":
            rule, message = rules.UNDECORATED, f"{stage.task!r} is a @task function, which is not a stage"
            help = f"write @stage instead of @task above `def {function}`: the pipeline decides where its jobs go"
        case "not-installed":
            rule, message, help = rules.NOT_INSTALLED, f"stage {name!r} {error.detail}", error.help
    return Diagnostic(rule, message, spans.value("stages", name, "task"), help)


def _signature(pipeline: Pipeline, name: str, stage: Stage, found: Inspected, spans: Spans) -> Iterator[Diagnostic]:
    job, options, problem = _taken(found.parameters)
    if problem:
        message = f"{stage.task!r} cannot be a stage: {problem}"
        help = "def function(job: DatasetJob, *, option: str = 'value')"
        yield Diagnostic(rules.BAD_SIGNATURE, message, spans.value("stages", name, "task"), help)
        return
    if (other := _other_than_a_job(found)) is not None:
        message = f"{stage.task!r} cannot be a stage: its {job!r} is annotated `{other}`, but it gets a job"
        help = f"from oaflow import DatasetJob, and `{job}: DatasetJob`; what it carries is in {job}.payload"
        yield Diagnostic(rules.BAD_SIGNATURE, message, spans.value("stages", name, "task"), help)
    if found.unseen is not None:
        message = f"{found.unseen!r}, the class of the job of {stage.task!r}, is imported for type checkers only"
        help = f"import {found.unseen} outside of `if TYPE_CHECKING:`: a worker must find it"
        yield Diagnostic(rules.UNSEEN_CLASS, message, spans.value("stages", name, "task"), help)
    any_option = any(parameter.kind == "**" for parameter in found.parameters)
    # What stands there misspelled is not told a second time as missing.
    meant: set[str | None] = set()
    for option, value in stage.options.items():
        if option in options:
            yield from _option_type(pipeline, name, stage, options[option], value, spans)
        elif option == job or not any_option:
            known = f"its options are: {', '.join(options)}" if options else "it takes no options"
            help = did_you_mean(option, options) or known
            message = f"{stage.task!r} has no option {option!r}"
            if option == job:
                message, help = f"{option!r} is the job that {stage.task!r} gets", known
            else:
                meant.add(closest(option, options))
            yield Diagnostic(rules.UNKNOWN_OPTION, message, spans.key("stages", name, "with", option), help)
    for option, parameter in options.items():
        if parameter.required and (option in stage.options or option not in meant):
            yield from _missing(pipeline, name, stage, option, spans)


def _taken(parameters: tuple[Parameter, ...]) -> tuple[str | None, dict[str, Parameter], str | None]:
    """
    The parameter that takes the job, those that are options by name, and what is wrong with the whole.
    """
    first = parameters[0] if parameters else None
    if first is None or first.kind in ("keyword", "**"):
        return None, {}, "it takes no job"
    rest = parameters if first.kind == "*" else parameters[1:]
    options = {parameter.name: parameter for parameter in rest if parameter.kind in ("either", "keyword")}
    for parameter in rest:
        if parameter.kind == "positional" and parameter.required:
            return (
                first.name,
                options,
                f"{parameter.name!r} is positional only, but options are passed by name",
            )
    # What takes all positions takes no name.
    return None if first.kind == "*" else first.name, options, None


def _other_than_a_job(found: Inspected) -> str | None:
    """
    The class that the first parameter is annotated with, where no job can be one.
    """
    taken = found.taken_classes
    return None if not taken or may_be_jobs(taken) else re.split(r"[:.]", taken[0][0])[-1]


def _missing(pipeline: Pipeline, name: str, stage: Stage, option: str, spans: Spans) -> Iterator[Diagnostic]:
    if option not in stage.options:
        message = f"{stage.task!r} needs option {option!r}"
        place = spans.key("stages", name, "with") if stage.options else spans.value("stages", name, "task")
        yield Diagnostic(rules.MISSING_OPTION, message, place, f"with: {{{option}: ...}}")
        return
    value = stage.options[option]
    for param in references(value) if isinstance(value, str) else ():
        declared = pipeline.params.get(param)
        if declared is None or value != f"${{params.{param}}}":
            continue
        # What a run works on is never left out: without a value for the positional param no run begins.
        if not declared.required and not declared.positional and declared.default is None:
            message = f"{stage.task!r} needs option {option!r}, but param {param!r} may have no value"
            help = f"give param {param!r} a default, or say `required: true`"
            yield Diagnostic(rules.MISSING_OPTION, message, spans.value("stages", name, "with", option), help)


def _option_type(
    pipeline: Pipeline, name: str, stage: Stage, parameter: Parameter, value: object, spans: Spans
) -> Iterator[Diagnostic]:
    if accepted(value, parameter.annotation, pipeline.params):
        return
    shape = shape_of(value, pipeline.params)
    help = f"it is annotated `{parameter.annotation}`"
    if shape.startswith("str") and "Path" in (parameter.annotation or ""):
        help = f"import Path outside of `if TYPE_CHECKING:`, or annotate {parameter.name!r} with `str`"
    # Where single values are named, the type says nothing.
    given = repr(value) if isinstance(value, str | int) and "Literal" in (parameter.annotation or "") else shape
    message = f"option {parameter.name!r} of {stage.task!r} is given {given}, but takes {parameter.annotation}"
    yield Diagnostic(rules.OPTION_TYPE, message, spans.value("stages", name, "with", parameter.name), help)


def _returns(name: str, stage: Stage, found: Inspected, spans: Spans) -> Iterator[Diagnostic]:
    if stage.next and found.returns == "None":
        message = f"{stage.task!r} is annotated to return nothing, but stage {name!r} hands on to {stage.next[0].to!r}"
        help = "annotate what it returns, as in `-> DatasetJob`; or remove `next`"
    elif stage.next and found.is_mute:
        message = f"{stage.task!r} returns nothing, but stage {name!r} hands on to {stage.next[0].to!r}"
        help = "return or yield a job; or remove `next`"
    else:
        return
    yield Diagnostic(rules.RETURNS_NOTHING, message, spans.key("stages", name, "next"), help)


def _ports(name: str, stage: Stage, found: Inspected, spans: Spans) -> Iterator[Diagnostic]:
    declared, wired = found.options.ports, stage.ports
    if not wired:
        return
    meant = {closest(port, declared) for port in wired if port not in declared}
    for port in declared:
        if port not in wired and port not in meant:
            message = f"{stage.task!r} emits on port {port!r}, but stage {name!r} does not wire it"
            help = f"next: {{..., {port}: STAGE}}, or `{port}: drop` if nothing should follow"
            yield Diagnostic(rules.UNWIRED_PORT, message, spans.key("stages", name, "next"), help)
    for port in wired:
        if port not in declared:
            message = f"{stage.task!r} does not emit on port {port!r}"
            help = did_you_mean(port, declared) or f"its ports are: {', '.join(declared)}"
            place = next((edge.place for edge in stage.next if edge.port == port), ("next", port))
            # Under its own key where it has one; else an edge that says nothing, or says `port`.
            if place[:2] == ("next", port):
                span = spans.key("stages", name, "next", port)
            else:
                span = spans.value("stages", name, *place)
            yield Diagnostic(rules.UNDECLARED_PORT, message, span, help)


def _outs(name: str, stage: Stage, found: Inspected, spans: Spans) -> Iterator[Diagnostic]:
    declared = found.options.ports
    for port, span in found.outs:
        if port not in declared:
            message = f"{stage.task!r} returns a job on port {port!r}, which its @stage does not declare"
            help = did_you_mean(port, declared) or f"@stage(ports={(*declared, port)!r})"
            place = spans.value("stages", name, "task")
            yield Diagnostic(rules.UNDECLARED_OUT, message, span, help, ((f"it is stage {name!r}", place),))


def _decorator(name: str, stage: Stage, found: Inspected, spans: Spans) -> Iterator[Diagnostic]:
    options, task = found.options, spans.value("stages", name, "task")
    for schema in _schemata(options):
        if schema not in SCHEMATA:
            message = f"@stage of {stage.task!r} names schema {schema!r}, which followthemoney does not have"
            yield Diagnostic(rules.UNKNOWN_SCHEMA, message, task, did_you_mean(schema, SCHEMATA))
    per_port = options.emits if isinstance(options.emits, Mapping) else {}
    for port in per_port:
        if port not in options.ports:
            message = f"@stage of {stage.task!r} says what it emits on port {port!r}, but does not declare that port"
            help = did_you_mean(port, options.ports) or f"ports={(*options.ports, port)!r}"
            yield Diagnostic(rules.UNDECLARED_PORT, message, task, help)
    if stage.emit == "stream" and not found.is_generator and not (found.returns or "").startswith(_STREAMS):
        message = f"{stage.task!r} returns all its jobs at once, so there is nothing to stream"
        help = "let it yield its jobs, or remove `emit`"
        yield Diagnostic(rules.NOTHING_TO_STREAM, message, spans.value("stages", name, "emit"), help)


def _schemata(options: StageOptions) -> tuple[str, ...]:
    match options.emits:
        case None:
            emitted = ()
        case Mapping():
            emitted = tuple(schema for schemata in options.emits.values() for schema in schemata)
        case _:
            emitted = options.emits
    return tuple(dict.fromkeys((*(options.accepts or ()), *emitted)))
