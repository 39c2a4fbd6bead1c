"""librbd's log, kept in memory and written to a file when something went wrong.

librbd keeps the last entries of each connection. Its administration socket has the command that
writes them out.
"""

from __future__ import annotations

import faulthandler
import json
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Dict


class LibrbdLog:
    """The log of the connections that are made with `conf`."""

    #: A call that takes so many seconds does not return any more.
    PATIENCE = 240
    #: Files get large: about 20 MB a connection.
    MOST_WRITTEN = 2

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.conf: Dict[str, str] = {
            "debug_rbd": "0/20",
            "log_max_recent": "100000",
            "log_file": str(directory / "$cctid.log"),
            "admin_socket": str(directory / "$cctid.asok"),
        }
        self.written = 0
        self._moved = threading.Event()
        self._ended = False
        self._watch = threading.Thread(target=self._write_if_stuck, daemon=True)
        self._watch.start()

    def moved(self) -> None:
        """Tell that the test goes on."""
        self._moved.set()

    def write(self, why: str) -> None:
        """Write the log of each connection to its file, and where each thread is to the output."""
        if self.written == self.MOST_WRITTEN:
            return
        self.written += 1
        print(f"{why}: librbd's log is in {self.directory}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback(sys.__stderr__)
        # librbd writes the names of threads, too, and may crash if one of them has ended. So the
        # newest connections come first.
        paths = self.directory.glob("*.asok")
        for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(30)
                connection.connect(str(path))
                connection.sendall(json.dumps({"prefix": "log dump"}).encode() + b"\0")
                while connection.recv(4096):
                    pass

    def close(self) -> None:
        self._ended = True
        self._moved.set()
        self._watch.join()

    def _write_if_stuck(self) -> None:
        while not self._ended:
            if self._moved.wait(self.PATIENCE):
                self._moved.clear()
            else:
                self.write(f"nothing happened in {self.PATIENCE} seconds")

    def __enter__(self) -> LibrbdLog:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()
