"""
`winmail.dat`: the text of the mail and what was attached to it are documents.
"""

import struct
from itertools import accumulate

from oaflow.stages.desk import desk
from oaflow.stages.filetypes import file_type
from oaflow.stages.limits import Limits
from oaflow.stages.reading import read_file, schema_of
from tests.unit.stages.unpacked import members

_FILES = [("Vertrag.pdf", b"%PDF-1.4 and so on"), ("notes.txt", b"words")]


def attribute(level, number, data):
    return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def properties(*pairs):
    """Properties of MAPI, each a number and bytes."""
    made = struct.pack("<I", len(pairs))
    for number, data in pairs:
        made += struct.pack("<HHII", 0x0102, number, 1, len(data)) + data + bytes(-len(data) % 4)
    return attribute(1, 0x00069003, made)


def parts_of(files, *texts):
    made = [struct.pack("<IH", 0x223E9F78, 1), attribute(1, 0x00089006, b"\x00\x00\x01\x00")]
    made += [attribute(1, 0x00069007, struct.pack("<II", 1252, 0)), *texts]
    for name, data in files:
        made += [attribute(2, 0x00069002, bytes(14)), attribute(2, 0x00018010, name.encode() + b"\0")]
        made.append(attribute(2, 0x0006800F, data))
    return made


def winmail(path, files, *texts):
    path.write_bytes(b"".join(parts_of(files, *texts)))
    return path


def test_attachments_are_members_whatever_the_file_is_called(tmp_path):
    path = winmail(tmp_path / "attachment-2", _FILES)

    assert file_type(path, path.name) == "application/ms-tnef"
    assert schema_of("application/ms-tnef") == "Package"
    assert members(path) == (_FILES, None)


def test_the_text_of_the_mail_is_a_member_in_its_richest_form(tmp_path):
    page, plain = b"<html><body>Words</body></html>", attribute(1, 0x0002800C, b"Words\0")
    rich = bytes.fromhex("2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232") + bytes.fromhex(
        "0af32068656c090020627705b06c647d0a800fa0"
    )

    for texts, name, told in (
        ([properties((0x1013, page), (0x1009, rich)), plain], "message.html", page),
        ([properties((0x1009, rich)), plain], "message.rtf", b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"),
        ([plain], "message.txt", b"Words\0"),
    ):
        found, reason = members(winmail(tmp_path / "winmail.dat", _FILES, *texts))

        assert reason is None
        assert [found[0][0], *found[1:]] == [name, *_FILES]
        assert found[0][1].strip(b"\0") == told.strip(b"\0")


def test_no_name_climbs_out_and_one_that_is_given_twice_is_two_documents(tmp_path):
    path = winmail(tmp_path / "winmail.dat", [("..\\..\\etc\\passwd", b"1"), ("../../etc/passwd", b"2")])

    with desk(Limits(), None) as place:
        found = [(member.key, member.name) for member in read_file(path, "x", "application/ms-tnef", place).members]

    assert [name for _, name in found] == ["etc/passwd"] * 2
    assert len({key for key, _ in found}) == 2


def test_of_one_that_is_cut_it_is_said_and_what_came_before_the_cut_is_kept(tmp_path):
    parts, path = parts_of(_FILES), tmp_path / "winmail.dat"
    whole, ends = b"".join(parts), set(accumulate(map(len, parts)))

    for size in range(6, len(whole)):
        path.write_bytes(whole[:size])
        found, reason = members(path)

        assert (reason is None) == (size in ends)
        assert found[:1] in ([], [_FILES[0]]) or len(found) == 1
    path.write_bytes(whole + b"\0garbage")
    assert members(path) == (_FILES, None)
