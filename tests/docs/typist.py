"""
Runs `oaflow` for the commands that a page types, each in a fork of a process that has imported it already. Pages type
some hundred of them; on a quiet machine of 2 cores, a run that has its worker elsewhere takes 0.38 s so, and 0.66 s
where the program is imported for it, a check without functions 0.08 and 0.20 s.

`python -m tests.docs.typist SOCKET` serves; the same file with `SOCKET ARGUMENT...`, run with nothing else of Python,
is the command that a page types.
"""

import json
import os
import signal
import socket
import sys

_LONGEST = 1 << 20


def ask(address: str, arguments: list[str]) -> int:
    """
    Has a command run where and as it was typed: in this folder, with this environment, on this terminal.

    Returns:
        its exit code.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(address)
        asked = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()
        socket.send_fds(connection, [asked], [0, 1, 2])
        answer = connection.recv(16)
        return int(answer) if answer else 1


def serve(address: str) -> None:
    """
    Waits for commands, and forks for each; ends when it is terminated.
    """
    import oaflow.cli.main
    import oaflow.cli.output
    import oaflow.compiler
    import oaflow.operations.running
    import oaflow.operations.trying  # noqa: F401

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that answer
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> None:
    asked, fds, _, _ = socket.recv_fds(connection, _LONGEST, 3)
    command = os.fork()
    if command == 0:
        connection.close()
        _run(*json.loads(asked), fds)
    for fd in fds:
        os.close(fd)
    _, status = os.waitpid(command, 0)
    code = os.waitstatus_to_exitcode(status)
    connection.send(str(code if code >= 0 else 128 - code).encode())
    os._exit(0)


def _run(arguments: list[str], folder: str, environment: dict[str, str], fds: list[int]) -> None:
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    for fd in fds:
        if fd > 2:
            os.close(fd)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # As `python -m oaflow` has them.
    sys.argv = ["oaflow", *arguments]
    sys.path[0] = folder
    from oaflow.cli.main import main

    code = 1
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if len(sys.argv) == 2 and __spec__ is not None:
        serve(sys.argv[1])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
