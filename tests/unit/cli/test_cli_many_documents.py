"""
What a name stands for, where that is shown in part only.
"""

import pytest

from oaflow.cli.tracing import print_traced
from oaflow.operations.tracing import MOST, Found, Traced


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (MOST - 1, f"this matches {MOST - 1} documents\n"),
        (MOST, f"this matches {MOST} documents, and maybe more; name a folder before it to match fewer\n"),
    ],
)
def test_of_as_many_documents_as_are_looked_for_it_is_said_that_there_may_be_more(capsys, number, said):
    found = tuple(Found(f"id-{one}", f"{one}/readme.txt", "letters", "ingest-aaaaaa") for one in range(number))

    print_traced(Traced(found, ()))

    assert said in capsys.readouterr().err
