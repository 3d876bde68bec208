"""
What is written out of a text that anybody may have written, and what stays.
"""

from oaflow.visible import visible


def test_what_a_terminal_would_obey_is_written_out_and_all_else_stays():
    assert visible("report[/red].pdf") == "report[/red].pdf"
    assert visible("a\nb\t\x1b[31m\u202e\ud800\u3000\x85") == r"a\nb\t\x1b[31m\u202e\ud800\u3000\x85"


def test_what_is_to_be_kept_is_kept():
    assert visible("a\nb\t\u3000c", kept="\n\u3000") == "a\nb\\t\u3000c"
