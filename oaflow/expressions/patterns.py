"""
Regular expressions whose time grows with the text and no faster, whatever the pattern: RE2.
"""

from collections.abc import Callable
from functools import cache


class PatternError(ValueError):
    """
    What RE2 does not understand, in a few words, and what can be done.
    """

    def __init__(self, pattern: str, reason: str) -> None:
        looks = "(?" in pattern or "\\" in pattern
        self.help = "patterns have no lookahead, lookbehind or backreferences" if looks else None
        super().__init__(reason)


@cache
def search(pattern: str) -> Callable[[bytes], object]:
    """
    What finds a pattern anywhere in a text in UTF-8: None where it is not there.

    Raises:
        PatternError: the pattern is wrong, or needs what cannot be done in linear time.
    """
    # Only where a pattern is used: 5 ms and a library in C++.
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile(pattern, options).search
    except re2.error as error:
        said = error.args[0] if error.args else "it cannot be read"
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise PatternError(pattern, reason.removesuffix(f": {pattern}")) from None
