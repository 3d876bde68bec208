"""
What is embedded in Office files, and attached to mails of Outlook, comes out as documents of its own.
"""

import io
import zipfile

import olefile
import pytest

from oaflow.dsl import Out
from oaflow.stages import crawl, extract
from oaflow.stages.desk import desk
from oaflow.stages.filetypes import file_type
from oaflow.stages.limits import Limits
from oaflow.stages.reading import read_file
from tests.unit.compound_files import compound_file, mapi_texts, native_object, outlook_mail


def read(tmp_path, name, data):
    """The content of a file, and its members as (name, bytes or reason)."""
    path = tmp_path / name
    path.write_bytes(data)
    with desk(Limits(), None, ocr=False) as place:
        content = read_file(path, name, file_type(path, name), place)
        members = [(each.name, each.path.read_bytes() if each.path else each.error) for each in content.members or ()]
    return content, members


# What writes such files takes 0.2 s to import, and each process of a test run imports this one.


def workbook(text):
    from openpyxl import Workbook

    book, data = Workbook(), io.BytesIO()
    book.active["A1"] = text
    book.save(data)
    return data.getvalue()


def presentation(*objects):
    """A presentation with a picture-less slide that holds some objects, by the names of their kinds."""
    from pptx import Presentation
    from pptx.enum.shapes import PROG_ID
    from pptx.util import Inches

    deck, data = Presentation(), io.BytesIO()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Budget"
    for kind, each in objects:
        slide.shapes.add_ole_object(io.BytesIO(each), PROG_ID[kind], Inches(1), Inches(1))
    deck.save(data)
    return data.getvalue()


def with_parts(data, parts):
    """An Office file with further parts in it."""
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return out.getvalue()


def letter(text):
    from docx import Document

    document, data = Document(), io.BytesIO()
    document.add_paragraph(text)
    document.save(data)
    return data.getvalue()


PDF = b"%PDF-1.4\n" + b"%words\n" * 700


def test_a_workbook_in_a_presentation_is_a_member(tmp_path):
    inner = workbook("hidden sums")

    content, members = read(tmp_path, "deck.pptx", presentation(("XLSX", inner)))

    assert [data for _, data in members] == [inner]
    assert members[0][0].endswith(".xlsx")
    assert "hidden sums" not in "".join([content.text or "", *content.pages])


@pytest.mark.parametrize("name", ["Kontoauszüge März.txt", "счёт.txt"])
def test_a_packaged_file_comes_out_under_its_own_name(tmp_path, name):
    data = with_parts(letter("See the package."), {"word/embeddings/oleObject1.bin": native_object(name, b"the words")})

    content, members = read(tmp_path, "letter.docx", data)

    assert members == [(name, b"the words")]
    assert content.text == "See the package."


@pytest.mark.parametrize(
    ("streams", "name"),
    [
        (lambda: {"\x01CompObj": b"x", "CONTENTS": PDF}, "oleObject7.pdf"),
        (lambda: {"Package": workbook("a")}, "oleObject7.xlsx"),
    ],
)
def test_a_file_without_a_name_is_called_by_its_object_and_type(tmp_path, streams, name):
    written = streams()
    data = with_parts(workbook("x"), {"xl/embeddings/oleObject7.bin": compound_file(written)})

    _, members = read(tmp_path, "book.xlsx", data)

    assert members == [(name, list(written.values())[-1])]


def test_an_old_office_file_is_a_member_as_it_is(tmp_path):
    inner = compound_file({"Workbook": b"\x09\x08" * 3_000})

    _, members = read(tmp_path, "letter.docx", with_parts(letter("x"), {"word/embeddings/oleObject1.bin": inner}))

    assert members == [("oleObject1.xls", inner)]


def test_pictures_and_equations_are_no_documents(tmp_path):
    parts = {
        "word/media/image9.png": b"\x89PNG\r\n\x1a\n",
        "word/embeddings/oleObject1.bin": compound_file({"Equation Native": b"x" * 100}),
    }

    _, members = read(tmp_path, "letter.docx", with_parts(letter("x"), parts))

    assert members == []


def test_a_damaged_object_does_no_harm_to_its_siblings(tmp_path):
    whole = native_object("a.txt", b"words" * 1_000)
    parts = {"word/embeddings/oleObject1.bin": whole[:1_500], "word/embeddings/oleObject2.bin": whole}

    _, (lost, found) = read(tmp_path, "letter.docx", with_parts(letter("x"), parts))

    assert lost[0] == "oleObject1.bin"
    assert lost[1].startswith(("damaged", "truncated"))
    assert found == ("a.txt", b"words" * 1_000)


def test_objects_of_older_office_files_come_out_too(tmp_path):
    data = compound_file({"WordDocument": bytes(5_000), "ObjectPool/_1/CONTENTS": PDF, "ObjectPool/_2/Package": PDF})
    path = tmp_path / "old.doc"
    path.write_bytes(data)

    from oaflow.stages.embedded import objects

    with desk(Limits(), None) as place:
        assert [(each.key, each.name) for each in objects(path, place) or ()] == [
            ("ObjectPool/_1", "object-1.pdf"),
            ("ObjectPool/_2", "object-2.pdf"),
        ]


@pytest.fixture
def found(bindings, job, source):
    """
    A letter with three objects in it, crawled.
    """
    parts = {f"word/embeddings/oleObject{n}.bin": native_object(f"{n}.txt", b"word %d" % n) for n in range(1, 4)}
    (source / "letter.docx").write_bytes(with_parts(letter("outer"), parts))
    (found,) = list(crawl(job.model_copy(update={"batch": None}), source=[str(source / "letter.docx")]))
    bindings.notes.clear()
    return found


def test_objects_are_children_that_are_counted(bindings, found):
    outs = list(extract(found))

    children = [entity for each in outs if isinstance(each, Out) for entity in each.job.entities]
    assert [each["properties"]["fileName"] for each in children] == [["1.txt"], ["2.txt"], ["3.txt"]]
    assert [each["properties"]["parent"] for each in children] == [[found.entities[0]["id"]]] * 3
    assert [note.name for note in bindings.notes if note.kind == "found"] == [
        "letter.docx/1.txt",
        "letter.docx/2.txt",
        "letter.docx/3.txt",
    ]


def test_objects_beyond_the_limit_of_members_are_not_unpacked(bindings, found, monkeypatch):
    monkeypatch.setenv("OAFLOW_ARCHIVE_MEMBERS", "2")

    list(extract(found))

    assert next(note.reason for note in bindings.notes if note.kind == "unreadable").startswith("too many members")


INNER = "__attach_version1.0_#00000001/__substg1.0_3701000D/"


def recipient(number, kind, texts):
    """Somebody to whom the inner mail goes, as Outlook keeps it."""
    place = f"{INNER}__recip_version1.0_#{number:08}/"
    kept = (0x0C150003).to_bytes(4, "little") + bytes(4) + kind.to_bytes(8, "little")
    return {**mapi_texts(place, texts), f"{place}__properties_version1.0": bytes(8) + kept}


MAIL = {
    **mapi_texts(
        "", {0x001A: "IPM.Note", 0x0037: "Outer", 0x1000: "The body.", 0x0C1A: "Anna", 0x0C1F: "anna@example.org"}
    ),
    **mapi_texts(
        "__attach_version1.0_#00000000/",
        {0x3707: "Verträge März.pdf", 0x3704: "VERTRA~1.PDF", 0x370E: "application/pdf"},
    ),
    "__attach_version1.0_#00000000/__substg1.0_37010102": PDF,
    **mapi_texts("__attach_version1.0_#00000001/", {0x3001: "inner"}),
    **mapi_texts(
        "__attach_version1.0_#00000001/__substg1.0_3701000D/",
        {0x0037: "Innen/außen", 0x1000: "Grüße", 0x0C1A: "Jörg", 0x5D01: "joerg@example.org"},
    ),
    **recipient(0, 1, {0x3001: "Keller, Anna", 0x39FE: "anna@example.org"}),
    **recipient(1, 1, {0x3001: "Chen Wei", 0x3003: "/O=EXCHANGE/CN=CHEN"}),
    **recipient(2, 2, {0x3001: "b@example.org", 0x39FE: "b@example.org"}),
    # When it was sent: 1 June 2024, in steps of 100 ns since 1601.
    "__attach_version1.0_#00000001/__substg1.0_3701000D/__properties_version1.0": bytes(24)
    + (0x00390040).to_bytes(4, "little")
    + bytes(4)
    + (133_616_736_000_000_000).to_bytes(8, "little"),
    **mapi_texts(
        "__attach_version1.0_#00000001/__substg1.0_3701000D/__attach_version1.0_#00000000/", {0x3707: "счёт.txt"}
    ),
    "__attach_version1.0_#00000001/__substg1.0_3701000D/__attach_version1.0_#00000000/__substg1.0_37010102": b"deep",
}


def test_attachments_of_a_mail_of_outlook_are_members_and_a_mail_in_it_is_one_with_its_own(tmp_path):
    content, members = read(tmp_path, "mail.msg", outlook_mail(MAIL))

    assert (content.schema, content.properties["subject"]) == ("Email", ["Outer"])
    assert members[0] == ("Verträge März.pdf", PDF)
    assert members[1][0] == "Innen außen.eml"
    inner, deeper = read(tmp_path, "inner.eml", members[1][1])
    assert inner.text == "Grüße"
    assert inner.properties["subject"] == ["Innen/außen"]
    assert inner.properties["from"] == ["Jörg <joerg@example.org>"]
    assert inner.properties["to"] == ["Keller, Anna <anna@example.org>", "Chen Wei"]
    assert inner.properties["cc"] == ["b@example.org"]
    assert inner.properties["date"] == ["2024-06-01T00:00:00+00:00"]
    assert deeper == [("счёт.txt", b"deep")]


def test_a_stream_that_lies_about_its_length_is_damaged_and_takes_no_memory(tmp_path):
    data = bytearray(outlook_mail(MAIL))
    with olefile.OleFileIO(io.BytesIO(bytes(data))) as ole:
        assert ole.get_size("__attach_version1.0_#00000000/__substg1.0_37010102") == len(PDF)
    at = data.index(len(PDF).to_bytes(8, "little"))
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    path = tmp_path / "mail.msg"
    path.write_bytes(bytes(data))

    from oaflow.stages.content import Unreadable
    from oaflow.stages.embedded import attached

    with desk(Limits(), None) as place, pytest.raises(Unreadable, match="damaged"):
        list(attached(path, place))
