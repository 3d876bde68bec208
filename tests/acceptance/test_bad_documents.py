"""
Documents that are trouble, through the whole ingest pipeline: each found, accounted for, and named as it is called.
"""

import gzip
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from tests.acceptance.conftest import PATIENCE, ROOT, Command, Result

RUN = ("-d", "demo", "--workers", "1")

# The name on the disk, the word in it, and how it is shown.
ODD_NAMES = [
    (b"report[/red].pdf.txt", "zebra", "report[/red].pdf.txt"),
    (b"[bold]x.txt", "gnu", "[bold]x.txt"),
    (b"two\nlines.txt", "okapi", "two\\nlines.txt"),
    ("Größe.txt".encode("latin-1"), "quagga", "Größe.txt"),
    (b"esc\x1b[31m.txt", "giraffe", "esc\\x1b[31m.txt"),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "source"
    place.mkdir()
    return place


def put(folder: Path, name: bytes, data: bytes) -> None:
    path = os.path.join(os.fsencode(folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as handle:
        handle.write(data)


def balanced(cli: Command) -> dict[str, Any]:
    result = cli("receipt", "--json")
    assert result.code == 0, result.err
    assert result.json["balanced"]
    return result.json


def listed(cli: Command, line: str) -> dict[str, str | None]:
    lines = cli("receipt", "--list", line, "--json").out.splitlines()
    return {each["name"]: each["reason"] for each in map(json.loads, lines)}


def files_with(cli: Command, word: str) -> list[str]:
    found = cli("search", word, "-d", "demo", "--json")
    return [json.loads(line)["file"] for line in found.out.splitlines()]


def harmless(*results: Result) -> None:
    for result in results:
        assert "Traceback" not in result.out + result.err
        assert "\x1b" not in result.out + result.err


def test_odd_names_are_found_searched_and_printed_unharmed(cli: Command, source: Path) -> None:
    for name, word, _ in ODD_NAMES:
        put(source, name, f"the {word}\n".encode())

    run = cli("run", "ingest", str(source), *RUN)

    assert run.code == 0, run.err
    assert balanced(cli)["indexed"] == len(ODD_NAMES)
    shown = cli("receipt", "--list", "indexed")
    harmless(run, shown, cli("status"), cli("failures"))
    for _, word, name in ODD_NAMES:
        assert f"source/{name}" in shown.out.splitlines()
        hits = cli("search", word, "-d", "demo")
        harmless(hits)
        assert word in hits.out
        assert len(files_with(cli, word)) == 1


def test_a_pdf_and_a_file_in_latin_1_among_good_ones_are_found_by_name_and_again_on_the_disk(
    cli: Command, source: Path
) -> None:
    latin = "Büro/Größe.txt".encode("latin-1")
    sample = ROOT / "examples/documents/odd/report[/red].pdf"
    put(source, b"report[/red].pdf", sample.read_bytes())
    put(source, latin, b"the quagga\n")
    put(source, b"two\nlines.csv", b"animal\nokapi\n")

    run = cli("run", "ingest", str(source), *RUN)

    assert run.code == 0, run.err
    assert balanced(cli)["indexed"] == 3
    nightjar = cli("search", "nightjar", "-d", "demo")
    harmless(run, nightjar)
    assert nightjar.out.splitlines()[0] == "source/report[/red].pdf  page 1  Pages"
    assert files_with(cli, "größe") == files_with(cli, "quagga") == ["source/Büro/Größe.txt"]
    assert files_with(cli, "okapi") == ["source/two\nlines.csv"]
    (entity,) = map(json.loads, cli("entities", "-d", "demo", "--schema", "PlainText").out.splitlines())
    (url,) = entity["properties"]["sourceUrl"]
    assert unquote_to_bytes(url.removeprefix("file://")) == os.path.join(os.fsencode(source), latin)


def test_an_odd_name_that_cannot_be_read_is_named_in_the_summary(cli: Command, source: Path) -> None:
    for name, _, _ in ODD_NAMES:
        put(source, name, b"")

    run = cli("run", "ingest", str(source), *RUN)

    assert run.code == 0, run.err
    assert balanced(cli)["unreadable"] == len(ODD_NAMES)
    harmless(run)
    for _, _, name in ODD_NAMES:
        assert f"source/{name}" in run.out


def test_an_odd_name_is_named_where_its_stage_fails(cli: Command, source: Path) -> None:
    for name, _, _ in ODD_NAMES:
        put(source, name, b"x")
    stages = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": [str(source)]}, "next": "fails"},
        "fails": {"task": "stages_for_tests.fails", "retry": 0},
    }
    (cli.folder / "odd.yml").write_text(json.dumps({"pipeline": "odd", "stages": stages}))

    run = cli("run", "odd.yml", *RUN)

    assert run.code == 1, run.err
    assert balanced(cli)["failed"] == len(ODD_NAMES)
    failures = cli("failures")
    harmless(run)
    assert "\x1b" not in failures.out  # the traceback of a stage is shown, and not obeyed
    for _, _, name in ODD_NAMES:
        assert name in run.out
        assert name in failures.out


def test_what_is_no_regular_file_is_skipped_with_its_reason(cli: Command, source: Path) -> None:
    put(source, b"good.txt", b"the good walrus")
    (source / "out").symlink_to("/etc/passwd")
    (source / "in").symlink_to("good.txt")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        # The path of a socket may have 107 letters.
        bound.bind(f"/proc/self/fd/{os.open(source, os.O_RDONLY)}/socket")
    cli.environment["OAFLOW_HOME"] = str(source / "home")

    run = cli("run", "ingest", str(source), *RUN)

    assert run.code == 0, run.err
    receipt = balanced(cli)
    assert (receipt["found"], receipt["indexed"], receipt["skipped"]) == (7, 1, 6)
    assert listed(cli, "skipped") == {
        "source/dangling": "a symbolic link out of the source",
        "source/home": "oaflow's own data (OAFLOW_HOME)",
        "source/in": "a symbolic link within the source",
        "source/out": "a symbolic link out of the source",
        "source/pipe": "a FIFO",
        "source/socket": "a socket",
    }


def test_a_document_that_vanishes_between_crawl_and_extract_was_kept(cli: Command, source: Path) -> None:
    put(source, b"here.txt", b"the fleeting marmot")
    stages = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": [str(source)]}, "next": "gone"},
        "gone": {"task": "stages_for_tests.takes_away", "with": {"folder": str(source)}, "next": "extract"},
        "extract": {"task": "oaflow.stages.extract", "next": {"default": "index", "children": "drop"}},
        "index": {"task": "oaflow.stages.index"},
    }
    (cli.folder / "fleeting.yml").write_text(json.dumps({"pipeline": "fleeting", "stages": stages}))

    run = cli("run", "fleeting.yml", *RUN)

    assert run.code == 0, run.err
    assert not source.exists()
    assert balanced(cli)["indexed"] == 1
    assert files_with(cli, "marmot") == ["source/here.txt"]


def test_bytes_that_vanish_from_the_archive_are_a_failure_with_the_name(cli: Command, source: Path) -> None:
    put(source, b"here.txt", b"the fleeting marmot")
    archive = cli.folder / "home" / "archive"
    stages = {
        "crawl": {"task": "oaflow.stages.crawl", "with": {"source": [str(source)]}, "next": "gone"},
        "gone": {"task": "stages_for_tests.takes_away", "with": {"folder": f"{archive}/"}, "next": "extract"},
        "extract": {"task": "oaflow.stages.extract", "retry": 0, "next": {"default": "index", "children": "drop"}},
        "index": {"task": "oaflow.stages.index"},
    }
    (cli.folder / "fleeting.yml").write_text(json.dumps({"pipeline": "fleeting", "stages": stages}))

    run = cli("run", "fleeting.yml", *RUN)

    assert run.code == 1, run.err
    assert "archive" in run.out
    assert listed(cli, "failed").keys() == {"source/here.txt"}
    harmless(run)


def test_bombs_and_what_climbs_out_of_its_archive(cli: Command, source: Path) -> None:
    packed = zipped({"zeros": b"\0" * 60_000_000})
    (source / "bomb.zip").write_bytes(packed)
    (source / "bomb.gz").write_bytes(gzip.compress(b"\0" * 60_000_000))
    up = "../" * 12
    (source / "slip.zip").write_bytes(
        zipped({f"{up}{cli.folder}/slipped.txt": b"the slippery tapir", "ok.txt": b"the honest tapir"})
    )

    run = cli("run", "ingest", str(source), *RUN)

    assert run.code == 0, run.err
    receipt = balanced(cli)
    assert (receipt["indexed"], receipt["unreadable"]) == (5, 2)
    assert not (cli.folder / "slipped.txt").exists()
    assert sorted(files_with(cli, "tapir")) == [
        "source/slip.zip › ok.txt",
        f"source/slip.zip › {str(cli.folder)[1:]}/slipped.txt",
    ]
    assert all(str(reason).startswith("a bomb") for reason in listed(cli, "unreadable").values())


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_archives_are_unpacked_to_the_depth_of_the_limit_and_the_rest_is_named(cli: Command, source: Path) -> None:
    data, name = b"the deepest aardvark", "deep.txt"
    for level in range(20):
        data, name = zipped({name: data, f"level{level}.txt": f"level{level}word".encode()}), f"n{level}.zip"
    (source / "nested.zip").write_bytes(data)

    run = cli("run", "ingest", str(source), *RUN)

    assert run.code == 0, run.err
    receipt = balanced(cli)
    # The outermost, then 16 times a text and the next archive, of which the last is left as it is.
    assert (receipt["found"], receipt["indexed"], receipt["unreadable"]) == (33, 33, 1)
    ((unread, reason),) = listed(cli, "unreadable").items()
    assert unread.endswith("n3.zip")
    assert "nested deeper than 16 containers" in str(reason)
    (deep,) = files_with(cli, "level4word")
    assert deep.endswith("n4.zip › level4.txt")
    assert files_with(cli, "aardvark") == []


def test_the_last_word_of_a_text_of_20_megabytes_is_found(cli: Command, source: Path) -> None:
    words = b" ".join(b"w%d" % (number * 7919 % 1_000_003) for number in range(300_000))
    (source / "big.txt").write_bytes((words * 12)[:20_000_000] + b" finallastwordomega\n")

    run = cli("run", "ingest", str(source), *RUN)

    assert run.code == 0, run.err
    assert files_with(cli, "finallastwordomega") == ["source/big.txt"]


def test_entities_that_were_given_can_be_loaded_by_the_first_stage(cli: Command) -> None:
    out = cli.folder / "loaded"
    name = cli.pipeline("given", {"loads": {"with": {"out": str(out)}}})
    (cli.folder / "in.json").write_text(
        "".join(
            json.dumps({"id": f"d{number}", "schema": "PlainText", "properties": {"bodyText": [f"text {number}"]}})
            + "\n"
            for number in range(150)
        )
    )

    run = cli("run", name, *RUN, "-i", "in.json")

    assert run.code == 0, run.err
    assert sorted(out.read_text().splitlines()) == sorted(f"d{number} text {number}" for number in range(150))


def test_a_schema_that_followthemoney_does_not_know_is_named_with_its_line(cli: Command) -> None:
    name = cli.pipeline("given", {"end": {}})

    run = cli("run", name, *RUN, "-i", "-", stdin='{"id": "a", "schema": "Persn", "properties": {}}\n')

    assert run.code == 2
    assert run.error == "line 1 of stdin is not an FtM entity: no schema is named 'Persn'"
    assert run.help == "did you mean 'Person'?"


def test_a_stage_that_never_returns_is_shown_with_how_long_it_has_run(
    cli: Command, started: Callable[[Any], Any], until: Callable[[Callable[[], Any]], Any]
) -> None:
    name = cli.pipeline("slow", {"source": {"with": {"count": 1}, "next": "sleeps"}, "sleeps": {}})
    started(cli.start("run", name, *RUN))

    line = until(lambda: next((each for each in cli("status").out.splitlines() if "sleeps job" in each), None))

    assert re.search(r"for [\d.]+ m?s at most", line)
    assert "file0.txt" in line
    assert cli("cancel").code == 0


def test_a_stage_that_prints_a_lot_spoils_neither_the_answer_nor_the_screen(cli: Command) -> None:
    stages = {"source": {"with": {"count": 2}, "next": "prints"}, "prints": {"next": "end"}, "end": {}}
    name = cli.pipeline("loud", stages)

    run = cli("run", name, *RUN, "--json")

    assert run.code == 0, run.err
    assert run.json["stages"]["end"]["done"] == 2
    assert "line 1 of" not in run.err
    lines = cli("logs", "--lines", "0")
    assert sum("line " in line for line in lines.out.splitlines()) == 40_000
    harmless(run, lines)


@pytest.mark.parametrize("disk", ["archive", "temp", "TMPDIR", "home"])
def test_a_run_waits_for_room_on_a_full_disk_and_loses_nothing(
    cli: Command,
    source: Path,
    disk: str,
    started: Callable[[Any], Any],
    until: Callable[[Callable[[], Any]], Any],
) -> None:
    small = cli.folder / {"temp": "home/temp", "home": "home"}.get(disk, "small")
    small.mkdir(parents=True)
    refuse_without_mounts()
    texts = {f"f{number}.txt": f"word{number} ".encode() * 20_000 for number in range(12)}
    if disk == "archive":
        cli.environment["ARCHIVE_PATH"] = str(small)
        room = 1000
        for name, data in texts.items():
            (source / name).write_bytes(data)
    elif disk in ("TMPDIR", "home"):
        cli.environment["TMPDIR" if disk == "TMPDIR" else "ARCHIVE_PATH"] = str(
            small if disk == "TMPDIR" else cli.folder / "archive"
        )
        room = 410
        for name, data in texts.items():
            (source / name).write_bytes(data)
    else:  # there is room for the short texts in the archive, and not for the longest
        room = 1230
        texts["long.txt"] = b"alpha beta " * 120_000
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name, data in texts.items():
                archive.writestr(name, data)
        (source / "all.zip").write_bytes(buffer.getvalue())
    # A private mount namespace: nothing is left where the test is killed.
    place = shlex.quote(str(small))
    disks = f"mount -t tmpfs -o size=8m none {place} && head -c {8192 - room}K /dev/zero > {place}/ballast"
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = ("run", "ingest", str(source), *RUN)
    process = started(cli.with_streams(command, disks=disks, text=True, **streams))

    paused = until(lambda: (shown := cli("status")).code == 0 and " paused" in shown.out and shown.out)

    assert (f"the disk of {small} is full" if disk == "TMPDIR" else "the disk of ") in paused
    assert cli("status", "--json").json["state"] == "paused"
    assert "goes on by itself when there is room" in paused
    assert "oaflow resume" not in paused
    # Through the process's own view of the files: the mount is not in ours.
    Path(f"/proc/{process.pid}/root{small}/ballast").unlink()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "the run is paused: " in err
    assert "the run continues" in err
    receipt = balanced(cli)
    assert (receipt["failed"], receipt["unreadable"]) == (0, 0), out
    assert receipt["indexed"] == len(texts) + (disk == "temp")
    assert len(files_with(cli, "word11")) == 1


def refuse_without_mounts() -> None:
    """
    Skip where no file system can be mounted.
    """
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount a small disk, with unshare (util-linux)")
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
    if tried.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {tried.stderr.decode(errors='replace').strip()}")
