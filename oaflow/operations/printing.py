"""
What each command prints with `--json`, as JSON Schema (2020-12), made from the types in `oaflow.printed`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from oaflow.compiler import keys
from oaflow.errors import UsageError
from oaflow.plan import Plan
from oaflow.printed import documents, operating, pipelines, runs
from oaflow.spelling import did_you_mean

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Form:
    """
    One form of what a command prints.

    Attributes:
        shape: the type of the value: a typed dictionary, a list of them, or a model.
        lines: whether it prints any number of values, one per line; otherwise one value, on one or more lines.
        given: the options that select this form; empty for none.
    """

    shape: Any
    lines: bool = False
    given: str = ""


_STATUS = Form(runs.Status)
_DETACHED = Form(runs.Detached, given="--detach")

# All forms of each command, by the command as it is typed.
FORMS: Mapping[str, tuple[Form, ...]] = {
    "run": (_STATUS, _DETACHED),
    "resume": (_STATUS, _DETACHED),
    "retry": (_STATUS, _DETACHED),
    "pause": (Form(runs.Paused),),
    "cancel": (Form(runs.Cancelled),),
    "rerun": (_STATUS, _DETACHED, Form(runs.Rerun, given="--dry-run")),
    "schedule add": (Form(runs.Schedule),),
    "schedule pause": (Form(runs.Schedule),),
    "schedule resume": (Form(runs.Schedule),),
    "schedule list": (Form(runs.Schedule, lines=True),),
    "check": (Form(list[pipelines.Diagnostic]), Form(pipelines.Summary, lines=True, given="--format summary")),
    "graph": (Form(pipelines.Graph),),
    "plan": (Form(Plan), Form(pipelines.Comparison, given="--diff")),
    "route": (Form(pipelines.Routing), Form(pipelines.Replay, given="--against")),
    "test": (Form(pipelines.Tried | pipelines.Coverage, lines=True),),
    "explain": (Form(pipelines.RuleLine, lines=True), Form(pipelines.Rule, given="CODE")),
    "status": (
        Form(runs.Details),
        Form(runs.RecentRun, lines=True, given="--all"),
        Form(runs.View, lines=True, given="--watch"),
    ),
    "simulate": (Form(runs.Simulated),),
    "failures": (Form(documents.Failure, lines=True),),
    "receipt": (Form(documents.Receipt), Form(documents.ReceiptDocument, lines=True, given="--list")),
    "trace": (Form(documents.Passport, lines=True),),
    "logs": (Form(documents.LogLine, lines=True),),
    "search": (Form(documents.Hit, lines=True),),
    "datasets": (Form(documents.Dataset, lines=True),),
    "delete": (
        Form(documents.Deleted),
        Form(documents.DeletedUnreadable, given="--unknown-schema, --conflicting-schema"),
    ),
    "limit": (Form(list[operating.Limit]),),
    "doctor": (Form(operating.Finding, lines=True),),
    "db migrate": (Form(operating.Migrated),),
    "db upgrade": (Form(operating.Upgraded),),
    "db check": (Form(operating.Checked),),
    "db prune": (Form(operating.Pruned),),
    "webhook add": (Form(operating.Webhook),),
    "webhook list": (Form(operating.Webhook, lines=True),),
    "webhook test": (Form(operating.WebhookTried),),
    "backup": (Form(operating.Backup),),
    "restore": (Form(operating.Backup),),
}

# Descriptions of keys of a plan for which pipeline files have no key of the same name.
_PLANNED: Mapping[str, Mapping[str, str]] = {
    "Plan": {
        "format": "the form of the plan",
        "pipeline": "the name of the pipeline",
        "start": "the stages in which a run begins",
        "params": "the values that each run may set, by name",
        "stages": "the stages, by name",
    },
    "PlannedParam": {},
    "PlannedEdge": {
        "rest": "whether it takes what no other edge of the port took",
        "load": "whether the entities are read from the store before it is decided",
    },
    "PlannedRetry": {},
    "PlannedCollect": {},
    "PlannedStage": {
        "edges": "the edges that lead from it",
        "dropped": "ports whose jobs are dropped",
        "options": "the keyword arguments of its function",
        "origin": "who says what it writes; else PIPELINE/STAGE",
        "accepts": "the FollowTheMoney schemata that its function takes; null: any",
        "emits": "by port, the schemata that its function returns; null: any",
        "takes": "the class of jobs that its function takes",
        "gives": "the class of jobs that its function returns",
    },
}
_KEYS = {
    "PlannedParam": keys.PARAM,
    "PlannedEdge": keys.EDGE,
    "PlannedRetry": keys.RETRY,
    "PlannedCollect": keys.COLLECT,
    "PlannedStage": keys.STAGE,
}


class UnknownOutputError(UsageError):
    """
    No command of that name prints JSON.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        super().__init__(
            f"no command {command!r} has --json",
            help=did_you_mean(command, FORMS) or "oaflow schema --json-output: all",
        )


def output_schema(command: str | None = None) -> dict[str, Any]:
    """
    The schema of what all commands print with `--json`, or one: `commands` lists the forms of each, whose types are in
    `$defs`. The schema for one command validates each value that it prints.

    Raises:
        UnknownOutputError: there is no such command, or it has no `--json`.
    """
    if command is not None and command not in FORMS:
        raise UnknownOutputError(command)
    chosen = FORMS if command is None else {command: FORMS[command]}
    schemas, shared = _schemas()
    listed = {
        name: [
            {"given": form.given, "lines": form.lines, "schema": schemas[name, number]}
            for number, form in enumerate(forms)
        ]
        for name, forms in chosen.items()
    }
    what = "the commands of oaflow print" if command is None else f"`oaflow {command}` prints"
    whole: dict[str, Any] = {"$schema": DIALECT, "title": f"What {what} with --json", "commands": listed}
    if command is not None:
        whole["anyOf"] = [form["schema"] for form in listed[command]]
    return {**whole, "$defs": _reached(listed, shared)}


def shape_schema(shape: Any) -> dict[str, Any]:
    """
    The JSON Schema of one type, with everything that it refers to.
    """
    return untitled(TypeAdapter(shape).json_schema(mode="serialization"))


@cache
def _schemas() -> tuple[Mapping[tuple[str, int], Any], Mapping[str, Any]]:
    """
    The schema of each form, by command and number, and everything that they refer to.
    """
    inputs: list[tuple[tuple[str, int], Any, Any]] = []
    for name, forms in FORMS.items():
        for number, form in enumerate(forms):
            # A plan is printed without default values, so the schema for reading, in which they are optional, is right.
            mode = "validation" if form.shape is Plan else "serialization"
            inputs.append(((name, number), mode, TypeAdapter(form.shape)))
    made, definitions = TypeAdapter.json_schemas(inputs)
    shared = definitions["$defs"]
    _describe_plan(shared)
    return {key: untitled(made[key, mode]) for key, mode, _ in inputs}, untitled(shared)


def _describe_plan(shared: dict[str, Any]) -> None:
    for name, known in _PLANNED.items():
        for key, schema in shared.get(name, {}).get("properties", {}).items():
            named = _KEYS.get(name, {}).get(key)
            schema["description"] = known.get(key) or (key if named is None else named.meaning)
    if (plan := shared.get("Plan")) is not None:
        # It always has its format, although that is the default.
        plan["required"] = sorted({*plan["required"], "format"})


def untitled(schema: Any) -> Any:
    """
    Remove the titles, which only repeat the names of keys.
    """
    match schema:
        case dict():
            return {
                key: untitled(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))
            }
        case list():
            return [untitled(one) for one in schema]
        case _:
            return schema


def _reached(listed: Any, shared: Mapping[str, Any]) -> dict[str, Any]:
    """
    What some schemas refer to, by name.
    """
    found = set[str]()
    ahead = list(_references(listed))
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += _references(shared[name])
    return {name: shared[name] for name in sorted(found)}


def _references(schema: Any) -> Iterator[str]:
    match schema:
        case {"$ref": str(target)}:
            yield target.rpartition("/")[2]
        case dict():
            for value in schema.values():
                yield from _references(value)
        case list():
            for value in schema:
                yield from _references(value)
        case _:
            pass
