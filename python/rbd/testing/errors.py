"""What can go wrong with a local cluster, by type."""

from __future__ import annotations

__all__ = ["ClusterError", "ClusterTimeout", "CommandError", "DaemonDied", "MissingDaemon"]


class ClusterError(RuntimeError):
    """A local cluster could not do what it was asked; the base of the others."""


class MissingDaemon(ClusterError):
    """An executable of Ceph is not on PATH; the message says what to install.

    `executable` is its name, such as ``ceph-osd``.
    """

    def __init__(self, message: str, executable: str = "") -> None:
        super().__init__(message)
        self.executable = executable


class DaemonDied(ClusterError):
    """A daemon ended that should be running; the message ends with the tail of its log.

    `daemon` is its name (``osd.0``), `status` its exit status (minus the signal's number when
    a signal ended it) and `log` the tail of what it wrote.
    """

    def __init__(self, message: str, daemon: str = "", status: int = 0, log: str = "") -> None:
        super().__init__(message)
        self.daemon = daemon
        self.status = status
        self.log = log


class CommandError(ClusterError):
    """A command-line tool of Ceph failed.

    `argv` is the command, `returncode` its status, `stdout` and `stderr` what it wrote.
    """

    def __init__(
        self,
        message: str,
        argv: tuple[str, ...] = (),
        returncode: int = 0,
        stdout: str = "",
        stderr: str = "",
    ) -> None:
        super().__init__(message)
        self.argv = argv
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr


# The builtin first: it is its memory layout that `__new__` has to make, also when called by name.
class ClusterTimeout(TimeoutError, ClusterError):
    """A local cluster did not get to the state waited for in the time given."""
