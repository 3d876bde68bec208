"""
Which names a dataset can have.
"""

import re

from oaflow.errors import UsageError

# The store keeps a dataset in a table `ftm_DATASET`; a name of Postgres has at most 63 bytes, and the index on it is
# named `ftm_DATASET_origin_fragment`, so that is what has to fit.
LONGEST = 63 - len("ftm_") - len("_origin_fragment")

_NAME = re.compile(r"[a-z0-9_]+")


def check_dataset(name: str) -> str:
    """
    The name, where the store can hold it.

    Raises:
        UsageError: it cannot.
    """
    if not name:
        raise UsageError("the name of the dataset is empty", help="-d DATASET, as in: -d my_dataset")
    if len(name) > LONGEST:
        raise UsageError(
            f"the dataset name {_short(name)!r} has {len(name)} letters, and the store holds {LONGEST}",
            help=f"-d {possible(name)}",
        )
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the store cannot hold a dataset named {_short(name)!r}: small letters a to z, digits and _ only",
            help=f"-d {possible(name)}",
        )
    return name


def possible(name: str) -> str:
    """
    The nearest name that the store can hold.
    """
    plain = re.sub(r"[^a-z0-9_]+", "_", name.casefold()).strip("_")
    return plain[:LONGEST] or "my_dataset"


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}…"
