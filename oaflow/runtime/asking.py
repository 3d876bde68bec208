"""
Decides when to ask the database what is due in a run: a join, or jobs that `collect` puts together.
"""

from collections.abc import Callable

SOON = 0.05  # seconds from the end of a job until it is asked; once for all that end meanwhile
PORTION = 0.1  # of how long something waits: so much later it may be asked for


class Asking:
    """
    Keeps count of what is to be asked, so that it is asked neither for each job nor too late for any.

    Args:
        later: calls a function in so many seconds.
        ask: called with the run.
    """

    def __init__(self, later: Callable[[float, Callable[[], None]], object], ask: Callable[[str], None]) -> None:
        self._later, self._ask = later, ask
        self._soon: set[str] = set()
        self._begun: set[tuple[str, float]] = set()

    def soon(self, run: str) -> None:
        """
        A job of the run has ended.
        """

        def ask() -> None:
            self._soon.discard(run)
            self._ask(run)

        if run not in self._soon:
            self._soon.add(run)
            self._later(SOON, ask)

    def after(self, run: str, wait: float) -> None:
        """
        Something of the run begins to wait for so many seconds. What comes a portion later is asked for together with
        it; what comes later still, by itself.
        """
        portion = max(SOON, wait * PORTION)

        def ask() -> None:
            self._begun.discard((run, wait))
            self._later(wait, lambda: self._ask(run))

        if (run, wait) not in self._begun:
            self._begun.add((run, wait))
            self._later(portion, ask)
