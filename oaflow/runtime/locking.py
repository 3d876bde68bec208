"""
Computes the lock of a job from the `lock` of its stage. Pure.
"""

from hashlib import sha256

from oaflow.errors import RouteError
from oaflow.expressions import EvaluationError, compile_expression
from oaflow.plan import BoundStage, Facts, with_place

# An index of Postgres holds at most 2,700 bytes of it; longer locks are replaced by their digest.
_LONGEST = 500


class LockError(RouteError):
    """
    The lock of a job cannot be computed. A repetition would fail again.
    """

    def __init__(self, stage: BoundStage, problem: EvaluationError) -> None:
        self.stage, self.problem = stage.name, problem
        what = with_place(f"`lock` of stage {stage.name!r}", stage.places.get("lock"))
        super().__init__(f"{what}: {problem}", help=problem.help)


def lock_of(stage: BoundStage, facts: Facts) -> str | None:
    """
    The lock of a job, of which only one job runs at a time; None if it has none.

    Args:
        facts: about the job, as the stage gets it.

    Raises:
        LockError: the expression met a value that it cannot use.
    """
    if stage.lock is None:
        return None
    try:
        key = compile_expression(stage.lock, "lock").key(**facts._asdict())
    except EvaluationError as problem:
        raise LockError(stage, problem) from problem
    if key is None or len(key) <= _LONGEST:
        return key
    return f"sha256:{sha256(key.encode()).hexdigest()}"
