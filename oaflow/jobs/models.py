"""
`Job` and `DatasetJob`, with the fields, helpers and wire format of OpenAleph's services.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeAlias, TypeGuard, cast

import orjson
from pydantic import BaseModel, ConfigDict, SkipValidation, ValidationError
from pydantic_core import PydanticSerializationError

from oaflow.jobs.bindings import EntityWriter, Note, current
from oaflow.jobs.errors import ForbiddenValueError, InvalidJobError, ReservedKeyError, UnknownFieldError
from oaflow.jobs.names import readable_name
from oaflow.jobs.values import places_of_type, refuse_forbidden
from oaflow.jobs.wire import RESERVED, as_bytes, cleaned
from oaflow.schemata import is_a

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

# Between the classes of the services, whose priorities go from 1 to 100.
DEFAULT_PRIORITY = 50


# How pydantic says what it cannot write as JSON.
_UNKNOWN = re.compile(r"unknown type: <class '(.+)'>")

# What a job shows as its own, and what stands in its payload.
_IN_PAYLOAD = frozenset(("context", "entities"))

_FOLLOW_UP = 'make it from the job that came in: job.model_copy(update={"payload": ...})'


class Job(BaseModel):
    """
    A job that is not bound to a dataset.

    It is checked when it is made: each error names the place of what is wrong.

    Attributes:
        queue: the queue that it waits in.
        task: name of its task, that is, of the function that takes it.
        payload: its content, as plain JSON data.

    Raises:
        InvalidJobError: a field is missing or of the wrong type.
        ForbiddenValueError: the payload holds a value that Postgres cannot hold.
        ReservedKeyError: the context has a key that services reserve.
    """

    queue: str
    task: str
    payload: dict[str, Any] = {}

    def __init__(self, **data: Any) -> None:
        # Queue and task come with the job that came in: who gives neither has made one from nothing.
        _validate(self, data, help=None if "queue" in data or "task" in data else _FOLLOW_UP)
        # Not all that is unknown: a subclass may read a field under another name.
        self._refuse_unknown(data.keys() & _IN_PAYLOAD)
        refuse_forbidden(self._fields)
        for key in RESERVED:
            if key in self.context:
                raise ReservedKeyError(key)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """
        A copy of the job with some other fields, such as a follow-up with another payload.

        Raises:
            UnknownFieldError: jobs have no such field. `context` and `entities` are keys of the payload, not fields.
            InvalidJobError: the payload has an entity without an id or a schema.
        """
        self._refuse_unknown(update or ())
        copy = super().model_copy(update=update, deep=deep)
        if isinstance(copy, DatasetJob) and update is not None and "payload" in update:
            _check_entities(copy)
        return copy

    def _refuse_unknown(self, fields: Iterable[str]) -> None:
        known = type(self).model_fields
        for field in fields:
            if field not in known and self.model_config.get("extra") != "allow":
                raise UnknownFieldError(type(self).__name__, field, tuple(known))

    @property
    def _data(self) -> dict[str, Any]:
        payload = self.payload
        if type(payload) is dict:
            return payload
        # A subclass may give its payload a model of its own.
        return payload.model_dump() if isinstance(payload, BaseModel) else payload

    @property
    def _fields(self) -> dict[str, Any]:
        # An absent batch is left out: it would be the only null in most jobs, and a null has to be looked at.
        fields = {name: value for name, value in vars(self).items() if value is not None}
        fields["payload"] = self._data
        return fields

    @property
    def context(self) -> dict[str, Any]:
        """
        The `context` of the payload; empty if there is none.
        """
        payload = self.payload
        context = (payload if type(payload) is dict else self._data).get("context")
        return context if isinstance(context, dict) else {}

    @property
    def priority(self) -> int:
        """
        The `priority` of the context, where services put it; 50 if it has none. Higher goes first.
        """
        wanted = self.context.get("priority")
        return wanted if isinstance(wanted, int) else DEFAULT_PRIORITY

    @property
    def documents(self) -> tuple[str, ...]:
        """
        The ids of the payload's entities that are documents, each once, in order.
        """
        return ()

    def to_wire(self) -> dict[str, Any]:
        """
        The job in the form that is written to `procrastinate_jobs.args`.

        Raises:
            ForbiddenValueError: where the payload was changed since it was checked, or is no JSON.
        """
        if (raw := as_bytes(self._fields)) is not None:
            return orjson.loads(raw)
        # Before pydantic sees it, which writes NaN as null.
        refuse_forbidden(self._fields)
        try:
            data = self.model_dump(mode="json")
        except (PydanticSerializationError, UnicodeError) as error:
            unknown = _UNKNOWN.search(str(error))
            if unknown is None:
                raise ForbiddenValueError("payload", str(error)) from error
            place = next(places_of_type(self._fields, unknown[1]), "payload")
            help = "put text, numbers, lists and dicts into a job: it travels as JSON"
            raise ForbiddenValueError(place, f"a value of type {unknown[1]}", help=help) from error
        # Again: what an object became may hold what is forbidden.
        refuse_forbidden(data)
        return cleaned(data)

    def to_json(self) -> bytes:
        """
        The result of `to_wire` as JSON text.

        Raises:
            ForbiddenValueError: where the payload was changed since it was checked, or is no JSON.
        """
        raw = as_bytes(self._fields)
        return orjson.dumps(self.to_wire()) if raw is None else raw

    def defer(self, app: Any = None, *, priority: int | None = None) -> None:
        """
        Put this job into its queue, for its task. In a pipeline a stage returns jobs instead, and the plan says where
        they go.

        Args:
            app: an open procrastinate App; None: the queue of the running worker, or of the database of the settings.
            priority: higher goes first; None: `priority` of the job.
        """
        if app is None:
            current("queue").queue.defer(self, priority=priority)
        else:
            self._deferrer(app, priority).defer(**self.by_hand())

    async def defer_async(self, app: Any, *, priority: int | None = None) -> None:
        """
        As `defer`, for async functions.
        """
        await self._deferrer(app, priority).defer_async(**self.by_hand())

    def by_hand(self) -> dict[str, Any]:
        """
        The wire form of a job that is queued by hand, outside of the hand-over. It leaves out the mark and the batch of
        the run whose stage made it: with them a worker would count it as a job of that run, which would never end.
        """
        wire, mark = _unmarked(self.to_wire())
        if isinstance(mark, dict) and wire.get("batch") == cast("dict[str, Any]", mark).get("run"):
            del wire["batch"]
        return wire

    def _deferrer(self, app: Any, priority: int | None) -> Any:
        return app.configure_task(self.task, queue=self.queue, priority=self.priority if priority is None else priority)

    def found(self, document: str, name: str, *, parent: str | None = None, why: str | None = None) -> None:
        """
        Count a document as found, for the receipt of the run.

        Args:
            document: id of the document.
            name: its name, for people.
            parent: id of the document that it came out of; None: the document of this job, if it has one.
            why: if an earlier run has processed it, the reason for which it is processed again.
        """
        current().note(Note("found", document, readable_name(name), parent=parent, why=why))

    def skipped(self, document: str, name: str, reason: str) -> None:
        """
        Count a document as skipped, for the receipt of the run.

        Args:
            document: id of the document; if it never became one, a key that is the same in every run.
            name: its name, for people.
            reason: why it was skipped, for people.
        """
        current().note(Note("skipped", document, readable_name(name), reason))

    def unreadable(self, document: str, name: str, reason: str, *, parent: str | None = None) -> None:
        """
        Count a document as one that could not be read, for the receipt of the run.

        Args:
            document: id of the document.
            name: its name, for people.
            reason: why it could not be read, for people.
            parent: id of the document that it came out of; None: the document of this job, if it has one.
        """
        current().note(Note("unreadable", document, readable_name(name), reason, parent=parent))


class EntityFileReference(BaseModel):
    """
    A file in the archive, with the entity that refers to it.

    Attributes:
        content_hash: SHA-1 of the bytes of the file, in hex: a `contentHash` of the entity.
        entity: the entity, as an `EntityProxy`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    dataset: str
    content_hash: str
    entity: SkipValidation[Any]

    def open(self) -> AbstractContextManager[BinaryIO]:
        """
        Open the file for reading, as a context manager. If a local copy had to be made, it is deleted after the block.

        Raises:
            MissingBlobError: the archive does not have the file.
            ArchiveUnreachableError: the archive cannot be asked.
        """
        bindings = current("file archive")
        return bindings.files.open(self.content_hash, temp=bindings.temp)

    def get_localpath(self) -> AbstractContextManager[Path]:
        """
        Make a copy of the file and give its path, as a context manager. The copy may be changed; it is deleted after
        the block.

        Raises:
            MissingBlobError: the archive does not have the file.
            ArchiveUnreachableError: the archive cannot be asked.
        """
        bindings = current("file archive")
        names = self.entity.get("fileName", quiet=True)
        return bindings.files.localpath(self.content_hash, name=names[0] if names else None, temp=bindings.temp)


class DatasetJob(Job):
    """
    A job that is bound to a dataset. Its entities are a list under `entities` in the payload, even if it is only one.

    Attributes:
        dataset: name of the dataset.
        batch: the run that the job belongs to, for services that count jobs by batch.
    """

    dataset: str
    batch: str | None = None

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)
        _check_entities(self)

    @classmethod
    def from_entity(
        cls, dataset: str, queue: str, task: str, entity: "EntityProxy | Mapping[str, Any]", **context: Any
    ) -> Self:
        """
        Make a job for one entity. Arguments as in `from_entities`.
        """
        return cls.from_entities(dataset, queue, task, [entity], **context)

    @classmethod
    def from_entities(
        cls,
        dataset: str,
        queue: str,
        task: str,
        entities: "Iterable[EntityProxy | Mapping[str, Any]]",
        *,
        batch: str | None = None,
        **context: Any,
    ) -> Self:
        """
        Make a job for several entities.

        Args:
            dataset: name of the dataset.
            queue: the queue that the job waits in.
            task: name of its task.
            entities: each an `EntityProxy`, or a mapping as its `to_dict()` gives.
            batch: the batch of the job.
            context: all other keyword arguments become the context of the payload.
        """
        payload = {"entities": [_as_data(entity) for entity in entities], "context": context}
        return cls(dataset=dataset, queue=queue, task=task, batch=batch, payload=payload)

    def with_entities(self, entities: "Iterable[EntityProxy | Mapping[str, Any]]", **context: Any) -> "DatasetJob":
        """
        Make a follow-up of this job for other entities. It has the same dataset, queue, task and batch, and the context
        of this job, updated with `context`.

        Keys that services reserve are left out of the context: a job may read them, but not pass them on.
        """
        carried = {key: value for key, value in self.context.items() if key not in RESERVED}
        return DatasetJob.from_entities(
            self.dataset, self.queue, self.task, entities, batch=self.batch, **(carried | context)
        )

    @property
    def entities(self) -> list[dict[str, Any]]:
        """
        The entities of the payload as plain data; empty if there are none.
        """
        payload = self.payload
        entities = (payload if type(payload) is dict else self._data).get("entities")
        return entities if isinstance(entities, list) else []

    @property
    def documents(self) -> tuple[str, ...]:
        """
        The ids of the payload's entities that are documents, each once, in order.
        """
        entities = self.entities
        if len(entities) == 1:  # as most have
            entity = entities[0]
            return (entity["id"],) if is_a(entity.get("schema", ""), "Document") else ()
        return tuple(dict.fromkeys([e["id"] for e in entities if is_a(e.get("schema", ""), "Document")]))

    def get_entities(self) -> "Iterator[EntityProxy]":
        """
        The entities of the payload as they were sent. Long texts are left out of large jobs (`OAFLOW_JOB_BYTES`): only
        `load_entities` has them.
        """
        if not (entities := self.entities):
            return
        from followthemoney import model

        for entity in entities:
            yield model.get_proxy(entity)

    def load_entities(self) -> "Iterator[EntityProxy]":
        """
        The entities of the payload as the entity store has them now. An entity that is not in the store is left out.
        """
        ids = [entity["id"] for entity in self.entities]
        # An empty list of ids must read nothing: elsewhere it reads the whole dataset.
        if ids:
            yield from current().entities.load(self.dataset, ids)

    def get_writer(self, origin: str | None = None) -> EntityWriter:
        """
        A writer of entities to the job's dataset, as a context manager. What is still unwritten is written at the end
        of the block.

        Args:
            origin: the origin of what is written; None: that of the stage.
        """
        return current().writer(self.dataset, origin)

    def get_file_references(self) -> Iterator[EntityFileReference]:
        """
        The files of the payload's entities, one for each `contentHash`.
        """
        for entity in self.get_entities():
            for content_hash in entity.get("contentHash", quiet=True):
                yield EntityFileReference(dataset=self.dataset, content_hash=content_hash, entity=entity)


AnyJob: TypeAlias = Job | DatasetJob

_KINDS = frozenset((Job, DatasetJob))


def is_job(value: object) -> TypeGuard[AnyJob]:
    """
    Whether something is a job. Its class is looked up first: `isinstance` takes 0.5 µs for a pydantic model.
    """
    return type(value) in _KINDS or isinstance(value, Job)


def payload_of(job: AnyJob) -> Mapping[str, Any]:
    """
    The payload as plain data, also if a subclass of the job has a model for it.
    """
    payload: Any = job.payload
    return payload if type(payload) is dict or not isinstance(payload, BaseModel) else payload.model_dump(mode="json")


def carrying(job: DatasetJob, entities: list[dict[str, Any]]) -> DatasetJob:
    """
    A copy of the job with these entities. Its payload is plain data.
    """
    fields: dict[str, Any] = {"queue": job.queue, "task": job.task, "dataset": job.dataset, "batch": job.batch}
    return DatasetJob.model_construct(**fields, payload={**payload_of(job), "entities": entities})


def read_job(args: Mapping[str, Any], model: type[Job] | None = None) -> Job | DatasetJob:
    """
    The job that a row of `procrastinate_jobs` holds. Unknown keys are accepted and not passed on.

    What comes out of Postgres cannot hold what Postgres refuses, so values are not looked through again; reserved
    context keys, which other programs do write, are read.

    Args:
        args: the `args` of the row.
        model: a subclass to read it as; default: `DatasetJob` where there is a `dataset`, else `Job`.

    Raises:
        InvalidJobError: with the names of the fields.
    """
    kind = model or (DatasetJob if "dataset" in args else Job)
    job = kind.__new__(kind)
    try:
        _validate(job, args)
    except InvalidJobError:
        # A payload's own model need not take what oaflow keeps in the context.
        bare, mark = _unmarked(args)
        if mark is None:
            raise
        job = kind.__new__(kind)
        _validate(job, bare)
    if isinstance(job, DatasetJob):
        _check_entities(job)
    return job


def read_as(args: Mapping[str, Any], models: Sequence[type[Job]]) -> Job | DatasetJob:
    """
    As `read_job`, of the first of these classes that takes the job; without any as by itself.

    Raises:
        InvalidJobError: none takes it: why the first does not.
    """
    problem: InvalidJobError | None = None
    for model in models:
        try:
            return read_job(args, None if model in _KINDS else model)
        except InvalidJobError as error:
            problem = problem or error
    if problem is not None:
        raise problem
    return read_job(args)


def _unmarked(wire: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """
    A job as it is written without oaflow's mark, and the mark; None where it has none.
    """
    payload: Any = wire.get("payload")
    context: Any = payload.get("context") if isinstance(payload, dict) else None
    if not isinstance(context, dict) or "oaflow" not in context:
        return dict(wire), None
    others = {key: value for key, value in context.items() if key != "oaflow"}
    rest = {key: value for key, value in payload.items() if key != "context"} | ({"context": others} if others else {})
    bare = {key: value for key, value in wire.items() if key != "payload"}
    return bare | ({"payload": rest} if rest else {}), context["oaflow"]


def _validate(job: Job, data: Mapping[str, Any], *, help: str | None = None) -> None:
    try:
        # What BaseModel.__init__ does, open to a mapping: so that reading needs no second pass.
        job.__pydantic_validator__.validate_python(data, self_instance=job)
    except ValidationError as error:
        raise InvalidJobError(type(job).__name__, tuple(_mistakes(error)), help=help) from None


def _mistakes(error: ValidationError) -> Iterator[tuple[str, str]]:
    for mistake in error.errors(include_url=False, include_context=False, include_input=True):
        place = ".".join(map(str, mistake["loc"])) or "the job"
        if mistake["type"] == "missing":
            yield place, "is required"
        else:
            message = mistake["msg"][:1].lower() + mistake["msg"][1:]
            yield place, f"is {type(mistake['input']).__name__}: {message}"


def _check_entities(job: DatasetJob) -> None:
    entities = job._data.get("entities")  # pyright: ignore[reportPrivateUsage]
    if entities is None:
        return
    if not isinstance(entities, list):
        kind = type(entities).__name__
        raise InvalidJobError(type(job).__name__, (("payload.entities", f"is {kind}: it must be a list"),))
    for index, entity in enumerate(entities):
        if not isinstance(entity, dict):
            kind, place = type(entity).__name__, f"payload.entities[{index}]"
            raise InvalidJobError(
                type(job).__name__, ((place, f"is {kind}: it must be a mapping, as to_dict() gives"),)
            )
        id, schema = entity.get("id"), entity.get("schema")
        if not (id and schema and isinstance(id, str) and isinstance(schema, str)):
            missing = "schema" if id and isinstance(id, str) else "id"
            raise InvalidJobError(type(job).__name__, ((f"payload.entities[{index}].{missing}", "is required"),))


def _as_data(entity: "EntityProxy | Mapping[str, Any]") -> dict[str, Any]:
    if isinstance(entity, str):  # what iterating over a single one that is a dict gives
        raise InvalidJobError("DatasetJob", (("entities", "is a single one: it must be a list of entities"),))
    return dict(entity) if isinstance(entity, Mapping) else entity.to_dict()
