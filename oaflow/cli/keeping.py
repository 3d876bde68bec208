"""
`datasets`, `delete`: what is kept, and taking it out.
"""

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from oaflow import operations
from oaflow.cli.options import Dataset, Json, settings
from oaflow.cli.pages import add_command
from oaflow.printed import documents as printed

if TYPE_CHECKING:
    from oaflow.operations.datasets import Deleted, Holdings, Unreadable


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "datasets", datasets, "oaflow datasets --json", "Datasets")
    add_command(app, "delete", delete, "oaflow delete -d my_dataset", "Datasets")


def datasets(json: Json = False) -> int:
    """
    List the datasets: how much each holds, and its last run.
    """
    from oaflow.cli.output import clean, remark, say_json
    from oaflow.cli.tables import print_table
    from oaflow.quantities import data_size

    found = operations.list_datasets(settings=settings())
    if json:
        for one in found:
            say_json(one.as_json())
        return 0
    if not found:
        remark("there is no dataset yet: oaflow run PIPELINE -d DATASET")
        return 0
    rows = [
        (
            one.name,
            f"{one.sizes.entities:,}",
            f"{one.sizes.documents:,}",
            f"{one.sizes.files:,}",
            data_size(one.sizes.bytes),
            f"{one.last.run} {one.last.state}, {one.last.created_at:%Y-%m-%d %H:%M}" if one.last else "",
        )
        for one in found
    ]
    columns = [
        ("dataset", False),
        ("entities", True),
        ("documents", True),
        ("files", True),
        ("size", True),
        ("last run", False),
    ]
    print_table(columns, rows)
    for one in found:
        if one.deleting:
            remark(f"{clean(one.name)} is half deleted: oaflow delete -d {clean(one.name)}   # finishes that", "yellow")
    return 0


def delete(
    dataset: Dataset,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    files: Annotated[
        bool | None,
        typer.Option(
            "--files/--keep-files",
            help="Whether to delete from the archive the files that no other dataset has; default: yes in oaflow's own"
            " archive, no in one that ARCHIVE_* names.",
        ),
    ] = None,
    strange: Annotated[
        bool,
        typer.Option(
            "--unknown-schema",
            help="Only what was written in a schema that FollowTheMoney does not have, and keeps its entity from being"
            " read.",
        ),
    ] = False,
    conflicting: Annotated[
        str | None,
        typer.Option(
            "--conflicting-schema",
            metavar="SCHEMA",
            help="Only what was written in this schema of entities of which others wrote one that conflicts.",
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(metavar="ORIGIN", help="With --unknown-schema or --conflicting-schema: only what this one wrote."),
    ] = None,
    json: Json = False,
) -> int:
    """
    Delete a dataset: its entities, search index, runs with jobs and history, and the files that no other dataset has.
    """
    from oaflow.cli.output import clean, interactive, remark, say_json, typable
    from oaflow.errors import UsageError

    if strange or conflicting is not None:
        if strange and conflicting is not None:
            raise UsageError("--unknown-schema and --conflicting-schema are two commands", help="one after the other")
        if files is not None:
            option = "--unknown-schema" if strange else "--conflicting-schema"
            raise UsageError(f"{option} deletes no files", help="leave out --files and --keep-files")
        return _delete_unreadable(dataset, conflicting, origin, yes, json)
    if origin is not None:
        raise UsageError(
            "--origin goes with --unknown-schema or --conflicting-schema: without them, all of the dataset is deleted",
            help=f"oaflow delete -d {dataset}   # deletes all of it, and shows it before",
        )
    begun = False

    def agreed(found: "Holdings") -> bool:
        nonlocal begun
        for line in _of(found):
            remark(clean(line))
        if not yes and not interactive():
            raise UsageError(
                "nothing was deleted: there is no terminal to ask in", help=f"oaflow delete -d {dataset} --yes"
            )
        begun = yes or typer.confirm("delete all of it?", default=False, err=True)
        return begun

    try:
        done = operations.delete(dataset, agreed=agreed, with_files=files, settings=settings())
    except KeyboardInterrupt:
        if begun:
            remark(f"interrupted: {typable(f'oaflow delete -d {clean(dataset)}')}   # finishes it", "yellow")
        raise
    if done is None:
        raise typer.Abort
    if json:
        say_json(done.as_json())
    for line in _left(done):
        remark(clean(line))
    return 0


def _delete_unreadable(dataset: str, conflicting: str | None, origin: str | None, yes: bool, json: bool) -> int:
    from collections import Counter

    from oaflow.cli.output import clean, count, interactive, remark, say_json
    from oaflow.errors import UsageError

    options = "--unknown-schema" if conflicting is None else f"--conflicting-schema {conflicting}"
    if origin is not None:
        options += f" --origin {shlex.quote(origin)}"

    def agreed(found: "Sequence[Unreadable]") -> bool:
        what = (
            "of schemata that FollowTheMoney does not have"
            if conflicting is None
            else f"of schema {conflicting}, where others said what cannot be merged with that"
        )
        remark(f"dataset {clean(dataset)} has, {what}:")
        for one in found:
            remark(f"  {count(one.fragments, 'fragment')} of {clean(one.schema) or 'no schema'} by {clean(one.origin)}")
        if not yes and not interactive():
            help = f"oaflow delete -d {dataset} {options} --yes"
            raise UsageError("nothing was deleted: there is no terminal to ask in", help=help)
        return yes or typer.confirm("delete them?", default=False, err=True)

    done = operations.delete_unreadable(
        dataset, conflicting=conflicting, origin=origin, agreed=agreed, settings=settings()
    )
    if done is None:
        raise typer.Abort
    fragments: Counter[str] = Counter()
    for one in done:
        fragments[one.schema] += one.fragments
    if json:
        deleted: printed.DeletedUnreadable = {"dataset": dataset, "fragments": dict(fragments)}
        say_json(deleted)
    what = f"{count(fragments.total(), 'fragment')} deleted" if done else "there is nothing of that"
    remark(f"dataset {clean(dataset)}: {what}")
    return 0


def _of(found: "Holdings") -> Iterator[str]:
    from oaflow.cli.output import count
    from oaflow.quantities import data_size

    sizes, left = found.sizes, found.left
    yield f"dataset {found.dataset}:"
    yield f"  {count(sizes.entities, 'entity', 'entities')}, of these {count(sizes.documents, 'document')}"
    if found.others:
        yield f"    what these wrote, too, who are none of its runs: {', '.join(found.others)}"
    yield f"  {count(left.passages, 'row')} of the search"
    yield f"  {count(left.runs, 'run')}, with {count(left.jobs, 'job')} ({left.waiting:,} waiting),"
    history = f"{count(left.history, 'row')} of history ({count(left.samples, 'sample')})"
    yield f"    {history}, {count(left.failures, 'failure')}"
    if found.schedules:
        names = ", ".join(found.schedules)
        yield f"  {count(len(found.schedules), 'schedule')} that would begin runs over it again: {names}"
    them = f"{count(sizes.files, 'file')} of {data_size(sizes.bytes)}"
    if found.with_files:
        yield f"  {them} in the archive, as far as no other dataset has them"
    elif sizes.files:
        yield f"  not its {them}: others may use the archive {found.archive}"
        yield "    --files takes out what no dataset here has"


def _left(done: "Deleted") -> Iterator[str]:
    from oaflow.cli.output import count

    yield f"dataset {done.dataset} is deleted; {count(done.files, 'file')} taken out of the archive"
    if done.shared:
        yield f"left there: {count(done.shared, 'file')} that other datasets have"
    if done.waiting:
        runs = ", ".join(done.of)
        yield f"left there: {count(done.waiting, 'file')} that may be asked for by what has not ended: {runs}"
        yield f"after that: oaflow delete -d {done.dataset}"
