"""
`datasets`, `delete`: what is kept, and taking it out.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from oaflow import operations
from oaflow.cli.options import Dataset, Json, settings
from oaflow.cli.pages import add_command
from oaflow.printed import documents as printed

if TYPE_CHECKING:
    from oaflow.operations.datasets import Deleted, Holdings


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "datasets", datasets, "oaflow datasets --json", "Finding")
    add_command(app, "delete", delete, "oaflow delete -d my_dataset", "Finding")


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
            remark(f"{clean(one.name)} is half deleted: oaflow delete -d {clean(one.name)}   finishes that", "yellow")
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
    json: Json = False,
) -> int:
    """
    Delete a dataset: its entities, search index, runs with jobs and history, and the files that no other dataset has.
    """
    from oaflow.cli.output import clean, interactive, remark, say_json, typable
    from oaflow.errors import UsageError

    if strange:
        if files is not None:
            raise UsageError("--unknown-schema deletes no files", help="leave out --files and --keep-files")
        return _delete_strange(dataset, yes, json)
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
            remark(f"interrupted: {typable(f'oaflow delete -d {clean(dataset)}')}   finishes it", "yellow")
        raise
    if done is None:
        raise typer.Abort
    if json:
        say_json(done.as_json())
    for line in _left(done):
        remark(clean(line))
    return 0


def _delete_strange(dataset: str, yes: bool, json: bool) -> int:
    from oaflow.cli.output import clean, count, interactive, remark, say_json
    from oaflow.errors import UsageError

    def agreed(found: Mapping[str, int]) -> bool:
        remark(f"dataset {clean(dataset)} has, of schemata that FollowTheMoney does not have:")
        for schema, number in found.items():
            remark(f"  {count(number, 'fragment')} of {clean(schema) or 'no schema'}")
        if not yes and not interactive():
            help = f"oaflow delete -d {dataset} --unknown-schema --yes"
            raise UsageError("nothing was deleted: there is no terminal to ask in", help=help)
        return yes or typer.confirm("delete them?", default=False, err=True)

    done = operations.delete_strange(dataset, agreed=agreed, settings=settings())
    if done is None:
        raise typer.Abort
    if json:
        deleted: printed.DeletedStrange = {"dataset": dataset, "fragments": done}
        say_json(deleted)
    what = f"{count(sum(done.values()), 'fragment')} deleted" if done else "all of it is of schemata that there are"
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
