"""TCP ports on loopback for monitors: reserved, so that two clusters never get the same."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
# Above the OSDs' range (6800 to 7568 at most), below the one from which the kernel picks the local
# port of an outgoing connection (32768 on).
_RANGE = range(10000, 32000)
_ATTEMPTS = 200


class PortReservation:
    """One port that no other reservation on this machine gets, but that a daemon can listen on.

    The socket is bound alone, so a second reservation fails, and allows reuse only afterwards:
    the kernel then lets a daemon, which allows reuse too, bind and listen.
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
        """Let go of the port; once a daemon listens on it, nobody else can take it."""
        self._socket.close()


def listening(port: int) -> bool:
    """Tell whether something on loopback accepts connections at the port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
