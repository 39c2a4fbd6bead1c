"""TCP ports on loopback for monitors, reserved so that two clusters never get the same one."""

from __future__ import annotations

import os
import random
import socket

LOOPBACK = "127.0.0.1"
# Above the ports of OSDs (6800 to 7568 at most), and below those from which the kernel picks the
# local port of an outgoing connection (32768 on).
_RANGE = range(10000, 32000)
_ATTEMPTS = 200
# The number of this state in the kernel's table of TCP sockets.
_LISTEN = "0A"


class PortReservation:
    """One port that no other reservation on this machine gets, but that a daemon can listen on.

    The socket is bound before it allows reuse, so a second reservation fails. Afterwards the kernel
    lets a daemon, which allows reuse too, bind and listen.
    """

    def __init__(self) -> None:
        for _ in range(_ATTEMPTS):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                self.port = random.SystemRandom().choice(_RANGE)
                self._socket.bind((LOOPBACK, self.port))
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                return
            except OSError:
                self._socket.close()
        raise OSError(f"no free TCP port on {LOOPBACK} after {_ATTEMPTS} attempts")

    def release(self) -> None:
        """Release the port. Once a daemon listens on it, no other process can take it."""
        self._socket.close()


def taken(port: int) -> bool:
    """Return whether a process has the port on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def listens(pid: int, port: int) -> bool:
    """Return whether this process listens at the port on loopback.

    An accepted connection would not prove that, because another process may have taken the port.
    """
    wanted = f"{socket.htonl(0x7F000001):08X}:{port:04X}"
    inodes = set()
    with open("/proc/net/tcp", encoding="ascii") as table:
        for fields in map(str.split, table):
            if fields[1] == wanted and fields[3] == _LISTEN:
                inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return False
    try:
        with os.scandir(f"/proc/{pid}/fd") as descriptors:
            return any(_link(descriptor.path) in inodes for descriptor in descriptors)
    except OSError:
        return False


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
