"""
Tells systemd about a worker that it started with `Type=notify`: that it is ready, live, or stopping.

The protocol is that of sd_notify(3): lines in a datagram, without an answer.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, MutableMapping

from oaflow.runtime.vitals import Health

# Seconds. systemd gives up a start after TimeoutStartSec; while the worker waits for the database, it asks for more
# time.
_EVERY, _MORE = 10.0, 60.0

# A few datagrams wait for it; one more than that waits here.
_SEND = 1.0


class ServiceManager:
    """
    systemd. If it did not start this process, every call does nothing.

    Args:
        environment: has the variables that it sets. They are removed, so that child processes do not notify it.
        now: a monotonic clock.
    """

    def __init__(self, environment: MutableMapping[str, str], now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._address = environment.pop("NOTIFY_SOCKET", "")
        wanted, for_whom = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        mine = not for_whom or for_whom == str(os.getpid())
        # Half of the watchdog's interval, as sd_watchdog_enabled(3) recommends.
        self._watchdog = int(wanted) / 2e6 if mine and wanted.isdigit() else None
        self._ready = False
        self._status = ""
        self._next = now()

    def tell(self, health: Health) -> None:
        """
        Call this often: it reports changes, and is silent while the worker is not live.
        """
        if not self._address:
            return
        news: dict[str, str] = {}
        status = "ready" if health.ready else "; ".join(health.not_ready)
        if status != self._status:
            news["STATUS"] = self._status = status
        if health.ready and not self._ready:
            self._ready = True
            news["READY"] = "1"
            self._next = self._now()
        if health.live and self._now() >= self._next:
            if not self._ready:
                news["EXTEND_TIMEOUT_USEC"] = str(int(_MORE * 1e6))
                self._next = self._now() + _EVERY
            elif self._watchdog is not None:
                news["WATCHDOG"] = "1"
                self._next = self._now() + self._watchdog
        self._send(news)

    def stopping(self) -> None:
        """
        Report that the worker drains.
        """
        self._send({"STOPPING": "1", "STATUS": "drains"})

    def _send(self, news: Mapping[str, str]) -> None:
        if not news or not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SEND)
            sender.sendto("\n".join(f"{name}={value}" for name, value in news.items()).encode(), address)
