"""
The lock of a job: what `lock` of its stage comes to. Pure.
"""

from hashlib import sha256

from oaflow.errors import RouteError
from oaflow.expressions import EvaluationError, compile_expression
from oaflow.plan import BoundStage, Facts, with_place

# An index of Postgres holds no more than 2,700 bytes of it; what is longer is told apart by its digest.
_LONGEST = 500


class LockError(RouteError):
    """
    The lock of a job cannot be told. A repetition would come to the same.
    """

    def __init__(self, stage: BoundStage, problem: EvaluationError) -> None:
        self.stage, self.problem = stage.name, problem
        what = with_place(f"`lock` of stage {stage.name!r}", stage.places.get("lock"))
        super().__init__(f"{what}: {problem}", help=problem.help)


def lock_of(stage: BoundStage, facts: Facts) -> str | None:
    """
    Of the jobs that have the same lock one at a time runs; None where it has none.

    Args:
        facts: about a job as the stage gets it.

    Raises:
        LockError: the expression met a value that it cannot do with.
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
