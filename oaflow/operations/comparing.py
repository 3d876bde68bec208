"""
`oaflow plan --diff`: what changed from one plan to another, and whether runs in flight could switch to it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from oaflow.plan import Plan
from oaflow.plan.differences import Change, changes
from oaflow.plan.moving import obstacles
from oaflow.printed import pipelines as printed
from oaflow.settings import Settings

if TYPE_CHECKING:
    from oaflow.ledger.runs import Run

# As the ledger names runs.
RUN = re.compile(r"[a-z][a-z0-9_-]*-[a-z2-7]{6}")


@dataclass(frozen=True, slots=True)
class Comparison:
    """
    What is different in `new`, and what prevents a run of `old` from switching to it; `run` is that run, if there is
    one.
    """

    old: Plan
    new: Plan
    changes: tuple[Change, ...]
    obstacles: tuple[str, ...]
    run: "Run | None" = None

    @property
    def same(self) -> bool:
        return self.old.digest == self.new.digest

    def as_json(self) -> printed.Comparison:
        """
        As `oaflow plan --diff --json` prints it.
        """
        return {
            "old": self.old.digest,
            "new": self.new.digest,
            "run": self.run.id if self.run else None,
            "state": self.run.state if self.run else None,
            "same": self.same,
            "changes": [
                {"kind": change.kind, "text": change.text, "stage": change.stage, "param": change.param}
                for change in self.changes
            ],
            "movable": not self.obstacles,
            "obstacles": list(self.obstacles),
        }


def compare(old: Plan, new: Plan, run: "Run | None" = None) -> Comparison:
    """
    Compare two plans.

    Args:
        run: the run of the old plan, with the values of its params; None: any.
    """
    held = obstacles(old, new, run.params if run is not None else None)
    return Comparison(old, new, tuple(changes(old, new)), tuple(held), run)


def kept_run(settings: Settings, typed: str) -> "tuple[Run, Plan] | None":
    """
    The run with an id, with its plan; None if what was typed is not such an id.
    """
    if not RUN.fullmatch(typed):
        return None
    # Imported only here: comparing two files needs no database code.
    from oaflow.ledger.runs import find_run
    from oaflow.operations.databases import connection
    from oaflow.operations.states import plan_of

    with connection(settings) as made:
        found = find_run(made, typed)
        return None if found is None else (found, plan_of(made, found))


def kept_plan(typed: str) -> Plan | None:
    """
    The plan in a file, as printed by `oaflow plan`; None if what was typed is not such a file.

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
    # A pipeline may be written as JSON, too, but has no format.
    if not isinstance(body, dict) or "format" not in body:
        return None
    return Plan.read(cast("dict[str, Any]", body))
