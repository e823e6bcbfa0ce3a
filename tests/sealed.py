"""Run a command that the kernel ends (SIGSYS) as soon as it connects anywhere over IP.

    python tests/sealed.py COMMAND [ARGUMENT …]

A seccomp filter, inherited by threads and child processes, so that libraries in C++ are held too.
Listening is allowed. A filter sees no addresses, but the lengths of those that `connect` and
`sendto` are given: 16 bytes is IPv4, 28 IPv6; longer ones belong to sockets of this machine.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys
from pathlib import Path

_CALLS = {"x86_64": (42, 44), "aarch64": (203, 206)}
"""Machine → numbers of `connect` and `sendto`."""
_CONNECT_LENGTH, _SENDTO_LENGTH = 32, 56  # bytes before the low half of the third, sixth argument
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _KILL_PROCESS = 0x7FFF0000, 0x80000000
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2

AVAILABLE = sys.platform == "linux" and platform.machine() in _CALLS
ENDED = -signal.SIGSYS if AVAILABLE else None
"""Exit status, as `subprocess` has it, of a command that connected."""
COMMAND = [sys.executable, str(Path(__file__).resolve())]


def seal() -> None:
    """End this process, and what it starts, at its first connection. Linux only."""
    connect, sendto = _CALLS[platform.machine()]
    program = [  # operation, jumps if true and if false, value
        (_LOAD, 0, 0, 0),
        (_EQUAL, 3, 0, connect),
        (_EQUAL, 0, 6, sendto),
        (_LOAD, 0, 0, _SENDTO_LENGTH),
        (_EQUAL, 3, 1, 16),
        (_LOAD, 0, 0, _CONNECT_LENGTH),
        (_EQUAL, 1, 0, 16),
        (_EQUAL, 0, 1, 28),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_RETURN, 0, 0, _ALLOW),
    ]
    content = b"".join(struct.pack("=HBBI", *line) for line in program)
    code = ctypes.create_string_buffer(content, len(content))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    held = Program(len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_NO_NEW_PRIVILEGES, 1, 0, 0, 0),
        (_SET_SECCOMP, _FILTER, ctypes.addressof(held), 0, 0),
    ):
        if libc.prctl(*map(ctypes.c_ulong, arguments)):
            raise OSError(ctypes.get_errno(), "no seccomp filter")


if __name__ == "__main__":
    seal()
    os.execvp(sys.argv[1], sys.argv[1:])
