"""
Reads the query of an address, which follows its question mark.
"""

from starlette.requests import Request

from oaflow.errors import UsageError

# Digits of a number: what a bigint holds.
_DIGITS = 18


def asked(request: Request, name: str) -> str | None:
    """
    A text; None where there is none.
    """
    return request.query_params.get(name) or None


def number(request: Request, name: str) -> int | None:
    """
    A number; None where there is none.

    Raises:
        UsageError: it is no number.
    """
    given = asked(request, name)
    if given is None:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > _DIGITS:
        raise UsageError(f"{given[:100]!r} is no number")
    return int(given)
