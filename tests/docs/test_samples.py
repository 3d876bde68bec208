"""
How samples are read and compared.
"""

from tests.docs.samples import agrees, blocks, typed


def test_a_block_has_its_language_options_and_line():
    [block] = blocks('one\n\n```console exit="1"\n$ true\n```\n')

    assert (block.language, block.options, block.body, block.line) == ("console", {"exit": "1"}, "$ true\n", 3)


def test_a_block_in_a_list_loses_its_indent():
    [block] = blocks("- item\n\n  ```text\n  a\n    b\n  ```\n")

    assert block.body == "a\n  b\n"


def test_commands_are_told_from_what_they_print():
    first, second = typed("$ one \\\n    more\nprinted\n$ two\n")

    assert (first.command, first.shown) == ("one \\\n    more", ("printed",))
    assert (second.command, second.shown) == ("two", ())


def test_dots_stand_for_anything_and_nothing_else_does():
    assert agrees(("...", "three"), "one\ntwo\nthree\n")
    assert agrees(("...", "one", "..."), "one\n")
    assert agrees(("one ... three",), "one two three")
    assert not agrees(("...", "three"), "one\ntwo\n")
    assert not agrees(("one",), "one\ntwo\n")


def test_durations_widths_and_ids_of_runs_are_not_compared():
    assert agrees(
        ("run words-aaaaaa finished after 1.5 s  dataset a",), "run words-b2b2b2 finished after 31 s dataset a"
    )
    for longer in ("1 min", "1 min 5 s", "2 h 10 min", "3 h"):
        assert agrees(("finished after 8.2 s  dataset a",), f"finished after {longer}  dataset a")
    assert agrees(("run words-aaaaaa", "retry words-aaaaaa"), "run words-b2b2b2\nretry words-b2b2b2")
    assert not agrees(("run words-aaaaaa finished",), "run other finished")
