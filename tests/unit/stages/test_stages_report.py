from datetime import UTC, datetime
from typing import Any

import pytest

from oaflow.errors import Reject
from oaflow.jobs import Bindings, DatasetJob, Tally, bind
from oaflow.stages import report
from oaflow.stages.reporting import report_of

INDEXED = Tally("indexed", False, None, 1200, [])


def written(*documents: Tally, **facts: Any) -> str:
    known: dict[str, Any] = {
        "dataset": "leak",
        "run": "ingest-abcdef",
        "round": 1,
        "failed": 0,
        "at": datetime(2026, 11, 26, 14, 5, tzinfo=UTC),
        "documents": documents,
        "schemata": {"Email": 1300, "Pages": 4},
        "languages": {"eng": 7},
    }
    return report_of(**known | facts)


def test_a_report_counts_each_document_once_and_says_why_some_are_not_searchable():
    text = written(
        INDEXED,
        Tally("failed", False, "analyze: ValueError: too odd", 12, ["a.txt", "b.txt"]),
        Tally("indexed", True, "encrypted", 2, ["c.pdf", "d.pdf"]),
        Tally(None, False, None, 1, ["e.txt"]),
        failed=12,
    )

    counts = text.split("## ")[1]
    assert counts.splitlines()[2:9] == [
        "| document | |",
        "|---|---:|",
        "| found | 1,215 |",
        "| indexed | 1,200 |",
        "| failed | 12 |",
        "| unreadable | 2 |",
        "| not accounted for | 1 |",
    ]
    assert "12 jobs failed: `oaflow failures ingest-abcdef` says why" in text
    assert "- 12 failed: analyze: ValueError: too odd\n  a.txt, b.txt and 10 more\n" in text
    assert "- 2 unreadable: encrypted\n  c.pdf, d.pdf\n" in text
    assert "- 1 not accounted for: no reason was given\n  e.txt\n" in text
    assert "| Email | 1,300 |\n| Pages | 4 |\n" in text


def test_a_report_says_nothing_of_what_there_is_none_of():
    text = written(INDEXED, schemata={}, languages={})

    assert "failed" not in text
    assert "not searchable" not in text
    assert "Languages" not in text
    assert "round" not in text
    assert text.endswith("## What can be found in the dataset\n\nNothing.\n")
    assert "UTC, round 2\n" in written(INDEXED, round=2)


def test_what_documents_say_of_themselves_is_one_line_and_no_markup():
    odd = Tally("indexed", True, "a\n# heading\x1b[31m", 2, ["<b>|`x`\n- item.txt", "y" * 500])

    line, names = written(odd).split("and why\n\n")[1].splitlines()[:2]

    assert line == r"- 2 unreadable: a \# heading\[31m"
    assert names.startswith(r"  \<b\>\|\`x\` - item.txt, yyy")
    assert names.endswith("y…")
    assert len(names) < 250


def test_beyond_fifty_reasons_the_rest_is_counted():
    text = written(*(Tally("skipped", False, f"reason {number:02}", 3, ["x"]) for number in range(60)))

    assert text.count("skipped: reason") == 50
    assert "- 30 more, for 10 other reasons\n" in text


def test_a_report_outside_of_a_run_is_refused(tmp_path):
    job = DatasetJob(dataset="d", queue="q", task="t")

    with bind(Bindings(entities=None, files=None, queue=None)), pytest.raises(Reject, match="no run to report of"):  # type: ignore[arg-type] # never reached
        report(job)
