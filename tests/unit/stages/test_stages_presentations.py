"""
A slide is a page: what is on it, beside it and below it is found with its number.
"""

import io
import zipfile

import pytest

from oaflow.stages.desk import desk
from oaflow.stages.filetypes import file_type
from oaflow.stages.limits import Limits
from oaflow.stages.reading import read_file


def read(tmp_path, data, limits=None):
    path = tmp_path / "deck.pptx"
    path.write_bytes(data)
    with desk(limits or Limits(), None, ocr=False) as place:
        return read_file(path, path.name, file_type(path, path.name), place)


# What writes slides takes 0.1 s to import, and each process of a test run imports this file.


def deck(*titles):
    from pptx import Presentation

    presentation = Presentation()
    for title in titles:
        presentation.slides.add_slide(presentation.slide_layouts[5]).shapes.title.text = title
    return presentation


def add_chart(slide):
    from pptx.chart.data import CategoryChartData
    from pptx.enum.chart import XL_CHART_TYPE
    from pptx.util import Inches

    figures = CategoryChartData()
    figures.categories = ["Harbour"]
    figures.add_series("Dredged", (4711,))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, Inches(1), Inches(3), Inches(4), Inches(2), figures)


def saved(presentation):
    data = io.BytesIO()
    presentation.save(data)
    return data.getvalue()


def test_slides_are_pages_in_the_order_in_which_they_are_shown(tmp_path):
    presentation = deck("first", "second", "third")
    order = presentation.slides._sldIdLst
    order.insert(0, order[2])

    content = read(tmp_path, saved(presentation))

    assert (content.schema, content.text) == ("Pages", None)
    assert content.pages == ["third", "first", "second"]


def test_a_slide_has_its_table_its_chart_and_its_notes(tmp_path):
    presentation = deck("Budget", "Thanks")
    slide = presentation.slides[0]
    inch = 914_400
    table = slide.shapes.add_table(1, 2, inch, inch, 4 * inch, inch).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Anna Keller", "Chen Wei"
    add_chart(slide)
    slide.notes_slide.notes_text_frame.text = "Say nothing of the boxes."

    content = read(tmp_path, saved(presentation))

    budget, thanks = content.pages
    assert budget.splitlines()[:2] == ["Budget", "Anna Keller\tChen Wei"]
    assert {"Harbour", "4711.0"} < set(budget.splitlines()) or {"Harbour", "4711"} < set(budget.splitlines())
    assert budget.endswith("Say nothing of the boxes.")
    assert thanks == "Thanks"


def test_what_is_said_again_for_older_programs_is_read_once(tmp_path):
    data, out = saved(deck("words")), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for info in source.infolist():
            part = source.read(info)
            if info.filename == "ppt/slides/slide1.xml":
                old = b"<p:sp>"
                start, end = part.index(old), part.index(b"</p:sp>") + len(b"</p:sp>")
                shape = part[start:end]
                both = (
                    b'<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
                    b'<mc:Choice Requires="a14">%b</mc:Choice><mc:Fallback>%b</mc:Fallback></mc:AlternateContent>'
                )
                part = part[:start] + both % (shape, shape) + part[end:]
            target.writestr(info, part)

    assert read(tmp_path, out.getvalue()).pages == ["words"]


def test_a_damaged_part_leaves_the_text_whole_and_without_numbers(tmp_path):
    presentation = deck("first", "second")
    add_chart(presentation.slides[1])
    data, out = saved(presentation), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for info in source.infolist():
            part = source.read(info)
            target.writestr(info, part[:200] if info.filename.startswith("ppt/charts/chart") else part)

    content = read(tmp_path, out.getvalue())

    assert content.pages == []
    assert (content.text or "").split() == ["first", "second"]


@pytest.mark.parametrize(
    ("pages", "error"), [(1, "too many pages: the first 1 of 2 were read (OAFLOW_PAGES)"), (2, None)]
)
def test_more_slides_than_the_limit_are_not_read_and_that_is_said(tmp_path, pages, error):
    content = read(tmp_path, saved(deck("first", "second")), Limits(pages=pages))

    assert (content.pages, content.error) == (["first", "second"][:pages], error)
