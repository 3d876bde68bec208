"""
Jobs, which travel between stages: their fields, their wire format, and what a running job has access to.

Importing this loads neither followthemoney nor procrastinate nor psycopg. They are loaded when a job first needs an
entity or an app.
"""

from oaflow.jobs.bindings import (
    Bindings,
    Entities,
    EntityWriter,
    Files,
    Note,
    Past,
    Queue,
    Runs,
    Sighting,
    Tally,
    Verdict,
    bind,
    bound,
    current,
    register_binder,
    settle,
)
from oaflow.jobs.errors import ForbiddenValueError, InvalidJobError, NothingBoundError, ReservedKeyError
from oaflow.jobs.models import (
    AnyJob,
    DatasetJob,
    EntityFileReference,
    Job,
    carrying,
    is_job,
    payload_of,
    read_as,
    read_job,
)
from oaflow.jobs.names import encoded_name, readable_name
from oaflow.jobs.packing import light, load_whole, pack, stub, with_stored

__all__ = [
    "AnyJob",
    "Bindings",
    "DatasetJob",
    "Entities",
    "EntityFileReference",
    "EntityWriter",
    "Files",
    "ForbiddenValueError",
    "InvalidJobError",
    "Job",
    "Note",
    "NothingBoundError",
    "Past",
    "Queue",
    "ReservedKeyError",
    "Runs",
    "Sighting",
    "Tally",
    "Verdict",
    "bind",
    "bound",
    "carrying",
    "current",
    "encoded_name",
    "is_job",
    "light",
    "load_whole",
    "pack",
    "payload_of",
    "read_as",
    "read_job",
    "readable_name",
    "register_binder",
    "settle",
    "stub",
    "with_stored",
]
