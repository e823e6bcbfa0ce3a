"""Run a command that is ended as soon as it, or what it starts, connects anywhere over IP.

    python tests/sealed.py COMMAND [ARGUMENT …]

A seccomp filter, inherited by threads and child processes, so that libraries in C++ are held too.
Listening is allowed. A filter sees no addresses, but the lengths of those that `connect` and
`sendto` are given: 16 bytes is IPv4, 28 IPv6; longer ones belong to sockets of this machine.
"""

from __future__ import annotations

import ctypes
import os
import platform
import select
import signal
import socket
import struct
import sys
from pathlib import Path

_CALLS = {"x86_64": (42, 44, 317), "aarch64": (203, 206, 277)}
"""Machine → numbers of `connect`, `sendto` and `seccomp`."""
_CONNECT_LENGTH, _SENDTO_LENGTH = 32, 56  # bytes before the low half of the third, sixth argument
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_NO_NEW_PRIVILEGES, _DIE_WITH_PARENT = 38, 1
_SET_FILTER, _NEW_LISTENER = 1, 8

AVAILABLE = sys.platform == "linux" and platform.machine() in _CALLS
CONNECTED = 97
"""Exit status of a command that connected."""
COMMAND = [sys.executable, str(Path(__file__).resolve())]


def seal() -> int:
    """Hold back every connection of this process from now on; a descriptor that tells of them."""
    connect, sendto, seccomp = _CALLS[platform.machine()]
    program = [  # operation, jumps if true and if false, value
        (_LOAD, 0, 0, 0),
        (_EQUAL, 3, 0, connect),
        (_EQUAL, 0, 6, sendto),
        (_LOAD, 0, 0, _SENDTO_LENGTH),
        (_EQUAL, 3, 1, 16),
        (_LOAD, 0, 0, _CONNECT_LENGTH),
        (_EQUAL, 1, 0, 16),
        (_EQUAL, 0, 1, 28),
        (_RETURN, 0, 0, _NOTIFY),
        (_RETURN, 0, 0, _ALLOW),
    ]
    content = b"".join(struct.pack("=HBBI", *line) for line in program)
    code = ctypes.create_string_buffer(content, len(content))
    held = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    listener = libc.syscall(seccomp, _SET_FILTER, _NEW_LISTENER, ctypes.byref(held))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "no seccomp filter")
    return int(listener)


def main(command: list[str]) -> int:
    """Run the command; its exit status, or :data:`CONNECTED`."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        socket.send_fds(theirs, [b"x"], [seal()])
        os.execvp(command[0], command)
    theirs.close()
    signal.signal(signal.SIGINT, lambda number, _: os.kill(child, number))
    _, (listener,), _, _ = socket.recv_fds(ours, 1, 1)
    told = select.poll()
    told.register(listener, select.POLLIN)
    while True:
        if any(event & select.POLLIN for _, event in told.poll(100)):
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return CONNECTED
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
