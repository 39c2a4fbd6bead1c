"""The exceptions of a local cluster."""

from __future__ import annotations

__all__ = ["ClusterError", "ClusterTimeout", "CommandError", "DaemonDied", "MissingDaemon"]


class ClusterError(RuntimeError):
    """A local cluster could not do what it was asked to do. The base of the other exceptions."""


class MissingDaemon(ClusterError):
    """An executable of Ceph is not on PATH. The message says which package has it.

    `executable` is its name, such as ``ceph-osd``.
    """

    def __init__(self, message: str, executable: str = "") -> None:
        super().__init__(message)
        self.executable = executable


class DaemonDied(ClusterError):
    """A daemon has ended that should be running. The message ends with the tail of its log.

    `daemon` is its name, such as ``osd.0``. `status` is its exit status, or minus the number of the
    signal that ended it. `log` is the tail of its log.
    """

    def __init__(self, message: str, daemon: str = "", status: int = 0, log: str = "") -> None:
        super().__init__(message)
        self.daemon = daemon
        self.status = status
        self.log = log


class CommandError(ClusterError):
    """A command-line tool of Ceph failed.

    `argv` is the command, `returncode` its exit status, `stdout` and `stderr` its output.
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


# The builtin class comes first: `__new__` has to make its memory layout, also if called by name.
class ClusterTimeout(TimeoutError, ClusterError):
    """A local cluster has not reached a state in time."""
