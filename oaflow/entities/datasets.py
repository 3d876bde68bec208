"""
Names of datasets: which are allowed, and the table of each. Pure.
"""

import re
from hashlib import sha256

from oaflow.errors import UsageError

# The names that followthemoney accepts for datasets: those that equal their slug. The libraries that share these tables
# would give other names the table of another dataset.
_NAME = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")

_PREFIX = "ftm_"

# Postgres silently cuts identifiers at 63 bytes, so two long names would share a table.
LONGEST = 63 - len(_PREFIX)


class DatasetNameError(UsageError):
    """
    A name that the entity store cannot hold.
    """

    final = True

    def __init__(self, dataset: str, suggestion: str | None) -> None:
        self.dataset, self.suggestion = dataset, suggestion
        rule = f"small letters, digits and single underscores between them, at most {LONGEST}"
        help = f"did you mean {suggestion!r}?" if suggestion else None
        super().__init__(f"the entity store cannot hold a dataset named {dataset!r}: {rule}", help=help)


def table_name(dataset: str) -> str:
    """
    The table of a dataset.

    Raises:
        DatasetNameError: the store cannot hold a dataset of this name.
    """
    if _NAME.fullmatch(dataset) is None or len(dataset) > LONGEST:
        raise DatasetNameError(dataset, _suggestion(dataset))
    return _PREFIX + dataset


def index_name(table: str) -> str:
    """
    The name of the index that oaflow adds to a table of another program, unique even if the table's name has the
    maximum length.
    """
    whole = f"{table}_origin_fragment_idx"
    return whole if len(whole) <= 63 else f"{_PREFIX}{sha256(table.encode()).hexdigest()[:16]}_origin_fragment_idx"


def _suggestion(dataset: str) -> str | None:
    slug = re.sub(r"[^a-z0-9]+", "_", dataset.lower()).strip("_")[:LONGEST].strip("_")
    return slug or None
