"""
What is kept of an exception.
"""

from collections.abc import Callable
from typing import Any

from oaflow.runtime.troubles import describe


def here(error: BaseException) -> None:
    raise error


def there(error: BaseException) -> None:
    raise error


def cause(error: BaseException, function: Callable[..., Any] = here, stage: str = "reads") -> str:
    try:
        function(error)
    except type(error) as raised:
        return describe(raised, stage, function)["fingerprint"]
    raise AssertionError


def test_failures_have_one_cause_where_stage_type_and_place_are_the_same_whatever_they_say() -> None:
    one = cause(ValueError("page 1"))

    assert cause(ValueError("page 2")) == one
    others = [
        cause(ValueError("page 1"), stage="writes"),
        cause(KeyError("page 1")),
        cause(ValueError("page 1"), there),
    ]
    assert len({one, *others}) == 4
