"""
Write docs/reference/commands.md, json-output.md, settings.md and operations.md from the program itself, the tables of
keys in pipeline.md, and what the pages of keys begin with: `python tools/make_reference.py`.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from oaflow import operations
from oaflow.cli.main import app
from oaflow.compiler import keys
from oaflow.operations.printing import output_schema
from oaflow.settings import Settings
from oaflow.stages.limits import Limits

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"

# What the fields do not say of themselves.
MEANINGS = {
    "home": "the folder of database, archive and logs",
    "db_uri": "the PostgreSQL to use; without it a private one is started",
    "entities_uri": "the database of the `ftm_` tables, where it is another one",
    "archive_type": "where files are kept: `file`, `s3`, `gs` or `anystore`",
    "archive_path": "the folder of `file`",
    "archive_bucket": "the bucket of `s3` and `gs`",
    "archive_uri": "the address of `anystore`",
    "publication_bucket": "servicelayer's bucket for what is published",
    "debug": "show where in the program an error came from",
}
DEFAULTS = {"home": "`/var/lib/oaflow` as root, else `$XDG_DATA_HOME/oaflow`", "archive_path": "`OAFLOW_HOME/archive`"}

# Under which heading of pipeline.md the table of which keys stands.
TABLES = {
    "Keys of a pipeline": keys.PIPELINE,
    "Keys of a param": keys.PARAM,
    "Keys of a stage": keys.STAGE,
    "Retries": keys.RETRY,
    "Conditions": keys.EDGE,
    "Tests": keys.CASE,
    "Collected jobs": keys.COLLECT,
}

# The pages of keys, by the place of the key in a file.
PLACES = {
    "pipeline": keys.PIPELINE,
    "param": keys.PARAM,
    "stage": keys.STAGE,
    "edge": keys.EDGE,
    "test": keys.CASE,
}
# What stands under a key, by its page.
MEMBERS = {
    ("stage", "retry"): keys.RETRY,
    ("stage", "collect"): keys.COLLECT,
    ("test", "job"): {**keys.JOB, **{f"entities: {name}": key for name, key in keys.ENTITY.items()}},
}

# Where the pages of those keys are that have one each.
FOLDERS = {
    "Keys of a pipeline": "keys/pipeline",
    "Keys of a param": "keys/param",
    "Keys of a stage": "keys/stage",
    "Conditions": "keys/edge",
    "Tests": "keys/test",
}

COMMANDS_HEAD = """\
# Commands

What `--help` of each command says. This page is made by `tools/make_reference.py`.

Data go to stdout, remarks to stderr. `--json` prints data as JSON: one object, or one a line where there are many.
Exit codes: 0 fine; 1 work failed, or mistakes were found; 2 the command is wrong; 3 the environment; 130 interrupted
([more](../how-to/when-something-failed.md#exit-codes)).

What `--json` prints is in [JSON that commands print](json-output.md).
"""

OUTPUT_HEAD = """\
# JSON that commands print

What each command prints with `--json`, from the types that the program prints. `oaflow schema --json-output` prints the
same as JSON Schema (2020-12), of all commands, or of one: `oaflow schema --json-output failures`. This page is made by
`tools/make_reference.py`.

Data go to stdout, and remarks to stderr. Where it says "a line" there is one object a line: none, one or many; else
there is one value. The keys of an object are always there, unless it says "may be missing". In an `Error` and in the
`detail` of a failure there may be others: they are as that version of oaflow wrote them which ran the job.

`oaflow entities` prints FollowTheMoney entities, one a line, without `--json`; `oaflow trace -f prov` prints W3C PROV
as PROV-JSON, and `oaflow check -f sarif` SARIF 2.1.0.
"""

SETTINGS_HEAD = """\
# Settings

Environment variables, read when a command starts. Where a row names several, the first that is set counts; the
others are those that OpenAleph deployments set already. This page is made by `tools/make_reference.py`.
"""


OPERATIONS_HEAD = """\
# Operations from Python

`oaflow.operations`: what the commands do, for programs. [How it is used](../how-to/use-from-python.md), and
[what of it is stable](../decisions/python-api.md). This page is made by `tools/make_reference.py`.

Where `run` is left out it is the latest run. Without `settings` those of the environment hold, read with each call;
`Settings(db_uri=..., home=...)` has the names of the [settings](settings.md) without `OAFLOW_`, in small letters. What
is said to be a `Stream` is for `for` and for `async for`, and raises when the loop begins.

## Calls
"""

EVENTS_HEAD = """\
## Events

What `follow` gives: `Event` is one of these.
"""

SECTIONS = {"Args:": "Arguments", "Attributes:": "Fields", "Returns:": "Returns", "Raises:": "Raises"}


def commands_page() -> str:
    """
    The help pages of all commands.
    """
    return COMMANDS_HEAD + "".join(_pages("oaflow", typer.main.get_command(app), None))


def _pages(path: str, command: Any, parent: Any) -> Iterator[str]:
    # The width is stated: it would be the terminal's.
    context = command.make_context(
        path.rpartition(" ")[2], [], parent=parent, resilient_parsing=True, terminal_width=90, max_content_width=90
    )
    yield f"\n## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
    for name, below in getattr(command, "commands", {}).items():
        yield from _pages(f"{path} {name}", below, context)


def output_page() -> str:
    """
    What all commands print with `--json`.
    """
    return "\n".join([OUTPUT_HEAD, *_outputs(output_schema()), ""])


def _outputs(whole: dict[str, Any]) -> Iterator[str]:
    yield "## Commands\n"
    yield "| command | prints |"
    yield "|---|---|"
    for command, forms in whole["commands"].items():
        for form in forms:
            typed = f"{command} {form['given']}".rstrip()
            yield f"| `{typed}` | {_kind(form['schema'])}{', a line' if form['lines'] else ''} |"
    for name, shape in whole["$defs"].items():
        yield f"\n## {name}\n"
        # The first sentences say what it is; of a plan, more is told below `plan` in the language.
        yield f"{shape['description'].partition(chr(10) * 2)[0]}\n".replace("\n\n", "\n")
        yield "| key | is | meaning |"
        yield "|---|---|---|"
        required = set(shape.get("required", ()))
        for key, schema in shape["properties"].items():
            missing = "" if key in required else " (may be missing)"
            meaning = schema["description"].replace("|", "\\|")
            yield f"| `{key}` | {_kind(schema)} | {meaning}{missing} |"


def _kind(schema: dict[str, Any]) -> str:
    """
    What a value is, in a few words.
    """
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_kind, schema["anyOf"])))
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    match schema.get("type"):
        case "array":
            return f"list of {_kind(schema['items'])}"
        case "object":
            below = schema.get("additionalProperties")
            return f"by name: {_kind(below)}" if isinstance(below, dict) else "object"
        case str(kind):
            return {"string": "text", "boolean": "true or false"}.get(kind, kind)
        case _:
            return "any value"


def settings_page() -> str:
    """
    The settings of the program, and those of the ready-made stages.
    """
    return "\n".join(
        [
            SETTINGS_HEAD,
            *_table(Settings),
            "\n## Limits of the stage `extract`\n",
            "Sizes may be written as `512MiB`, times as `10m`.\n",
            *_table(Limits),
            "",
        ]
    )


def pipeline_page() -> str:
    """
    The page of the pipeline file, as it is, with its tables of keys written anew.
    """
    page = (FOLDER / "pipeline.md").read_text("utf-8")
    for heading, known in TABLES.items():
        before, title, rest = page.partition(f"\n## {heading}\n")
        old = re.search(r"^\| key\b.*(?:\n\|.*)*", rest, re.MULTILINE)
        page = (
            before
            + title
            + (rest.replace(old[0], keys.table(known, FOLDERS.get(heading, "")), 1) if old is not None else rest)
        )
    return page


def key_page(place: str, name: str) -> str:
    """
    The page of a key, as it is, with what stands above its first heading written anew.
    """
    path = FOLDER / "keys" / place / f"{name}.md"
    page = path.read_text("utf-8") if path.exists() else ""
    _, heading, rest = page.partition("\n## ")
    return "\n".join(_key_head(place, name)) + heading + rest


def _key_head(place: str, name: str) -> Iterator[str]:
    key = PLACES[place][name]
    yield f"# `{name}` of a {place}\n"
    yield f"{key.meaning[0].upper()}{key.meaning[1:]}.\n"
    remarks = ["It is required." if key.without == keys.REQUIRED else f"Without it: {key.without or 'nothing'}."]
    if place == "stage" and name in keys.DEFAULTS:
        remarks.append("It may stand under [`defaults`](../pipeline/defaults.md).")
    if key.more:
        remarks.append(f"[More](../../pipeline.md#{keys.anchor(key.more)}).")
    yield " ".join(remarks) + "\n"
    if (place, name) in MEMBERS:
        yield keys.table(MEMBERS[place, name]) + "\n"


def operations_page() -> str:
    """
    What programs may call, from its docstrings.
    """
    names = {name: getattr(operations, name) for name in operations.__all__ if name not in ("Event", "Settings")}
    events = get_args(operations.Event)
    calls = {name: thing for name, thing in names.items() if not isinstance(thing, type)}
    errors = {name: thing for name, thing in names.items() if name not in calls and issubclass(thing, Exception)}
    others = {name: thing for name, thing in names.items() if name not in calls and name not in errors}
    parts = [OPERATIONS_HEAD]
    parts += [_described(name, calls[name]) for name in calls]
    parts.append(EVENTS_HEAD)
    parts += [_described(event.__name__, event) for event in events]
    parts.append("## What else is returned\n")
    parts += [_described(name, others[name]) for name in others if others[name] not in events]
    parts.append("## Errors\n")
    parts += [_described(name, errors[name]) for name in errors]
    return "\n".join(parts)


def _described(name: str, thing: Any) -> str:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    lines = list(_signature(node) if isinstance(node, ast.FunctionDef) else _members(node))
    shown = ['```python skip="a signature, as the program has it"', *lines, "```", ""] if lines else []
    return "\n".join([f"### {name}\n", *shown, *_prose(inspect.getdoc(thing) or ""), ""])


def _signature(function: ast.FunctionDef) -> Iterator[str]:
    given = function.args
    yield f"def {function.name}("
    first = len(given.args) - len(given.defaults)
    for number, one in enumerate(given.args):
        yield f"    {ast.unparse(one)}{f' = {ast.unparse(given.defaults[number - first])}' if number >= first else ''},"
    if given.vararg or given.kwonlyargs:
        yield f"    *{ast.unparse(given.vararg) if given.vararg else ''},"
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield f"    {ast.unparse(one)}{f' = {ast.unparse(default)}' if default else ''},"
    yield f") -> {ast.unparse(function.returns) if function.returns else 'None'}"


def _members(node: Any) -> Iterator[str]:
    """
    The fields of a class, and what can be asked of it.
    """
    for one in node.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and one.target.id != "exit_code":
            yield f"{one.target.id}: {ast.unparse(one.annotation)}"
        # Its JSON is that of a command, and described there.
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_") and not one.name.endswith("_json"):
            returned = ast.unparse(one.returns) if one.returns else "None"
            given = ", ".join(argument.arg for argument in one.args.args[1:])
            yield f"{one.name}: {returned}" if one.decorator_list else f"{one.name}({given}) -> {returned}"


def _prose(doc: str) -> Iterator[str]:
    """
    A docstring as Markdown: its sections are lists.
    """
    section = False
    for line in doc.splitlines():
        if line in ("Args:", "Attributes:", "Returns:", "Raises:"):
            section = True
            yield from (f"**{SECTIONS[line]}**", "")
        elif not section or not line.strip():
            yield line
        elif line.startswith("     "):
            yield f"  {line.strip()}"
        else:
            name, colon, text = line.strip().partition(": ")
            known = colon and re.fullmatch(r"[\w, ]+", name) and " " not in name.replace(", ", "")
            yield f"- `{name}`: {text}" if known else f"- {line.strip()}"


def _table(settings: type[BaseSettings]) -> Iterator[str]:
    yield "| variable | meaning | default |"
    yield "|---|---|---|"
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        names = alias.choices if isinstance(alias, AliasChoices) else [f"OAFLOW_{name.upper()}"]
        default = DEFAULTS.get(name) or ("" if field.default is None else f"`{field.default}`")
        meaning = field.description or MEANINGS[name]
        yield f"| {', '.join(f'`{one}`' for one in names)} | {meaning} | {default} |"


if __name__ == "__main__":
    (FOLDER / "commands.md").write_text(commands_page(), encoding="utf-8")
    (FOLDER / "json-output.md").write_text(output_page(), encoding="utf-8")
    (FOLDER / "settings.md").write_text(settings_page(), encoding="utf-8")
    (FOLDER / "operations.md").write_text(operations_page(), encoding="utf-8")
    (FOLDER / "pipeline.md").write_text(pipeline_page(), encoding="utf-8")
    for place, known in PLACES.items():
        (FOLDER / "keys" / place).mkdir(parents=True, exist_ok=True)
        for name in known:
            (FOLDER / "keys" / place / f"{name}.md").write_text(key_page(place, name), encoding="utf-8")
