"""
What goes wrong with entities: the store cannot be read or written, or what was said of one does not make an entity.
"""

import shlex

from oaflow.errors import OaflowError
from oaflow.schemata import SCHEMATA
from oaflow.spelling import did_you_mean


class EntityStoreError(OaflowError):
    """
    The store could not be read or written.
    """

    def __init__(self, dataset: str, doing: str, reason: str) -> None:
        self.dataset, self.doing, self.reason = dataset, doing, reason
        super().__init__(f"could not {doing} dataset {dataset!r}: {reason}")


class UnreadableEntityError(EntityStoreError):
    """
    No entity can be made of what was said of it; nor can anything be read of the dataset that comes to it.
    """

    final = True
    id: str


class StrangeEntityError(UnreadableEntityError):
    """
    What somebody has said of an entity is of no schema, or of one that does not exist.
    """

    def __init__(self, dataset: str, id: str, origin: str, schema: object) -> None:
        self.id, self.origin, self.schema = id, origin, schema
        super().__init__(
            dataset,
            "read",
            f"what {origin!r} said of entity {id!r} is of schema {schema!r}, which followthemoney does not have",
        )
        self.help = f"oaflow delete -d {dataset} --unknown-schema   # takes such out, and shows it before"


class ConflictingSchemaError(UnreadableEntityError):
    """
    What was said of an entity is of two schemata of which none descends from the other.
    """

    def __init__(self, dataset: str, id: str, schemata: tuple[str, str], doing: str = "read") -> None:
        self.id, self.schemata = id, schemata
        one, other = schemata
        super().__init__(
            dataset, doing, f"entity {id!r} was said to be of schema {one!r} and of {other!r}, which cannot be merged"
        )


class StoredConflictError(ConflictingSchemaError):
    """
    The same, as it stands in the store: by whom each was said, and what takes one of them out.
    """

    def __init__(self, dataset: str, id: str, schemata: tuple[str, str], origins: tuple[str, str]) -> None:
        super().__init__(dataset, id, schemata)
        self.origins = origins
        (one, other), (who, whom) = schemata, origins
        self.args = (
            f"could not read dataset {dataset!r}: entity {id!r} was said to be of schema {one!r} by {who!r} and of"
            f" {other!r} by {whom!r}, which cannot be merged",
        )
        # Who is wrong, nobody knows. What a stage of a pipeline said (`pipeline/stage`) is the last to be proposed.
        (schema, origin), other_side = sorted(zip(schemata, origins, strict=True), key=lambda side: "/" in side[1])
        self.help = f"oaflow delete -d {dataset} --conflicting-schema {schema} --origin {shlex.quote(origin)}"
        self.help += f"   # shows it, and asks, the other side is {' by '.join(map(shlex.quote, other_side))}"


class MissingIdError(OaflowError):
    """
    An entity without an id, which the store has no row for.
    """

    final = True

    def __init__(self, schema: str) -> None:
        self.schema = schema
        super().__init__(f"an entity of schema {schema} has no id", help="set it, or use entity.make_id(...)")


class UnknownSchemaError(OaflowError):
    """
    An entity of a schema that does not exist: nobody could read the dataset any more.
    """

    final = True

    def __init__(self, id: str, schema: object) -> None:
        self.id, self.schema = id, schema
        super().__init__(
            f"entity {id!r} is of schema {schema!r}, which followthemoney does not have",
            help=did_you_mean(str(schema), SCHEMATA) or "ftm dump-model   # what it has",
        )
