"""
What a document takes on disk after a run: in the archive, and in the database, table by table.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg

from benchmarks import documents
from benchmarks.ground import ROOT, Ground, ground
from benchmarks.harness import Figure, Report, Size
from benchmarks.rates import executors_of_all_cores

SMALL: dict[Size, int] = {"tiny": 60, "small": 600, "full": 10_000}
SCANS: dict[Size, int] = {"tiny": 1, "small": 10, "full": 60}

# What a table is for, by the beginning of its name; the rest is oaflow's own.
KINDS: Mapping[str, tuple[str, ...]] = {
    "entities": ("ftm_", "oaflow.ftm_"),  # where they are made depends on the role that makes them
    "search": ("oaflow.passages",),
    "history": ("oaflow.hops", "oaflow.timings"),
    "finished jobs": ("procrastinate_",),
    "kept for later runs": ("oaflow.crawled", "oaflow.steps", "oaflow.arrived", "oaflow.emitted"),
}
REST = "the rest of oaflow's tables"

_ROOM = """
SELECT CASE n.nspname WHEN 'oaflow' THEN 'oaflow.' ELSE '' END || c.relname, pg_total_relation_size(c.oid)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^(pg_|information_schema)'
"""


def measure(size: Size, rounds: int) -> Report:
    """
    One run for each folder, however many rounds: bytes do not depend on who else works.
    """
    with ground() as place:
        folders: dict[str, Callable[[], Path]] = {
            "samples": lambda: ROOT / "examples" / "documents",
            "small files": lambda: documents.small_files(place.folder / "small", SMALL[size]),
            "scans": lambda: documents.scans(place.folder / "scans", SCANS[size]),
        }
        figures = [
            figure
            for number, (name, made) in enumerate(folders.items())
            for figure in _kept(place, name, made(), number)
        ]
    return Report(
        "disk",
        "what a document takes on disk after `oaflow run ingest`, on our own server",
        tuple(figures),
        (
            "Tables with their indexes, as they are at the end of the run, less what they take when empty. Documents:"
            " members of archives and attachments are such, too. kB are 1,000 bytes.",
            "Finished jobs and history go in time (OAFLOW_KEEP). The archive holds a file once, however often it is"
            " there.",
        ),
    )


def _kept(place: Ground, name: str, folder: Path, number: int) -> list[Figure]:
    address, archive = place.database(f"disk{number}", events=False), place.folder / f"archive{number}"
    before = tables(address)
    place.ingested(folder, address, executors_of_all_cores(), ARCHIVE_PATH=str(archive))
    count = _documents(address)
    room: Counter[str] = Counter()
    for table, size in tables(address).items():
        kind = next((kind for kind, names in KINDS.items() if table.startswith(names)), REST)
        room[kind] += size - before.get(table, 0)
    sources = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    sizes = {
        "the files themselves": sources,
        "archive": _disk(archive),
        **{f"database, {kind}": room[kind] for kind in [*KINDS, REST]},
        "database, all": room.total(),
    }
    return [
        Figure(f"{name} ({count:,}): {what}", "kB a document", (size / count / 1000,)) for what, size in sizes.items()
    ]


def _documents(address: str) -> int:
    with psycopg.connect(address, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT document) FROM oaflow.documents WHERE kind = 'found'"
        ).fetchone()
    assert row is not None
    return row[0]


def tables(address: str) -> dict[str, int]:
    """
    Bytes of each table of a database, with its indexes and what is kept beside it.
    """
    with psycopg.connect(address, autocommit=True) as connection:
        return dict(connection.execute(_ROOM).fetchall())


def _disk(folder: Path) -> int:
    """
    Bytes of the blocks that a folder takes.
    """
    return sum(path.lstat().st_blocks * 512 for path in [folder, *folder.rglob("*")])
