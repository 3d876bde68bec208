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
        number = text.strip().removesuffix("%")
        try:
            if text.strip().endswith("%"):
                percent = float(number)
                if 0 <= percent <= 100:
                    return cls(percent=percent, strict=strict)
            elif int(number) >= 0:
                return cls(failures=int(number), strict=strict)
        except ValueError:
            pass
        raise UsageError(
            f"--max-failed is {text!r}, and must be a number or a percentage", help="--max-failed 10, or 2%"
        )

    def allowed(self, documents: int) -> int:
        """
        How many failures are fine.
        """
        return self.failures if self.percent is None else int(documents * self.percent / 100)


def exit_code(status: Any, documents: int, limits: Limits, interrupted: bool) -> int:
    """
    0 fine; 1 too much failed, or the run is incomplete or cancelled; 130 interrupted.
    """
    if interrupted:
        return 130
    if status.run.state != "finished" or status.total("failed") > limits.allowed(documents):
        return 1
    return 1 if limits.strict and status.total("unmatched") else 0
