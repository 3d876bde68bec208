"""
`oaflow` for a shell, in a fork of a process that has imported it (`tests/warm.py`). Pages type some hundred commands:
on a quiet machine of 2 cores, a run that has its worker elsewhere takes 0.38 s so, and 0.66 s where the program is
imported for it, a check without functions 0.08 and 0.20 s.

`typist.py SOCKET ARGUMENT...`, run with nothing else of Python, is the command that a page or a shell types. What it
imports takes a tenth of what the program does.
"""

import json
import os
import socket
import sys


def ask(address: str, arguments: list[str]) -> int:
    """
    Has a command run where and as it was typed: in this folder, with this environment, on this terminal.

    Returns:
        its exit code, as a shell has it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(address)
        asked = json.dumps(["oaflow", arguments, os.getcwd(), dict(os.environ), False, "", []]).encode()
        socket.send_fds(connection, [asked], [0, 1, 2])
        connection.recv(16)  # its process id
        code = int(connection.recv(16) or 1)
        return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1], sys.argv[2:]))
