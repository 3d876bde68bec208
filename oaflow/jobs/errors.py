"""
Why a job could not be built, read or sent.

    JobError
    |- InvalidJobError         a field is missing or of the wrong type
    |- UnknownFieldError       a copy was to change a field that jobs do not have
    |- ForbiddenValueError     a value that Postgres cannot hold, with its place
    |- ReservedKeyError        a context key that would break a service
    `- NothingBoundError       a job reaches for the store or the queue where there is none
"""

from oaflow.errors import JobError


class InvalidJobError(JobError):
    """
    A job with a field that is missing or of the wrong type.
    """

    def __init__(self, model: str, mistakes: tuple[tuple[str, str], ...], *, help: str | None = None) -> None:
        self.model, self.mistakes = model, mistakes
        super().__init__(
            f"{model}: " + "; ".join(f"field '{field}' {problem}" for field, problem in mistakes), help=help
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """
        The places that are wrong, as dotted paths.
        """
        return tuple(field for field, _ in self.mistakes)


class UnknownFieldError(JobError):
    """
    A copy of a job was to change a field that jobs do not have: it would be lost without a word.
    """

    def __init__(self, model: str, field: str, known: tuple[str, ...]) -> None:
        self.model, self.field = model, field
        match field:
            case "entities":
                help = "job.with_entities(entities)"
            case "context":
                help = 'update={"payload": {**job.payload, "context": {**job.context, "name": value}}}'
            case _:
                help = f"its fields are {', '.join(known)}; what is to travel stands in payload"
        super().__init__(f"{model} has no field '{field}'", help=help)


class ForbiddenValueError(JobError):
    """
    A value that cannot be stored as JSON in Postgres.
    """

    def __init__(self, place: str, what: str, *, help: str = "clean the value where it is read") -> None:
        self.place, self.what = place, what
        super().__init__(f"{place} holds {what}, which Postgres cannot store", help=help)


class ReservedKeyError(JobError):
    """
    A context key that services of the OpenAleph world cannot take: they expand the context into keyword arguments.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(
            f"payload.context.{key} is reserved: services expand the context into keyword arguments, where it is taken",
            help=f"name the key otherwise, for example 'my_{key}'",
        )


class NothingBoundError(JobError):
    """
    A job was asked for something that only a running job or a configured program can reach.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"no {what} is bound: {what} is reached from a running job, or from a program with settings")
