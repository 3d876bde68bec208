"""
`search`, `entities`: what is in a dataset.
"""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from oaflow import operations
from oaflow.cli.options import Dataset, Json, settings
from oaflow.cli.pages import add_command

if TYPE_CHECKING:
    from rich.text import Text


def register(app: typer.Typer) -> None:
    """
    Adds the commands of this group.
    """
    add_command(app, "search", search, "oaflow search zurich invoice -d my_dataset", "Datasets")
    add_command(app, "entities", entities, "oaflow entities -d my_dataset --schema Email > mails.json", "Datasets")


def search(
    words: Annotated[list[str], typer.Argument(metavar="WORDS...", help='Words, "quoted phrases" and beginnings*.')],
    dataset: Dataset,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="Show at most N documents.")] = 20,
    json: Json = False,
) -> int:
    """
    Find documents that contain all of the words; exit code 1 if there is none.
    """
    from oaflow.cli.output import clean, remark, say_indented, say_json, screen

    # A word with blanks in it was quoted in the shell: it is a phrase.
    query = " ".join(f'"{word}"' if " " in word and '"' not in word else word for word in words)
    # One more than is shown tells whether there are more.
    found = operations.search(dataset, query, limit=limit + 1, settings=settings())
    if operators := sorted({"AND", "OR", "NOT"} & set(words)):
        remark(f"{' and '.join(operators)} in capitals is a word like any other: all words must occur")
    console = screen()
    for hit in found.hits[:limit]:
        if json:
            say_json(hit.as_json())
            continue
        title = _marked(hit.file, hit.file_marks, "bold")
        if hit.page is not None:
            title.append(f"  page {hit.page}", "cyan")
        title.append(f"  {hit.schema}", "dim")
        console.print(title)
        if hit.passage:
            say_indented(_marked(hit.passage, hit.marks, ""))
    if len(found.hits) > limit:
        remark(f"these are the best {limit:,}; there are more: --limit {limit * 5}")
    if found.hits:
        return 0
    remark(f"no document in dataset {clean(dataset)} contains all of: {clean(query)}")
    if found.empty:
        remark("  nothing in it is searchable yet: only what reaches a stage with `task: oaflow.stages.index` is")
    for missing in found.missing:
        near = f"; near it: {', '.join(map(clean, missing.near))}" if missing.near else ""
        remark(f"  none contains {clean(missing.term)}{near}")
    return 1


def entities(
    dataset: Dataset,
    schema: Annotated[
        str | None,
        typer.Option("--schema", "-s", metavar="SCHEMA", help="Only this schema and its descendants."),
    ] = None,
) -> int:
    """
    Write the entities of a dataset as FollowTheMoney JSON, one a line.
    """
    from oaflow.cli.output import say_json

    for entity in operations.entities(dataset, schema=schema, settings=settings()):
        say_json(entity)
    return 0


def _marked(text: str, marks: Any, style: str) -> "Text":
    from rich.text import Text

    from oaflow.cli.output import clean

    made = Text(style=style)
    at = 0
    for start, end in marks:
        made.append(clean(text[at:start]))
        made.append(clean(text[start:end]), "bold black on yellow")
        at = end
    made.append(clean(text[at:]))
    return made
