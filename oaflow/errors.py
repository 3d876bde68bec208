"""
The base classes of errors. Each error takes the facts of its case and writes its own sentence.

    OaflowError
    |- Reject                  raised by a stage function: this job is not worth another attempt
    |- UsageError              exit 2: the command or its input is wrong
    |- EnvironmentProblem      exit 3: database, folders, rights
    |- JobError                a job that cannot be built, read or sent
    |- RouteError              what a stage returned has no way to go
    |- NoRoomError             a disk is full: the run pauses, and nobody is charged
    `- (further families are listed by the module that owns them)
"""

from errno import EDQUOT, ENOSPC
from typing import ClassVar


class OaflowError(Exception):
    """
    Base of all exceptions that oaflow raises on purpose.

    Attributes:
        help: what to type next, or None.
        exit_code: the exit code of a command that ends with this.
        final: whether a job that fails with this is not repeated, since it would fail the same way.
    """

    exit_code: ClassVar[int] = 1
    final: ClassVar[bool] = False

    def __init__(self, message: str, *, help: str | None = None) -> None:
        self.help = help
        super().__init__(message)


class Reject(OaflowError):
    """
    Raised by a stage function to fail its job at once, without another attempt.
    """

    final: ClassVar[bool] = True


class UsageError(OaflowError):
    """
    What was asked for is wrong: the command or call, or the pipeline that it names.
    """

    exit_code: ClassVar[int] = 2


class EnvironmentProblem(OaflowError):
    """
    The database, a folder or a permission that the program needs is missing.
    """

    exit_code: ClassVar[int] = 3


class JobError(OaflowError):
    """
    A job that cannot be built, read or sent.
    """

    final: ClassVar[bool] = True


class NoRoomError(OaflowError):
    """
    A disk is full. Not an OSError, which readers of damaged files take for the file's own trouble.
    """

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"no room for {what}: {reason}", help="df -h")


def says_full(error: BaseException | None) -> bool:
    """
    Whether an error, or what it came from, says that a disk is full: here, or that of the database.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, NoRoomError) or (isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT)):
            return True
        if getattr(error, "sqlstate", None) == "53100":  # disk_full
            return True
        error = error.__cause__
    return False


class RouteError(OaflowError):
    """
    What a stage returned has no way to go.
    """

    final: ClassVar[bool] = True


class UnknownPortError(RouteError):
    """
    A stage emitted on a port that its plan does not wire; or a service handed over to a queue that is none of them.
    """

    def __init__(self, stage: str, port: str, wired: tuple[str, ...], *, external: bool = False) -> None:
        self.stage, self.port, self.wired = stage, port, wired
        ports = ", ".join(wired) or "none"
        if external:
            message = (
                f"the service of stage {stage!r} handed over a job for queue {port!r}, but the plan wires: {ports}"
            )
            help = f"give {port!r}, or 'default' for all queues, a stage under 'next' of {stage!r}"
        else:
            message = f"stage {stage!r} emitted on port {port!r}, but the plan wires: {ports}"
            help = f"give port {port!r} a stage, under 'next' of {stage!r}; a function declares it: @stage(ports=...)"
        super().__init__(message, help=f"{help}; then begin a new run, as a retry keeps the wiring")


class UnknownStageError(RouteError):
    """
    A job names a stage that its plan does not have.
    """

    def __init__(self, stage: str, known: tuple[str, ...]) -> None:
        self.stage, self.known = stage, known
        super().__init__(f"the plan has no stage {stage!r}; it has: {', '.join(known)}")
