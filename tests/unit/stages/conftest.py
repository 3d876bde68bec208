"""
What stages reach in these tests: a real archive in a folder, and a store that merges as the real one does.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from followthemoney import model
from followthemoney.proxy import EntityProxy

from oaflow.files import Archive, ArchiveOptions
from oaflow.jobs import Bindings, DatasetJob, bind
from oaflow.stages.limits import limits


class Shelf:
    """
    Entities by id and fragment; reading merges the fragments.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], EntityProxy] = {}
        self.indexed: list[str] = []

    def writer(self, dataset: str, origin: str, fragment: str = "default", replace: bool = False) -> "Pen":
        return Pen(self, origin, fragment)

    def load(self, dataset: str, ids: Iterable[str]) -> Iterator[EntityProxy]:
        for wanted in ids:
            parts = [entity for (id, *_), entity in self.rows.items() if id == wanted]
            if parts:
                merged = parts[0].clone()
                for part in parts[1:]:
                    merged.merge(part)
                yield merged

    def index(self, dataset: str, entities: Iterable[EntityProxy], documents: Iterable[str] = ()) -> None:
        self.indexed.extend(entity.id or "" for entity in entities)

    def all(self) -> list[EntityProxy]:
        return list(self.load("d", dict.fromkeys(id for id, *_ in self.rows)))


class Pen:
    def __init__(self, shelf: Shelf, origin: str, fragment: str) -> None:
        self.shelf, self.origin, self.fragment = shelf, origin, fragment

    def __enter__(self) -> "Pen":
        return self

    def __exit__(self, *exception: Any) -> None: ...

    def add(self, entity: Any) -> None:
        self.put(entity)

    def put(self, entity: Any, fragment: str | None = None, origin: str | None = None) -> None:
        proxy = model.get_proxy(entity) if isinstance(entity, dict) else entity.clone()
        self.shelf.rows[proxy.id, origin or self.origin, fragment or self.fragment] = proxy

    def flush(self) -> None: ...

    def settle(self, *, alone: bool = False) -> None: ...


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def bindings(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bindings]:
    monkeypatch.setenv("OAFLOW_HOME", str(tmp_path / "home"))
    archive = Archive(ArchiveOptions(path=tmp_path / "archive"))
    limits.cache_clear()  # a process reads its environment once; here, each test is one
    with bind(Bindings(entities=shelf, files=archive, queue=None, origin="ingest/stage")) as bound:  # type: ignore[arg-type] # no stage here queues
        yield bound


@pytest.fixture
def job() -> DatasetJob:
    return DatasetJob(dataset="d", queue="ingest", task="oaflow.stages.crawl", batch="ingest-abcdef")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder
