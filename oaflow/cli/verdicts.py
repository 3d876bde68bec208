"""
From how a run ended to the exit code of the command. Pure.
"""

from dataclasses import dataclass
from typing import Any

from oaflow.errors import UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What of a run is still fine: so many failures, or so many percent of the documents; unmatched jobs unless `strict`.
    """

    failures: int = 0
    percent: float | None = None
    strict: bool = False

    @classmethod
    def read(cls, text: str, strict: bool) -> "Limits":
        """
        From `--max-failed N|P%`.

        Raises:
            UsageError: it is neither.
        """
        failures, percent = _read("--max-failed", text)
        return cls(failures=failures or 0, percent=percent, strict=strict)

    def allowed(self, documents: int) -> int:
        """
        How many failures are fine.
        """
        return self.failures if self.percent is None else int(documents * self.percent / 100)


def read_stop_after(text: str | None) -> tuple[int | None, float | None] | None:
    """
    From `--stop-after N|P%`: so many failures, or so many percent.

    Raises:
        UsageError: it is neither, or zero: that would stop before anything failed.
    """
    if text is None:
        return None
    failures, percent = _read("--stop-after", text)
    if not failures and not percent:
        raise UsageError(f"--stop-after is {text!r}, but must be above 0", help="--stop-after 1  stops at the first")
    return failures, percent


def _read(option: str, text: str) -> tuple[int | None, float | None]:
    number = text.strip().removesuffix("%")
    try:
        if text.strip().endswith("%"):
            percent = float(number)
            if 0 <= percent <= 100:
                return None, percent
        elif int(number) >= 0:
            return int(number), None
    except ValueError:
        pass
    raise UsageError(f"{option} is {text!r}, but must be a number or a percentage", help=f"{option} 10, or 2%")


def exit_code(status: Any, documents: int, limits: Limits, interrupted: bool) -> int:
    """
    0 fine; 1 too much failed, or the run is incomplete or cancelled; 130 interrupted.
    """
    if interrupted:
        return 130
    if status.run.state != "finished" or status.total("failed") > limits.allowed(documents):
        return 1
    return 1 if limits.strict and status.total("unmatched") else 0
