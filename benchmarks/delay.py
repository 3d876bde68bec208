"""
A way to the database that takes its time: `python -m benchmarks.delay SOCKET SECONDS` forwards a port of this machine
to a socket of PostgreSQL, and holds what it gets for so long, in both directions. Its output is the number of the port.

Threads that sleep, not timers of a loop: these are only as fine as a millisecond, which is what is waited for.
"""

import contextlib
import queue
import socket
import sys
import threading
import time

BYTES = 1 << 18

Parcel = tuple[float, bytes]  # when it is due, on the monotonic clock; nothing at the end


def main(target: str, seconds: float) -> None:
    """
    Forward until killed.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            database = socket.socket(socket.AF_UNIX)
            database.connect(target)
            for source, sink in ((client, database), (database, client)):
                parcels: queue.SimpleQueue[Parcel] = queue.SimpleQueue()
                threading.Thread(target=_take, args=(source, parcels, seconds), daemon=True).start()
                threading.Thread(target=_give, args=(sink, parcels), daemon=True).start()


def _take(source: socket.socket, parcels: "queue.SimpleQueue[Parcel]", seconds: float) -> None:
    data = b"first"
    while data:
        try:
            data = source.recv(BYTES)
        except OSError:  # reset by the other side: it is over, as at a proper end
            data = b""
        parcels.put((time.monotonic() + seconds, data))


def _give(sink: socket.socket, parcels: "queue.SimpleQueue[Parcel]") -> None:
    with contextlib.suppress(OSError):
        while True:
            due, data = parcels.get()
            if (rest := due - time.monotonic()) > 0:
                time.sleep(rest)
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
