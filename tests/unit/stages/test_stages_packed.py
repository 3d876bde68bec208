"""
Archives that libarchive reads: each member is a document, what cannot be read is said, and nothing reaches outside.
"""

import os
import struct
import zlib

import pytest

from oaflow.stages import packed
from oaflow.stages.content import Unreadable
from oaflow.stages.desk import desk
from oaflow.stages.filetypes import file_type
from oaflow.stages.limits import Limits
from oaflow.stages.reading import read_file, schema_of
from tests.unit.stages.unpacked import members

pytestmark = pytest.mark.skipif(packed.library() is None, reason="there is no libarchive here")

_FILES = [("a.txt", b"one"), ("folder/b.txt", b"two" * 9_000), ("Вася/ü.txt", b"three")]


def archive_of(path, files, form="7zip"):
    import libarchive

    with libarchive.file_writer(str(path), form) as archive:
        for name, data in files:
            archive.add_file_from_memory(name, len(data), data)
    return path


def rar_of(path, files, *, split=False):
    """A RAR of version 4 in which nothing is compressed: marker, head, and a block for each file."""

    def block(kind, flags, body, data=b""):
        head = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
        return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head + data

    made = b"Rar!\x1a\x07\x00" + block(0x73, 0, bytes(6))
    for name, data in files:
        told = name.encode()
        fields = struct.pack("<IIBIIBBHI", len(data), len(data), 3, zlib.crc32(data), 0, 20, 0x30, len(told), 0o100644)
        made += block(0x74, 0x8000, fields + told, data)
    path.write_bytes(made if split else made + block(0x7B, 0x4000, b""))
    return path


@pytest.mark.parametrize(("name", "form"), [("x.7z", "7zip"), ("x.iso", "iso9660"), ("x.cpio", "cpio_newc")])
def test_an_archive_gives_its_files_whatever_it_is_called_in(tmp_path, name, form):
    path = archive_of(tmp_path / name, _FILES, form)

    assert schema_of(file_type(path, path.name)) == "Package"
    found, reason = members(path)
    assert sorted(found) == sorted(_FILES)
    assert reason is None


def test_a_rar_gives_its_files_in_their_order(tmp_path):
    assert members(rar_of(tmp_path / "no-ending", _FILES[:2])) == (_FILES[:2], None)


def test_of_a_cut_archive_what_came_before_the_cut_is_kept(tmp_path):
    path = rar_of(tmp_path / "x.rar", _FILES[:2])
    os.truncate(path, path.stat().st_size - 10_000)

    found, reason = members(path)

    assert found[0] == _FILES[0]
    assert found[1][1].startswith("truncated or damaged: ")
    assert reason is None or reason.startswith("truncated or damaged: ")


def test_bytes_that_are_no_archive_are_damaged(tmp_path):
    path = tmp_path / "x.7z"
    path.write_bytes(b"7z\xbc\xaf\x27\x1c" + os.urandom(400))

    found, reason = members(path)

    assert found == []
    assert reason.startswith("truncated or damaged: ")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "./../etc//passwd"])
def test_no_name_climbs_out(tmp_path, name):
    found, _ = members(rar_of(tmp_path / "x.rar", [(name, b"x")]))

    assert found == [("etc/passwd", b"x")]


def test_a_link_is_named_and_not_followed(tmp_path):
    import libarchive

    with libarchive.file_writer(str(tmp_path / "x.cpio"), "cpio_newc") as archive:
        archive.add_file_from_memory("link", 0, b"", filetype=0o120000, linkpath="/etc/passwd")

    assert members(tmp_path / "x.cpio") == ([("link", "a link inside an archive")], None)


def test_a_bomb_is_stopped_while_it_goes_off(tmp_path):
    path = archive_of(tmp_path / "x.7z", [("zeros", bytes(64 * 1024**2)), ("after", b"x")])

    found, reason = members(path)

    assert found == []
    assert reason.startswith("a bomb: ")


def test_a_member_that_is_too_large_leaves_its_siblings(tmp_path):
    found, reason = members(archive_of(tmp_path / "x.7z", _FILES[:2]), file_bytes=2_000)

    assert (found[0], reason) == (_FILES[0], None)
    assert found[1][1].startswith("too large: ")


def test_two_members_of_one_name_are_two_documents(tmp_path):
    with desk(Limits(), None) as place:
        path = rar_of(tmp_path / "x.rar", [("a", b"1"), ("a", b"2")])
        keys = [member.key for member in packed.unpack_packed(path, "application/vnd.rar", place).members or ()]

    assert len(set(keys)) == 2


def test_without_the_library_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("oaflow.stages.packed.library", lambda: None)
    monkeypatch.setattr("oaflow.stages.reading.library", lambda: None)

    with desk(Limits(), None) as place, pytest.raises(Unreadable, match=r"rar: .*apt install libarchive13"):
        read_file(rar_of(tmp_path / "x.rar", _FILES), "x.rar", "application/vnd.rar", place)
    with desk(Limits(), None) as place:
        content = read_file(archive_of(tmp_path / "x.7z", _FILES), "x.7z", "application/x-7z-compressed", place)
    assert "three" in (content.text or "")
