"""
Archives are unpacked as far as they may be, and nothing in them reaches outside.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import pytest

from oaflow.errors import NoRoomError
from oaflow.stages.archives import shown, unpack
from oaflow.stages.desk import Desk, desk
from oaflow.stages.limits import Limits
from tests.unit.stages import unpacked

# Not what chooses the reader, which refuses a file that is itself larger than a member may be.
members = partial(unpacked.members, reader=unpack)


def zip_of(path, files, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return path


def tar_of(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


_FILES = [("a.txt", b"one"), ("folder/b.txt", b"two")]


def test_a_zip_gives_its_files(tmp_path):
    assert members(zip_of(tmp_path / "x.zip", _FILES)) == (_FILES, None)


@pytest.mark.parametrize(
    ("name", "mode"), [("x.tar", "w"), ("x.tgz", "w:gz"), ("x.tar.bz2", "w:bz2"), ("x.tar.xz", "w:xz")]
)
def test_a_tar_gives_its_files_in_any_coat(tmp_path, name, mode):
    assert members(tar_of(tmp_path / name, _FILES, mode)) == (_FILES, None)


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_a_compressed_file_gives_the_one_file_in_it(tmp_path, ending, pack):
    path = tmp_path / f"notes.txt.{ending}"
    path.write_bytes(pack(b"words"))

    assert members(path) == ([("notes.txt", b"words")], None)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\etc\\passwd", "./../etc//passwd"])
def test_no_name_climbs_out_of_its_archive(tmp_path, name):
    found, _ = members(zip_of(tmp_path / "x.zip", [(name, b"x")]))

    assert found == [("etc/passwd", b"x")]
    assert shown(name) == "etc/passwd"


def test_a_bomb_that_admits_it_is_not_unpacked(tmp_path):
    path = zip_of(tmp_path / "x.zip", [("zeros", b"\x00" * 40_000_000)])

    found, reason = members(path)

    assert found == []
    assert reason is not None
    assert reason.startswith("a bomb: unpacks to more than 200 times its size")


def test_a_bomb_that_lies_is_stopped_while_it_unpacks(tmp_path):
    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(b"\x00" * 40_000_000))

    found, reason = members(path)

    assert found == []
    assert reason is not None
    assert reason.startswith("a bomb")


def test_an_archive_may_not_unpack_to_more_than_the_limit(tmp_path):
    path = tar_of(tmp_path / "x.tar", [("a", b"x" * 900), ("b", b"x" * 900)])

    found, reason = members(path, archive_bytes=1000)

    assert [name for name, _ in found] == ["a"]
    assert reason == "a bomb: unpacks to more than 1,000 bytes (OAFLOW_ARCHIVE_BYTES)"


def test_members_beyond_the_limit_are_not_unpacked_and_that_is_said(tmp_path):
    found, reason = members(zip_of(tmp_path / "x.zip", [(f"{n}", b"x") for n in range(5)]), archive_members=3)

    assert len(found) == 3
    assert reason == "too many members: 3 were unpacked, the rest not (OAFLOW_ARCHIVE_MEMBERS)"


def test_one_member_that_is_too_large_does_not_hide_its_siblings(tmp_path):
    found, reason = members(zip_of(tmp_path / "x.zip", [("big", b"x" * 50), ("small", b"x")]), file_bytes=10)

    assert found == [("big", "too large: more than 10 bytes (OAFLOW_FILE_BYTES)"), ("small", b"x")]
    assert reason is None


def test_a_truncated_tar_gives_what_came_before_the_cut(tmp_path):
    path = tar_of(tmp_path / "x.tgz", [("a", b"x" * 10), ("b", bytes(range(256)) * 400)], "w:gz")
    path.write_bytes(path.read_bytes()[:-200])

    found, reason = members(path)

    assert [name for name, _ in found][:1] == ["a"]
    assert reason is not None
    assert "truncated" in reason


def test_a_truncated_zip_is_damaged(tmp_path):
    path = zip_of(tmp_path / "x.zip", _FILES)
    path.write_bytes(path.read_bytes()[:-30])

    assert members(path)[1] == "truncated or damaged: File is not a zip file"


def test_a_member_with_a_wrong_check_sum_is_damaged_alone(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bad", b"AAAA")
        archive.writestr("good", b"BBBB")
    path.write_bytes(path.read_bytes().replace(b"AAAA", b"AAAC"))

    found, _ = members(path)

    assert found[0][1].startswith("damaged")
    assert found[1] == ("good", b"BBBB")


def test_links_in_a_tar_are_no_documents(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)

    assert members(path) == ([("link", "a link inside an archive")], None)


def test_two_members_of_one_name_are_two_documents(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = zip_of(tmp_path / "x.zip", [("a", b"1"), ("a", b"2")])

    with desk(Limits(), None) as place:
        keys = [member.key for member in unpack(path, "x.zip", "application/zip", place).members or ()]

    assert len(set(keys)) == 2


def test_a_name_in_utf8_without_the_flag_is_read_as_it_was_written(tmp_path):
    path = zip_of(tmp_path / "x.zip", [("Xxx.txt", b"x")])
    path.write_bytes(path.read_bytes().replace(b"Xxx.txt", "Zü.txt".encode()))

    assert members(path)[0] == [("Zü.txt", b"x")]


@pytest.mark.parametrize("ending", ["zip", "tar", "tgz", "gz"])
def test_a_full_disk_is_no_damage_of_the_archive(tmp_path, monkeypatch, ending):
    path = tmp_path / f"x.{ending}"
    if ending == "zip":
        zip_of(path, _FILES)
    elif ending == "gz":
        path.write_bytes(gzip.compress(b"words"))
    else:
        tar_of(path, _FILES, "w:gz" if ending == "tgz" else "w")
    monkeypatch.setattr(Desk, "paper", lambda desk: _Full(desk.temp / "0.part"))

    with pytest.raises(NoRoomError, match="no room for what a file unpacks to"):
        members(path)


class _Full(type(Path())):
    """A file on a disk without room."""

    def open(self, *args, **kwargs):
        raise OSError(28, "No space left on device", str(self))
