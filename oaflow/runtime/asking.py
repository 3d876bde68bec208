"""
Decides when to ask the database what is due in a run: a join, or jobs that `collect` combines.
"""

from collections.abc import Callable

SOON = 0.05  # seconds from the end of a job until the database is asked, once for all jobs that end meanwhile
PORTION = 0.1  # the fraction of a wait by which the question may be late


class Asking:
    """
    Keeps track of what to ask, so that it is asked neither for each job nor too late for any.

    Args:
        later: calls a function after a number of seconds.
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
        Something in the run starts to wait for a number of seconds. What becomes due a little later is asked for
        together with it; what becomes due later still gets a question of its own.
        """
        portion = max(SOON, wait * PORTION)

        def ask() -> None:
            self._begun.discard((run, wait))
            self._later(wait, lambda: self._ask(run))

        if (run, wait) not in self._begun:
            self._begun.add((run, wait))
            self._later(portion, ask)
