"""How to find Ceph's executables, and the environment that they run in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from .errors import ClusterTimeout, CommandError, MissingDaemon

# One line for each family of distributions: the words of os-release that name it, and the command.
_INSTALL = (
    (("debian", "ubuntu"), "apt-get install ceph-mon ceph-osd ceph-common librbd1"),
    (("fedora", "rhel", "centos"), "dnf install ceph-mon ceph-osd ceph-common librbd1"),
    (("suse", "opensuse"), "zypper install ceph-mon ceph-osd ceph-common librbd1"),
    (("arch",), "pacman -S ceph"),
)

# These would direct Ceph's programs to another cluster, key or Python, or load libraries that are
# meant only for the calling process, such as a sanitizer's runtime.
_UNWANTED = (
    "CEPH_ARGS",
    "CEPH_CONF",
    "CEPH_KEYRING",
    "CEPH_LIB",
    "LD_PRELOAD",
    "PYTHONHOME",
    "PYTHONPATH",
)


def install_hint(executable: str, os_release: str = "/etc/os-release") -> str:
    """Return the command that installs `executable` on this distribution, if it is a known one."""
    words: set[str] = set()
    try:
        with open(os_release, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _, value = line.strip().partition("=")
                if key in ("ID", "ID_LIKE"):
                    words.update(value.strip("\"'").lower().replace("-", " ").split())
    except OSError:
        pass
    lines = [(families, line) for families, line in _INSTALL if words.intersection(families)]
    extra = " ceph-mgr" if executable == "ceph-mgr" else ""
    return "; ".join(
        f"on {'/'.join(family.capitalize() for family in families)}: {line}"
        + (extra if families != ("arch",) else "")
        for families, line in lines or _INSTALL
    )


def find(executable: str) -> str:
    """Return the path of one of Ceph's executables.

    Raises MissingDaemon, which says what to install, if it is not on PATH.
    """
    path = shutil.which(executable)
    if path is None:
        raise MissingDaemon(
            f"{executable} was not found on PATH; a local cluster runs Ceph's own daemons. "
            f"To install them, {install_hint(executable)}",
            executable,
        )
    return os.path.abspath(path)


def python() -> list[str]:
    """Return the command that starts Python without site and user's settings, in about 15 ms."""
    executable = sys.executable or shutil.which("python3")
    if not executable:
        raise MissingDaemon("python3, which supervises the daemons, was not found", "python3")
    return [executable, "-I", "-S"]


def environment() -> dict[str, str]:
    """Return this process's environment for Ceph's programs, without what would mislead them."""
    return {key: value for key, value in os.environ.items() if key not in _UNWANTED}


def run(program: str, arguments: Sequence[str], conffile: str, timeout: float) -> str:
    """Run one of Ceph's command-line tools on a cluster. Return its output.

    Raises CommandError if it fails, ClusterTimeout if it takes more than `timeout` seconds.
    """
    argv = (find(program), *arguments)
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env={**environment(), "CEPH_CONF": conffile},
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise ClusterTimeout(f"{' '.join(argv)} took more than {timeout:g} s") from None
    if done.returncode != 0:
        raise CommandError(
            f"{' '.join(argv)} ended with status {done.returncode}: {done.stderr.strip()}",
            argv,
            done.returncode,
            done.stdout,
            done.stderr,
        )
    return done.stdout
