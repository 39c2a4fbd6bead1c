"""``python -m rbd [--connect]``: print what a bug report needs and what is missing.

The exit status is 0 if librbd was loaded and, with ``--connect``, the cluster has answered.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence

import rbd

_SECONDS = 5.0


def _row(name: str, text: str) -> None:
    print(f"{name + ':':15}{text}")


def _libraries() -> bool:
    """Print the loaded libraries. Return whether there are any."""
    try:
        info = rbd.library_info()
    except rbd.LibraryNotFound as error:
        _row("librbd", f"not found: {error}")
        return False
    _row("librbd", f"{'.'.join(map(str, info.version))}, {info.path}")
    _row("librados", info.rados_path)
    if info.missing:
        _row("missing", f"{len(info.missing)} functions of newer releases (rbd.library_info())")
    return True


def _searched() -> list[str]:
    """Return the configuration files that librados looks for, in its order."""
    named = os.environ.get("CEPH_CONF")
    return [named] if named else ["/etc/ceph/ceph.conf", "~/.ceph/ceph.conf", "ceph.conf"]


def _state(path: str) -> str:
    path = os.path.expanduser(path)
    if not os.path.exists(path):
        return "not there"
    return "found" if os.access(path, os.R_OK) else "cannot be read by this user"


def _configuration(name: str | None) -> bool:
    """Print the configuration and keyring files. Return whether there is a configuration."""
    source = "CEPH_CONF" if os.environ.get("CEPH_CONF") else "the default places"
    for path in _searched():
        _row("configuration", f"{path} ({source}): {_state(path)}")
    try:
        cluster = rbd.rados.Rados(name=name, conffile="")
    except rbd.Error as error:
        _row("configuration", f"cannot be used: {error}")
        return False
    try:  # not `with`, because that connects
        _row("monitors", cluster.conf_get("mon_host") or "none configured (mon_host)")
        if cluster.conf_get("key"):
            _row("key", "in the configuration itself")
        for path in _keyrings(cluster):
            _row("keyring", f"{path}: {_state(path)}")
    finally:
        cluster.shutdown()
    return True


def _keyrings(cluster: rbd.rados.Rados) -> Iterator[str]:
    for path in (cluster.conf_get("keyring") or "").split(","):
        if path.strip():
            yield path.strip()


def _connect(name: str | None, seconds: float) -> bool:
    """Print whether the cluster answers within `seconds`. Return whether it does."""
    begin = time.monotonic()
    whole = math.ceil(seconds)  # librados takes whole seconds only
    limit = {"rados_mon_op_timeout": str(whole)}
    try:
        with rbd.connect(name=name, conf=limit, timeout=whole) as cluster:
            fsid, pools = cluster.get_fsid(), cluster.list_pools()
    except rbd.Error as error:
        _row("cluster", f"did not answer: {error}")
        return False
    _row("cluster", f"{fsid} answered in {time.monotonic() - begin:.2f} seconds")
    _row("pools", ", ".join(pools) or "none")
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rbd",
        description="Print the versions, files and settings that rbd uses. No key is printed.",
    )
    parser.add_argument("--connect", action="store_true", help="ask the cluster, too")
    parser.add_argument("--name", metavar="NAME", help="the client's name (client.admin)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for the cluster ({_SECONDS:g})",
    )
    options = parser.parse_args(arguments)
    if not options.timeout > 0:
        parser.error(f"--timeout must be more than 0 seconds, not {options.timeout:g}")
    _row("rbd", f"{rbd.__version__}, {os.path.dirname(rbd.__file__)}")
    _row("Python", f"{platform.python_version()}, {sys.executable}")
    _row("system", platform.platform())
    if not _libraries():
        return 1
    configured = _configuration(options.name)
    if not options.connect:
        return 0
    return int(not (configured and _connect(options.name, options.timeout)))


if __name__ == "__main__":
    sys.exit(main())
