"""
Which modules the forkserver has loaded, and all executors with it; when it loads them, and what code that was.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from oaflow.packages import module_of
from oaflow.runtime.messages import Probe
from oaflow.runtime.server import Server
from oaflow.runtime.staleness import Code, Look
from oaflow.runtime.versions import Files, Seen


class Preloads:
    """
    Those of one pool.

    Args:
        modules: loaded at once: what every executor needs.
        renew: called when executors that are there lack something that later ones have.
        line: takes a sentence about what went wrong.

    Attributes:
        bare: modules that are imported without what they load late.
        loading: such of which that is being loaded.
    """

    def __init__(self, modules: Iterable[str], *, renew: Callable[[], None], line: Callable[[str], None]) -> None:
        self._renew, self._line = renew, line
        self._modules = list(modules)
        self.bare: list[str] = []
        self.loading: list[str] = []
        # Tasks that need nothing of it; the others wait for it, unless a forkserver has died of loading it.
        self._early: set[str] = set()
        self._in_vain = False
        # By module, what the forkserver has loaded, and all that are forked from it.
        self._shared: dict[str, Files] = {}
        # Those that each executor imports for itself.
        self._alone: set[str] = set()
        self._server: Server | None = None

    def begin(self, server: Server) -> None:
        """
        Have a new forkserver load what the one before had.
        """
        self._server = server
        self.bare, self.loading = [*self.loading, *self.bare], []
        server.send("preload", [module for module in self._modules if module not in self.bare])
        if self.bare:
            server.send("import", self.bare)

    def add(self, modules: Iterable[str], *, late: bool = True) -> None:
        """
        Load modules that are not loaded yet.

        Args:
            late: and at once what they load late; otherwise that waits for `load_late`.
        """
        new = [module for module in dict.fromkeys(modules) if module not in self._modules]
        if not new:
            return
        self._modules += new
        if self._server is not None and not self._server.closed:
            self._server.send("preload" if late else "import", new)
        if not late:
            self.bare += new
        self._renew()

    def spare(self, tasks: Iterable[str]) -> None:
        """
        These tasks need nothing of what their modules load late.
        """
        self._early |= {*tasks}

    def waits(self, task: str) -> bool:
        """
        Whether a task must not be sent yet, because what it needs is not loaded. Loading begins now; an executor would
        load the same for itself, beside the forkserver.
        """
        if not self.bare and not self.loading:  # most of the time, and this is asked for each job
            return False
        if self._in_vain or task in self._early or module_of(task) not in (*self.bare, *self.loading):
            return False
        self.load_late()
        return True

    def lost(self) -> None:
        """
        The forkserver has died. If it was loading something late, nobody waits for that any more.
        """
        self._in_vain |= bool(self.loading)

    def load_late(self) -> None:
        """
        Work has gone out: what was left out for it is loaded now, unless that is being done.
        """
        if self.bare and not self.loading and self._server is not None and not self._server.closed:
            self.bare, self.loading = [], self.bare
            self._server.send("preload", self.loading)

    def loaded(self, outcomes: Sequence[tuple[str, str | None, int, dict[str, Any]]]) -> None:
        """
        Take in what the forkserver reports.

        Args:
            outcomes: of each module its name, what went wrong, how many threads there are since, and its files.
        """
        for module, problem, threads, files in outcomes:
            self._shared[module] = {path: Seen._make(seen) for path, seen in files.items()}
            if problem is not None:
                self._line(f"importing {module!r} failed: {problem}")
            elif threads > 1:
                self._line(f"importing {module!r} left {threads} threads in the forkserver")
        if self.loading and self.loading == [module for module, *_ in outcomes]:
            self.loading = []
            self._renew()

    def leave_out(self, modules: Iterable[str]) -> None:
        """
        Of these modules, what is not loaded here each executor imports for itself. Some may have one without a function
        that was written since: if it is asked for again, they are replaced.
        """
        alone = {*modules} - {*self._modules}
        if alone & self._alone:
            self._renew()
        self._alone |= alone

    def code_of(self, task: str, probe: Probe) -> Code:
        """
        What executors have loaded for a task, of which a process of its own has said this.
        """
        files = {path: Seen._make(seen) for path, seen in probe.files.items()}
        module = module_of(task)
        shared = self._shared.get(module, {})
        return Code({path: shared.get(path, seen) for path, seen in files.items()}, mixed=module not in self._modules)

    def has_old(self, task: str) -> bool:
        """
        Whether what is to be found out about a task is found in a module as it was once, which has changed since.
        """
        module = module_of(task)
        return bool(Look().changed({module: Code(self._shared.get(module, {}))}))
