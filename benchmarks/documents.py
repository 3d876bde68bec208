"""
Folders of documents to read: small files of three kinds, and pages that are only pictures. The same on every run.
"""

import random
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

# Of no language: what is measured is reading, not the words. Names, addresses and numbers are what `analyze` looks for.
_TEXT = (
    "harbour ledger dredging tender invoice payment vessel cargo minutes board witness statement quarter report"
    " the of and to in for on with by from at that which was were has been account bank transfer"
    " Vessby Hamburg Northlight Baltmar t.ruiz@northlight.example.com +442079460117 GB82WEST12345698765432"
)
_WORDS = _TEXT.split()

_DOCX = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"'
    ' Target="word/document.xml"/></Relationships>',
}
_BODY = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{}</w:body></w:document>'


def small_files(folder: Path, count: int) -> Path:
    """
    Text, HTML and DOCX in turn, of 1 to 4 kB of text, a hundred to a folder.
    """
    draw = random.Random(count)
    for number in range(count):
        place = folder / f"{number // 100:03}"
        place.mkdir(parents=True, exist_ok=True)
        paragraphs = [sentences(draw) for _ in range(draw.randint(2, 8))]
        stem = place / f"{number:05}"
        match number % 3:
            case 0:
                stem.with_suffix(".txt").write_text("\n\n".join(paragraphs))
            case 1:
                body = "".join(f"<p>{text}</p>" for text in paragraphs)
                stem.with_suffix(".html").write_text(
                    f"<html><head><title>{number}</title></head><body>{body}</body></html>"
                )
            case _:
                body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
                with ZipFile(stem.with_suffix(".docx"), "w", ZIP_DEFLATED) as archive:
                    for name, content in {**_DOCX, "word/document.xml": _BODY.format(body)}.items():
                        archive.writestr(name, content)
    return folder


def scans(folder: Path, count: int) -> Path:
    """
    Pages of A4 at 150 dpi, in grey, with some thirty lines of print.
    """
    from PIL import Image, ImageDraw, ImageFont

    draw = random.Random(count)
    folder.mkdir(parents=True, exist_ok=True)
    font = ImageFont.load_default(26)
    for number in range(count):
        page = Image.new("L", (1240, 1754), 250)
        pen = ImageDraw.Draw(page)
        for line in range(32):
            pen.text((110, 130 + 46 * line), " ".join(draw.choices(_WORDS[:40], k=8)), fill=20, font=font)
        page.save(folder / f"page{number:04}.png")
    return folder


def sentences(draw: random.Random) -> str:
    """
    A paragraph.
    """
    return ". ".join(" ".join(draw.choices(_WORDS, k=draw.randint(6, 18))).capitalize() for _ in range(5)) + "."
