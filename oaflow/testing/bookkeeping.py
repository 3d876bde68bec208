"""
What became of the documents of a run in memory: the account that the ledger gives of any other. Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oaflow.jobs import Tally
from oaflow.jobs.bindings import Note
from oaflow.ledger.receipts import LINES, DocumentLine, Line, Receipt

# As the ledger ranks what is true of a document: it is counted at the first.
_RANKS: Mapping[Line, int] = {line: rank for rank, line in enumerate(LINES)}


@dataclass(frozen=True, slots=True)
class Fact:
    """
    Something that is true of a document, and puts it on a line of the account.
    """

    document: str
    line: Line
    reason: str | None = None


@dataclass(slots=True)
class Bookkeeper:
    """
    The account of one run.

    Args:
        index_stages: the stages after which a document counts as indexed.
    """

    index_stages: Collection[str]
    _facts: list[Fact] = field(default_factory=list[Fact])
    _notes: list[Note] = field(default_factory=list[Note])
    # Of each job: the documents that went on, or were lost on the way.
    _went: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    # Diverted jobs, and all that came of them; and the documents that were indexed after that.
    _after: set[int] = field(default_factory=set[int])
    _saved: set[str] = field(default_factory=set[str])

    def take(self, job: int, stage: str, outcome: str, detail: Mapping[str, Any], parents: Iterable[int]) -> None:
        """
        Take what became of an attempt, or a part of its stream.

        Args:
            detail: what the ledger keeps of it.
            parents: the jobs that it comes from.
        """
        documents = tuple(detail.get("documents", ()))
        self._notes += [Note(**note) for note in detail.get("notes", ())]
        went = self._went[job]
        went.update(document for _, handed in detail.get("handed", ()) for document in handed)
        for kind, _, reason, lost, _ in detail.get("lost", ()):
            went.update(lost)
            line: Line = "failed" if kind == "too_deep" else kind
            why = f"{stage}: TooDeep: {reason}" if kind == "too_deep" else reason
            self._facts += [Fact(document, line, why) for document in lost]
        if outcome == "diverted" or not self._after.isdisjoint(parents):
            self._after.add(job)
        if outcome == "failed":
            error = detail.get("error", {})
            why = ": ".join(filter(None, [stage, error.get("type"), error.get("message")]))
            self._facts += [Fact(document, "failed", why) for document in documents]
        elif outcome == "diverted":
            self._facts += [Fact(document, "diverted", f"by {stage}") for document in documents]
        elif outcome == "done" and stage in self.index_stages:
            self._facts += [Fact(document, "indexed") for document in documents]
            self._saved.update(documents if job in self._after else ())
        elif outcome == "done":
            why = f"{stage} returned nothing for it"
            self._facts += [Fact(document, "ended", why) for document in documents if document not in went]

    @property
    def documents(self) -> tuple[DocumentLine, ...]:
        """
        The documents, in the order in which they were found.
        """
        first: dict[str, Fact] = {}
        for fact in sorted(self._facts, key=lambda fact: (_RANKS[fact.line], fact.reason or "")):
            if fact.line != "diverted" or fact.document not in self._saved:
                first.setdefault(fact.document, fact)
        known: dict[str, Note] = {}
        kinds: dict[str, Note] = {}
        for note in self._notes:
            known.setdefault(note.document, note)
            if note.kind != "found":
                kinds[note.document] = note
        return tuple(_line(note, kinds.get(document), first.get(document)) for document, note in known.items())

    def tallies(self, names: int = 5) -> list[Tally]:
        """
        How many documents came to which line for which reason, the most frequent first; so many of each are named.
        """
        groups = defaultdict[tuple[str | None, bool, str | None], list[str]](list)
        for one in self.documents:
            groups[one.line, one.kind == "unreadable", one.reason].append(one.name)
        found = [
            Tally(line, unreadable, reason, len(of), sorted(of)[:names] if line != "indexed" or unreadable else [])
            for (line, unreadable, reason), of in groups.items()
        ]
        return sorted(found, key=lambda tally: (-tally.count, tally.line or "~", tally.reason or "~"))

    def receipt(self, run: str, still_open: int = 0) -> Receipt:
        """
        How many documents came to which line.
        """
        documents = self.documents
        counted = Counter(one.line for one in documents)
        unreadable = sum(one.kind == "unreadable" and one.line == "indexed" for one in documents)
        return Receipt(run, len(documents), {line: counted[line] for line in LINES}, unreadable, 0, still_open)


def _line(note: Note, other: Note | None, fact: Fact | None) -> DocumentLine:
    kind = "found" if other is None else other.kind
    line: Line | None = fact.line if fact is not None else "skipped" if kind == "skipped" else None
    reason = (fact.reason if fact is not None else None) if other is None else other.reason
    return DocumentLine(note.document, note.name, kind, line, reason, note.why)
