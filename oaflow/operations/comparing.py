"""
Two plans beside each other: what changed from one to the other, and whether runs in flight may go over.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from oaflow.plan import Plan
from oaflow.plan.differences import Change, changes
from oaflow.plan.moving import obstacles


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What is different in `new`, and what keeps a run of `old` from going over to it.
    """

    old: Plan
    new: Plan
    changes: tuple[Change, ...]
    obstacles: tuple[str, ...]

    @property
    def same(self) -> bool:
        return self.old.digest == self.new.digest

    def as_json(self) -> dict[str, Any]:
        """
        As `oaflow plan --diff --json` prints it.
        """
        return {
            "old": self.old.digest,
            "new": self.new.digest,
            "same": self.same,
            "changes": [asdict(change) for change in self.changes],
            "movable": not self.obstacles,
            "obstacles": list(self.obstacles),
        }


def compare(old: Plan, new: Plan) -> Comparison:
    """
    Two plans beside each other.
    """
    return Comparison(old, new, tuple(changes(old, new)), tuple(obstacles(old, new)))


def kept_plan(typed: str) -> Plan | None:
    """
    The plan that a file holds as `oaflow plan` has printed it; None where what was typed is no such file.

    Raises:
        EnvironmentProblem: the plan was made by a later version.
    """
    path = Path(typed)
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        body = orjson.loads(path.read_bytes())
    except (orjson.JSONDecodeError, OSError):
        return None
    # A pipeline may be written as JSON too, and has no format.
    if not isinstance(body, dict) or "format" not in body:
        return None
    return Plan.read(cast("dict[str, Any]", body))
