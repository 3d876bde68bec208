"""
Write docs/reference/commands.md and settings.md from the program itself, the tables of keys in pipeline.md, and what
the pages of keys begin with: `python tools/make_reference.py`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from oaflow.cli.main import app
from oaflow.compiler import keys
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
    "Jobs put together": keys.COLLECT,
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

## JSON

| command | prints |
|---|---|
| `run`, `retry`, `resume`, `status` | `run`, `pipeline`, `plan`, `dataset`, `state` (`running`, `paused`, \
`interrupted`, `finished`, `incomplete`, `cancelled`), `seconds`, `unchanged` and `gone` (files), \
`stages`: by name `open`, `done`, `failed`, \
`unmatched`, `dropped`, `ended`, `diverted`, `vanished`, which count jobs, but `unmatched` entities; `status` \
also `unmatched`: a list of `stage`, `port`, `reason`, `count`; and `estimate`, null where it does not go on: \
`seconds` that it will still take, `low` and `high`, and what that `assumes`; or all null, and `why` |
| `status --watch` | a line each five seconds: `runs`, each as that of `status`, with `rate` (a second), `running` and \
`waits_for` (seconds) of each stage, and `workers`: `worker`, `host`, `pid`, `program`, `executors`, `memory` (bytes), \
`tasks`, `only` (a run, or null), `hands`: what each has in hand |
| `simulate` | `run`, `took` (seconds that it was worked on), `rest` (whether only what is left is told), `assumes`, \
`variants`: what was asked for, as it was first, with `seconds`, `low`, `high`, `busiest`, and `share`, of the time \
for which that was full |
| `receipt` | `run`, `found`, `indexed`, `unreadable`, `unchanged`, `ended`, `diverted`, `failed`, `skipped`, \
`dropped`, `unmatched`, `vanished`, `balanced`: documents; `again`: why documents ran, and how many |
| `receipt --list` | a document a line: `document`, `name`, `line` (`open` where it has none yet), \
`unreadable`, `reason`, `why` it ran, where an earlier run knew its source |
| `status --all` | a run a line, the latest first: `run`, `pipeline`, `dataset`, `state` |
| `run --detach` | `run`, `process` that follows it and its `log` (both null where the workers are elsewhere) |
| `cancel` | `run`, `state`, `waiting`: how many waiting jobs were taken out |
| `route` | `stage`, `port`, `ways`: of each entity (`entity`, `schema`; null where there is none) the stages that it \
goes `to`, and the `answers` of all edges: `to`, `condition`, `holds`, `values`; `reason` of what nothing takes, \
`loads`, `disabled` |
| `route --against` | `run`, `plan`, `stages`: by name `hops` that returned something, `kept` of them, `jobs` in \
these, `routed` of them; `whole`: whether that is all; `edges`: `stage`, `port`, `to` (null: nothing takes it), \
`took` and `takes` (null: no such edge), `before` and `after` (entities); `moved`, `samples` of that: `stage`, \
`port`, `job`, `entity`, `schema`, `was`, `would`; `refused`: `stage`, `port`, `problem`, `jobs` that would fail; \
`troubled`: `stage`, `jobs` that failed, where they `was` and `would` go (null: to the failures); `absent`: why \
stages are not asked; `loads` |
| `test` | a test a line: `pipeline`, `number`, `at`, `port`, `description`, `expected`, `found` (how many by stage), \
`reason` of what nothing takes, `problem` where it could not be tried, `taken`: edges as `from`, `port`, `to`; \
`passed`. After those of a \
pipeline a line with what they cover: `pipeline`, `edges` (how many it has), `untaken`: the edges that no test took, \
with `decided` where a condition stands at their port |
| `trace` | a document a line: `document`, `name`, `dataset`, `run`, `pipeline`, `plan`, `kind`, `line` and `reason` \
as in the receipt, `found_by` (`stage`, `job`, `in`); `steps`, the jobs it entered with: `stage`, `job`, `repeats` \
(the job that failed), `since`, `beside` (how many other documents were in it), `state` of what has not ended, \
`attempts`, `wrote`, and `next`, the jobs that came of it; an attempt has `attempt`, `outcome`, `at`, `started`, \
`ended`, `wait` and `seconds`, `worker`, `place`, `version`, `parts` of a stream, `error`, `lost`; `children`, and \
`said` elsewhere: `entity`, `schema`, `caption`, `origin`, `fragment`, `at` |
| `trace -f prov` | one document in PROV-JSON |
| `limit` | what is limited, one a line: `name`, `queue`, `task`, `concurrency`, `rate` (in a second), \
`said_concurrency`, `said_rate` (by `oaflow limit`), `running`, `waiting` (counted up to 1,000) |
| `datasets` | a dataset a line: `dataset`, `entities`, `documents`, `files`, `bytes` (of the files), `runs`, \
`last_run` (`run`, `pipeline`, `state`, `at`; null where there was none), `deleting`: whether a deletion was cut off |
| `delete` | `dataset`, `files` that went from the archive, `files_shared` that others have, `files_waiting` for the \
end of runs |
| `search` | a hit a line: `file`, `page`, `passage`, `entity`, `schema`, `score` |
| `failures` | a failed job a line: `run`, `job`, `stage`, `task`, `type`, `message`, `attempts`, `at`, `documents`, \
`names`, `fingerprint`, `traceback`, `detail` |
| `logs` | a line that was printed a line: `at` (seconds since 1970), `run`, `stage`, `job`, `stream`, `text`, and \
`document` where the job has one (and `documents` where it has several) |
| `check` | one list of mistakes and warnings: `code`, `slug`, `severity`, `message`, `help`, `notes`, and their \
place: `file`, `path`, `line`, `column`, `end_line`, `end_column` |
| `graph` | `pipeline`; `stages`: `name`, `task`, `queue`, `start`, `end`, `external`, `disabled` (why), \
`counts` (of a run), `join`, `collect`, `split`, `description`, `lock`; `edges`: `from`, `to` (null: dropped), `port`, \
`kind` (`next`, `error`, `drop`), `recurse`, `condition`, `count` (of a run) |
| `plan --diff` | `old`, `new` (digests), `same`, `run` and its `state` (null where OLD is none), \
`changes`: a list of `kind`, `text`, `stage`, `param` (both null: of the pipeline); `movable`, `obstacles`: \
whether a run in flight may go over, and what keeps it |
| `explain CODE` | `code`, `slug`, `severity`, `summary`, `explanation`, `example`, `repair` |
| `explain` | a rule a line: `code`, `slug`, `summary` |
| `doctor` | a finding a line: `level` (`fine`, `note`, `problem`), `what`, `text`, `help` |
| `schedule add`, `schedule list` | a schedule a line: `name`, `pipeline`, `plan`, `dataset`, `params`, `folders`, \
`cron`, `zone`, `due_at`, `last_at`, `last_run`, `problem` (why the last time began no run) |
| `webhook add`, `webhook list` | a webhook a line: `name`, `url`, `pipeline`, `created_at`, `last_at`, `problem` (why \
the last attempt failed), `waiting`, `given_up`, `seconds` (since when the first waits) |
| `webhook test` | `webhook`, `problem` (null: accepted), `again`: how much is sent again |
| `backup`, `restore` | `file`; `facts`: `format`, `oaflow`, `taken` (seconds since 1970), `settings`, `archive` \
(whether its files are in it); `database`, `size` (bytes), `files`, `absent`: what is not in it, `came_back`: jobs \
that were in hand |
| `db migrate` | `steps`: texts; `done`: false with `--dry-run`; `entity_indexes_missing` |
| `db check` | `postgres`, `migrations`, `indexes_missing`, `captured`, `entity_indexes_missing` |
| `entities` | an entity a line, as FollowTheMoney JSON, also without `--json` |
"""

SETTINGS_HEAD = """\
# Settings

Environment variables, read when a command starts. Where a row names several, the first that is set counts; the
others are those that OpenAleph deployments set already. This page is made by `tools/make_reference.py`.
"""


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
    (FOLDER / "settings.md").write_text(settings_page(), encoding="utf-8")
    (FOLDER / "pipeline.md").write_text(pipeline_page(), encoding="utf-8")
    for place, known in PLACES.items():
        (FOLDER / "keys" / place).mkdir(parents=True, exist_ok=True)
        for name in known:
            (FOLDER / "keys" / place / f"{name}.md").write_text(key_page(place, name), encoding="utf-8")
