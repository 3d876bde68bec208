"""
Decides which executor gets which job. Pure.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

Job = TypeVar("Job")
Place = TypeVar("Place")

LONG = 0.25  # seconds after which nothing may wait behind a running job, however quick others of its stage were


def put_ahead(jobs: deque[Job], job: Job, urgency: Callable[[Job], int]) -> None:
    """
    Put a job before all jobs that are not more urgent.
    """
    place = next((index for index, other in enumerate(jobs) if urgency(other) <= urgency(job)), len(jobs))
    jobs.insert(place, job)


def share(
    jobs: deque[Job], loads: dict[Place, int], *, ahead: Callable[[Job], int], most: int, busy: Iterable[Place]
) -> dict[Place, list[Job]]:
    """
    Take jobs from the front and give them to the places with the fewest jobs.

    Args:
        jobs: the waiting jobs; those without a place stay, in order.
        loads: how many jobs each place has; increased here.
        ahead: how many jobs like this one a place may have. If that is 1, nothing is put behind it; if it is 0,
            the job waits.
        most: the largest value of `ahead`. If every place has that many, the other jobs are skipped: there are
            hundreds, and this runs for each message of an executor.
        busy: places that get nothing, because something slow runs there.
    """
    shares: dict[Place, list[Job]] = {}
    closed = set(busy)
    places = [place for place in loads if place not in closed]
    kept: list[Job] = []
    while jobs and places:
        place = min(places, key=loads.__getitem__)
        if loads[place] >= most:
            break
        job = jobs.popleft()
        room = ahead(job)
        if loads[place] >= room:
            kept.append(job)
            continue
        loads[place] += 1
        shares.setdefault(place, []).append(job)
        if room == 1:
            places.remove(place)
    jobs.extendleft(reversed(kept))
    return shares
