"""
Samples of what stage functions returned, kept in the history so that `oaflow route --against` can tell where they would
go in an edited pipeline. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from oaflow.errors import JobError
from oaflow.jobs import AnyJob, DatasetJob, carrying, light
from oaflow.runtime.choosing import Choice

# After the first ones, one job in this many is sampled, to cover what a stage does late in a run. Its cost is too small
# to be measured.
RARELY = 200

# The most that is kept of one hand-over: a chunk of a stream has 500 jobs.
MOST_JOBS = 20
MOST_BYTES = 64_000


def is_sample(number: int, first: int) -> bool:
    """
    Whether the output of the job with this number (from 1) is kept: it is one of the `first`, or a rare sample after
    them.
    """
    return number <= first or (first > 0 and number % RARELY == 0)


def sample(emitted: Sequence[tuple[str, AnyJob, Choice | None]], depth: Mapping[str, int]) -> dict[str, Any]:
    """
    The first of the emitted jobs, in their wire form: `jobs` as [port, job, what each edge of the port took], `of` as
    how many there were, and `depth` as that of the job that emitted them, if it has one.

    What each edge took is null if each took everything; otherwise, for each edge, positions in the entities, or null
    for all.
    """
    jobs: list[tuple[str, orjson.Fragment, Any]] = []
    left = MOST_BYTES
    for port, job, choice in emitted[:MOST_JOBS]:
        try:
            raw = _light(job).to_json()
        except JobError:
            continue  # if it is not JSON, its port leads nowhere or the attempt has failed
        if len(raw) > left:
            break
        left -= len(raw)
        jobs.append((port, orjson.Fragment(raw), None if choice is None else choice.shares))
    kept: dict[str, Any] = {"of": len(emitted), "jobs": jobs}
    return kept | ({"depth": depth} if depth else {})


def _light(job: AnyJob) -> AnyJob:
    """
    Remove the long texts of a job whose port leads nowhere, which routing has not done.
    """
    if not isinstance(job, DatasetJob) or not job.entities:
        return job
    return carrying(job, [light(entity) for entity in job.entities])
