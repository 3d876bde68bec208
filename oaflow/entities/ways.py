"""
Where in folders, archives and mails a document lies, as one line: `archives/evidence.zip › old_laptop.zip › notes.txt`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from oaflow.entities.datasets import table_name
from oaflow.entities.statements import for_table

if TYPE_CHECKING:
    from oaflow.entities.store import EntityStore

# Stands behind what is no folder and has others in it.
ARROW = " › "


@dataclass(frozen=True, slots=True)
class Step:
    """
    One thing on the way to a document, or the document itself at depth 0.
    """

    document: str
    depth: int
    name: str | None
    folder: bool


def ways(store: "EntityStore", dataset: str, documents: Iterable[str]) -> dict[str, str]:
    """
    What stands before the name of each document; documents of which nothing is known are left out.
    """
    rows = store.rows(dataset, for_table("ways", table_name(dataset)), {"ids": list(documents)})
    found = groupby((Step(*row) for row in rows), key=attrgetter("document"))
    return {document: shown(list(steps)) for document, steps in found}


def shown(steps: Sequence[Step]) -> str:
    """
    The way as it is shown, without the document: a folder is followed by a slash, all else by an arrow.

    Args:
        steps: from the outermost on.
    """
    above = [step for step in steps if step.depth > 0 and step.name]
    if above and above[0].folder:
        # The folder that was crawled: every document is in it.
        above = above[1:]
    return "".join(f"{step.name}{'/' if step.folder else ARROW}" for step in above)
