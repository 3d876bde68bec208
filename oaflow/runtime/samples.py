"""
Samples of what stage functions returned, kept in the history, so that `oaflow route --against` can tell where they
would go in an edited pipeline. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from oaflow.errors import JobError
from oaflow.jobs import AnyJob, DatasetJob, carrying, light
from oaflow.runtime.choosing import Choice

# Behind the first ones, of one job in so many: what a stage does late in a run is seen too, and costs nothing that
# could be measured.
RARELY = 200

# Of one hand-over at most so much is kept: a part of a stream is 500 jobs.
MOST_JOBS = 20
MOST_BYTES = 64_000


def is_sample(number: int, first: int) -> bool:
    """
    Whether what the job of this number (from 1) returns is kept, where it is of the first ones.
    """
    return number <= first or (first > 0 and number % RARELY == 0)


def sample(emitted: Sequence[tuple[str, AnyJob, Choice | None]], depth: Mapping[str, int]) -> dict[str, Any]:
    """
    The first of what was emitted, as it travels: `jobs` as [port, job, what each edge of the port took], `of` how many
    there were; `depth` of the job that emitted, where it has one.

    What each edge took is null where each took all; else positions in the entities for each edge, null for all.
    """
    jobs: list[tuple[str, orjson.Fragment, Any]] = []
    left = MOST_BYTES
    for port, job, choice in emitted[:MOST_JOBS]:
        try:
            raw = _light(job).to_json()
        except JobError:
            continue  # where it is no JSON its port leads nowhere, or the attempt has failed
        if len(raw) > left:
            break
        left -= len(raw)
        jobs.append((port, orjson.Fragment(raw), None if choice is None else choice.shares))
    kept: dict[str, Any] = {"of": len(emitted), "jobs": jobs}
    return kept | ({"depth": depth} if depth else {})


def _light(job: AnyJob) -> AnyJob:
    """
    What is emitted on a port that leads nowhere has not been made light.
    """
    if not isinstance(job, DatasetJob) or not job.entities:
        return job
    return carrying(job, [light(entity) for entity in job.entities])
