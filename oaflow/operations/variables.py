"""
Finds environment variables that look like settings and are none, so that they have no effect.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from oaflow.settings import Settings, variables_of

_PREFIX = "OAFLOW_"

# How alike two names are without their beginning: DB_URL is meant for DB_URI, and DEPTHS not for DEAD_AFTER.
_ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class Unheard:
    """
    A variable that nothing reads, and the one that was probably meant.
    """

    name: str
    meant: str | None


def unheard(environment: Mapping[str, str]) -> list[Unheard]:
    """
    Those of an environment, by name.
    """
    own = {variable for field in Settings.model_fields for variable in variables_of(field)}
    strange = sorted(name for name in environment if name.startswith(_PREFIX) and name.upper() not in own)
    if not strange:
        return []
    from oaflow.stages.limits import Limits

    known = own | {f"{_PREFIX}{field.upper()}" for field in Limits.model_fields}
    return [Unheard(name, _meant(name, environment[name], known)) for name in strange if name.upper() not in known]


def _meant(name: str, value: str, known: Iterable[str]) -> str | None:
    if value.startswith(("postgres://", "postgresql://")):
        return "OAFLOW_DB_URI"
    there = {one.removeprefix(_PREFIX): one for one in known if one.startswith(_PREFIX)}
    close = difflib.get_close_matches(name.upper().removeprefix(_PREFIX), there, n=1, cutoff=_ALIKE)
    return there[close[0]] if close else None
