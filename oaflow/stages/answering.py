"""
`answer`: routes what the service of an external stage has handed over. No pipeline names this stage: when a job of the
service has ended, a job of `answer` takes its place.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from oaflow.dsl import Out, stage
from oaflow.errors import Reject
from oaflow.jobs import AnyJob, DatasetJob, Job, read_job
from oaflow.jobs.wire import RESERVED


@stage(queue="oaflow")
async def answer(job: Job, **options: Any) -> Iterator[Out]:
    """
    Hand on what a service handed over, each job on the port that is named like its queue, or fail as the service did.

    Args:
        options: what the pipeline gave to the service, in the context of its job.
    """
    return _handed_over(job, options)


def _handed_over(job: Job, options: Mapping[str, Any]) -> Iterator[Out]:
    answered: dict[str, Any] = job.context["oaflow"]["answered"]
    for args in answered["returned"]:
        new = read_job(args)
        if _says_something(new, job):
            yield Out(new.queue, _as_of_a_stage(new, job, options))
    if "failed" in answered:
        raise Reject(_sentence(answered["failed"], answered["attempts"]))


def _says_something(new: AnyJob, job: Job) -> bool:
    # Services hand over jobs without entities where they found none: to an index of OpenAleph one such means all of the
    # dataset.
    return not isinstance(new, DatasetJob) or bool(new.entities) or not (isinstance(job, DatasetJob) and job.entities)


def _as_of_a_stage(new: AnyJob, job: Job, options: Mapping[str, Any]) -> AnyJob:
    """
    A job without what only the service was to be told, and as if it named no queue and task: the pipeline decides.
    """
    unwanted = {*options, *RESERVED, "oaflow"}
    context = {key: value for key, value in new.context.items() if key not in unwanted}
    payload = {**new.payload, "context": context}
    return new.model_copy(update={"queue": job.queue, "task": job.task, "payload": payload})


def _sentence(failed: Mapping[str, Any], attempts: int) -> str:
    times = f" after {attempts} attempts" if attempts > 1 else ""
    said = failed.get("message")
    return f"its service gave it up{times}" + (f": {said}" if said else "; the log of the service says why")
