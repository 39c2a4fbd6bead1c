"""``python -m rbd.testing [options] -- CMD ARGS``: run a command with a new cluster."""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence

from .errors import ClusterError
from .local import LocalCluster

_PR_SET_PDEATHSIG = 1
_FORWARDED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
# The exit statuses of a shell that cannot run a command.
_CANNOT_EXECUTE, _NOT_FOUND = 126, 127


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m rbd.testing",
        usage="%(prog)s [options] -- CMD [ARGS...]",
        description="Start a local Ceph cluster, run CMD with CEPH_CONF set to its configuration, "
        "stop the cluster, and end as CMD ended.",
    )
    parser.add_argument("--osds", type=int, default=1, metavar="N", help="OSDs (1)")
    parser.add_argument("--mgr", action="store_true", help="run a manager too")
    parser.add_argument(
        "--objectstore", choices=("memstore", "bluestore"), default="memstore", help="(memstore)"
    )
    parser.add_argument(
        "--pool",
        action="append",
        dest="pools",
        metavar="NAME",
        help="a pool to create; may be repeated (rbd)",
    )
    parser.add_argument(
        "--conf",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option for the cluster's configuration; may be repeated",
    )
    parser.add_argument(
        "--directory", metavar="DIR", help="new or empty, and kept (a temporary one)"
    )
    parser.add_argument("command", nargs="+", metavar="CMD", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for item in options.conf:
        if "=" not in item:
            parser.error(f"--conf takes OPTION=VALUE, not {item!r}")
    if options.osds < 1:
        parser.error("--osds must be at least 1")
    return options


def _spawn(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Start the command, which the kernel kills when this process ends. Return its process id."""
    libc = ctypes.CDLL(None)
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    status = _CANNOT_EXECUTE
    try:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            # Python ignores these signals itself. The command must not inherit that.
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            os.execvpe(command[0], list(command), dict(environment))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        if isinstance(error, FileNotFoundError):
            status = _NOT_FOUND
    finally:
        os._exit(status)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command and pass signals on to it. Return its wait status."""
    awaited = {*_FORWARDED, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    child = _spawn(command, environment)
    while True:
        information = signal.sigwaitinfo(awaited)
        if information.si_signo == signal.SIGCHLD:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
        # A terminal's Ctrl-C comes from the kernel (a positive code) and reaches the command too.
        elif information.si_code <= 0:
            os.kill(child, information.si_signo)


def _end_as(status: int) -> int:
    """Return the command's exit status. If a signal ended it, end by the same signal."""
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    # The command may have left a core. A core of this process would be of no use.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.kill(os.getpid(), number)
    return 128 + number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``python -m rbd.testing``. Return the exit status."""
    options = _parse(arguments)
    try:
        cluster = LocalCluster(
            options.directory,
            osds=options.osds,
            mgr=options.mgr,
            objectstore=options.objectstore,
            pools=options.pools or ("rbd",),
            conf=dict(item.split("=", 1) for item in options.conf),
        )
    except (ClusterError, OSError, ValueError) as error:
        print(f"rbd.testing: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _end_as(signal.SIGINT)
    with cluster:
        status = _run(options.command, cluster.env)
    return _end_as(status)


if __name__ == "__main__":
    sys.exit(main())
