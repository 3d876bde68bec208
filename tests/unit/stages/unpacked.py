"""
What readers find in a file that holds others.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from oaflow.stages.content import Content, Unreadable
from oaflow.stages.desk import Desk, desk
from oaflow.stages.filetypes import file_type
from oaflow.stages.limits import Limits
from oaflow.stages.reading import read_file

Reader = Callable[[Path, str, str, Desk], Content]


def members(
    path: Path, reader: Reader = read_file, **limits: Any
) -> tuple[list[tuple[str, bytes | str | None]], str | None]:
    """
    (name, bytes or why not) of each member, and the reason why the rest was not read.
    """
    found, reason = list[tuple[str, bytes | str | None]](), None
    with desk(Limits(**limits), None) as place:
        content = reader(path, path.name, file_type(path, path.name), place)
        try:
            for member in content.members or ():
                data = member.path.read_bytes() if member.path else None
                found.append((member.name, data if data is not None else member.error or member.skipped))
        except Unreadable as error:
            reason = error.reason
        assert not list(place.temp.iterdir())
    return found, reason
