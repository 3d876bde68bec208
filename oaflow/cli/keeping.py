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
            remark(
                f"{clean(one.name)} is half deleted: oaflow delete -d {clean(one.name)}   # finishes the deletion",
                "yellow",
            )
    return 0


def delete(
    dataset: Dataset,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    files: Annotated[
        bool | None,
        typer.Option(
            "--files/--keep-files",
            help="Whether to also delete archived files that no other dataset has; default: yes in oaflow's own"
            " archive, no in one that ARCHIVE_* names.",
        ),
    ] = None,
    strange: Annotated[
        bool,
        typer.Option(
            "--unknown-schema",
            help="Only fragments in a schema that FollowTheMoney does not have, which make their entity unreadable.",
        ),
    ] = False,
    conflicting: Annotated[
        str | None,
        typer.Option(
            "--conflicting-schema",
            metavar="SCHEMA",
            help="Only fragments in this schema of entities that others wrote in a conflicting schema.",
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            metavar="ORIGIN", help="With --unknown-schema or --conflicting-schema: only fragments with this origin."
        ),
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
            raise UsageError(
                "--unknown-schema and --conflicting-schema exclude each other", help="use one after the other"
            )
        if files is not None:
            option = "--unknown-schema" if strange else "--conflicting-schema"
            raise UsageError(f"{option} deletes no files", help="leave out --files and --keep-files")
        return _delete_unreadable(dataset, conflicting, origin, yes, json)
    if origin is not None:
        raise UsageError(
            "--origin needs --unknown-schema or --conflicting-schema: without them, the whole dataset is deleted",
            help=f"oaflow delete -d {dataset}   # shows the whole dataset, and deletes it",
        )
    begun = False

    def agreed(found: "Holdings") -> bool:
        nonlocal begun
        for line in _of(found):
            remark(clean(line))
        if not yes and not interactive():
            raise UsageError(
                "nothing was deleted: there is no terminal to confirm in", help=f"oaflow delete -d {dataset} --yes"
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
            "in schemata that FollowTheMoney does not have"
            if conflicting is None
            else f"of schema {conflicting}, where others wrote a schema that cannot be merged with it"
        )
        remark(f"dataset {clean(dataset)} has, {what}:")
        for one in found:
            remark(f"  {count(one.fragments, 'fragment')} of {clean(one.schema) or 'no schema'} by {clean(one.origin)}")
        if not yes and not interactive():
            help = f"oaflow delete -d {dataset} {options} --yes"
            raise UsageError("nothing was deleted: there is no terminal to confirm in", help=help)
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
    what = f"{count(fragments.total(), 'fragment')} deleted" if done else "no such fragments"
    remark(f"dataset {clean(dataset)}: {what}")
    return 0


def _of(found: "Holdings") -> Iterator[str]:
    from oaflow.cli.output import count
    from oaflow.quantities import data_size

    sizes, left = found.sizes, found.left
    yield f"dataset {found.dataset}:"
    yield f"  {count(sizes.entities, 'entity', 'entities')}, {count(sizes.documents, 'document')} among them"
    if found.others:
        yield f"    also what these wrote, which are not its runs: {', '.join(found.others)}"
    yield f"  {count(left.passages, 'row')} of the search index"
    yield f"  {count(left.runs, 'run')}, with {count(left.jobs, 'job')} ({left.waiting:,} waiting),"
    history = f"{count(left.history, 'row')} of history ({count(left.samples, 'sample')})"
    yield f"    {history}, {count(left.failures, 'failure')}"
    if found.schedules:
        names = ", ".join(found.schedules)
        yield f"  {count(len(found.schedules), 'schedule')} that would start runs over it again: {names}"
    them = f"{count(sizes.files, 'file')} of {data_size(sizes.bytes)}"
    if found.with_files:
        yield f"  {them} in the archive, except those that other datasets have"
    elif sizes.files:
        yield f"  not its {them}: other programs may use the archive {found.archive}"
        yield "    --files deletes those that no dataset here has"


def _left(done: "Deleted") -> Iterator[str]:
    from oaflow.cli.output import count

    yield f"dataset {done.dataset} is deleted; {count(done.files, 'file')} deleted from the archive"
    if done.shared:
        yield f"kept: {count(done.shared, 'file')} that other datasets have"
    if done.waiting:
        runs = ", ".join(done.of)
        yield f"kept: {count(done.waiting, 'file')} that unfinished runs may need: {runs}"
        yield f"after that: oaflow delete -d {done.dataset}"
