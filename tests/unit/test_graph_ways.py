"""
The way to a document as one line.
"""

from oaflow.entities.ways import Step, shown


def steps(*names: tuple[str, bool]) -> list[Step]:
    return [*(Step(name, folder) for name, folder in names), Step("notes.txt", False)]


def test_a_folder_is_followed_by_a_slash_and_an_archive_by_an_arrow():
    way = steps(("documents", True), ("archives", True), ("evidence.zip", False), ("old_laptop.zip", False))

    assert shown(way) == "documents/archives/evidence.zip › old_laptop.zip › "


def test_a_file_that_was_crawled_alone_is_named():
    assert shown(steps(("mails.mbox", False))) == "mails.mbox › "


def test_what_has_no_name_is_left_out():
    assert shown([Step(None, False), Step("a.txt", False)]) == ""
