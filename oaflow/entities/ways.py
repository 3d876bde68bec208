"""
Where in folders, archives and mails a document lies, as one line: `documents/archives/evidence.zip › old_laptop.zip › notes.txt`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oaflow.entities.datasets import table_name
from oaflow.entities.statements import for_table

if TYPE_CHECKING:
    from oaflow.entities.store import EntityStore

# Stands behind what is no folder and has others in it.
ARROW = " › "

# A store that others wrote may have a circle.
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Step:
    """
    One thing on the way to a document, or the document itself: what it is called, and what it lies in.
    """

    name: str | None
    folder: bool
    parents: tuple[str, ...] = ()


class Ways:
    """
    Finds the ways to documents of a dataset, and remembers what has others in it.
    """

    def __init__(self, store: "EntityStore", dataset: str) -> None:
        self._store, self._dataset = store, dataset
        self._above: dict[str, Step] = {}

    def to(self, documents: Iterable[str]) -> dict[str, str]:
        """
        What stands before the name of each document; documents of which nothing is known are left out.
        """
        found = self._read(set(documents))
        ahead = {parent for step in found.values() for parent in step.parents}
        while fresh := ahead - self._above.keys():
            self._above |= dict.fromkeys(fresh, Step(None, False)) | self._read(fresh)
            ahead = {parent for one in fresh for parent in self._above[one].parents}
        return {document: shown(self._way(step)) for document, step in found.items()}

    def within(self, names: Mapping[str, str]) -> dict[str, str]:
        """
        The whole ways of documents that lie in other documents, each with its name at the end; others are left out.

        Args:
            names: what each is called; the last part of it is.
        """
        before = self.to(names)
        return {id: f"{way}{names[id].rpartition('/')[2]}" for id, way in before.items() if ARROW in way}

    def _way(self, step: Step) -> list[Step]:
        levels: list[list[Step]] = [[step]]
        while len(levels) <= _DEEPEST:
            above = sorted({parent for step in levels[-1] for parent in step.parents})
            if not above:
                break
            levels.append([self._above[parent] for parent in above])
        return [step for level in reversed(levels) for step in level]

    def _read(self, ids: Collection[str]) -> dict[str, Step]:
        if not ids:
            return {}
        rows = self._store.rows(self._dataset, for_table("ways", table_name(self._dataset)), {"ids": list(ids)})
        return {
            id: Step(
                name, folder, tuple(dict.fromkeys(one for some in parents if isinstance(some, list) for one in some))
            )
            for id, name, folder, parents in rows
        }


def shown(steps: Sequence[Step]) -> str:
    """
    The way as it is shown, without the document: a folder is followed by a slash, everything else by an arrow.

    Args:
        steps: from the outermost to the document itself.
    """
    return "".join(f"{step.name}{'/' if step.folder else ARROW}" for step in steps[:-1] if step.name)
