"""
The path to a document through folders, archives and mails, as one line: `files/evidence.zip › old.zip › notes.txt`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oaflow.entities.datasets import table_name
from oaflow.entities.statements import for_table

if TYPE_CHECKING:
    from oaflow.entities.store import EntityStore

# Follows a container that is not a folder.
ARROW = " › "

# A store that other programs wrote may have a cycle.
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class Step:
    """
    One container on the path to a document, or the document itself: its name, and what contains it.
    """

    name: str | None
    folder: bool
    parents: tuple[str, ...] = ()


class Ways:
    """
    Finds the paths of documents of a dataset, and caches containers.
    """

    def __init__(self, store: "EntityStore", dataset: str) -> None:
        self._store, self._dataset = store, dataset
        self._above: dict[str, Step] = {}

    def to(self, documents: Iterable[str]) -> dict[str, str]:
        """
        The part of the path before the name of each document, without unknown documents.
        """
        found = self._read(set(documents))
        ahead = {parent for step in found.values() for parent in step.parents}
        while fresh := ahead - self._above.keys():
            self._above |= dict.fromkeys(fresh, Step(None, False)) | self._read(fresh)
            ahead = {parent for one in fresh for parent in self._above[one].parents}
        return {document: shown(self._way(step)) for document, step in found.items()}

    def within(self, names: Mapping[str, str]) -> dict[str, str]:
        """
        The full paths of documents that are inside other documents, ending with their names; others are left out.

        Args:
            names: the name of each, of which only the last part counts.
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
    The path as it is shown, without the document: a slash follows a folder, an arrow everything else.

    Args:
        steps: from the outermost to the document itself.
    """
    return "".join(f"{step.name}{'/' if step.folder else ARROW}" for step in steps[:-1] if step.name)
