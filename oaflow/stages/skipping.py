"""
What is left out by its name: what file managers and office programs write beside documents, for themselves.
"""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache

# Of macOS, of Windows, and the locks of documents that are open. They are no documents, and each would count as one
# that cannot be read.
LITTER = (".DS_Store", "._*", "__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "~$*", ".~lock.*#")

# Answers why something of that name is left out, or None.
Skip = Callable[[str], str | None]


def skipping(patterns: Iterable[str] | None) -> Skip:
    """
    Which names are left out.

    Args:
        patterns: of names, as a shell has them, in any case; None: `LITTER`.
    """
    return _skipping(LITTER if patterns is None else tuple(patterns))


# Asked for each document, with the patterns of its run.
@lru_cache(maxsize=16)
def _skipping(patterns: tuple[str, ...]) -> Skip:
    each = [(pattern, re.compile(translate(pattern), re.IGNORECASE)) for pattern in patterns]
    whole = re.compile("|".join(compiled.pattern for _, compiled in each) or r"(?!)", re.IGNORECASE)

    def skip(name: str) -> str | None:
        # Most names match none: one look is enough to see it.
        if whole.match(name) is None:
            return None
        pattern = next(pattern for pattern, compiled in each if compiled.match(name))
        return f"left out by its name ({pattern})"

    return skip
