"""The configuration file and the keys of a local cluster."""

from __future__ import annotations

import base64
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Union

from .ports import LOOPBACK

Value = Union[str, int, float, bool]
Sections = dict[str, dict[str, str]]

# A path in a Unix socket address must end with a NUL.
_UNIX_PATH_MAX = 107
_LONGEST_SOCKET = "mgr.x.asok"
# Characters of comments, expansions and lists in Ceph's configuration. No way to quote them works
# in each release and each option.
_UNSAFE = set("$#;,=\"'\\[]") | {" ", "\t", "\n", "\r"}

# Daemons ignore options that their release does not know, so one list is enough for all.
_GLOBAL = {
    # Keys are checked as in production, but clients of any release may connect.
    "auth_cluster_required": "cephx",
    "auth_service_required": "cephx",
    "auth_client_required": "cephx",
    "auth_allow_insecure_global_id_reclaim": "true",
    "mon_warn_on_insecure_global_id_reclaim": "false",
    "mon_warn_on_insecure_global_id_reclaim_allowed": "false",
    "public_addr": LOOPBACK,
    "cluster_addr": LOOPBACK,
    # A single monitor need not wait for more changes to propose together. Each snapshot is such a
    # change.
    "paxos_propose_interval": "0.02",
    "paxos_min_wait": "0.01",
    # All OSDs are on one host, which must not be a warning.
    "osd_crush_chooseleaf_type": "0",
    "osd_pool_default_pg_autoscale_mode": "off",
    "osd_pool_default_pg_num": "8",
    "mon_allow_pool_size_one": "true",
    "mon_warn_on_pool_no_redundancy": "false",
    "mon_warn_on_pool_no_app": "false",
    "mon_allow_pool_delete": "true",
    "mon_max_pg_per_osd": "10000",
    "mon_osd_min_down_reporters": "1",
    "mon_osd_reporter_subtree_level": "osd",
    # The connections of a dead OSD are missed after this time. The grace for a slow one stays as it
    # is.
    "osd_heartbeat_interval": "1",
    # A monitor ends itself if its disk is 95 % full, which is common on a test machine.
    "mon_data_avail_warn": "0",
    "mon_data_avail_crit": "0",
    # A cluster without a manager must not be a warning.
    "mon_mgr_mkfs_grace": "1000000000",
    # Modules beyond those that are always on need ports and dependencies.
    "mgr_initial_modules": "iostat",
    "osd_op_queue": "wpq",
    "osd_mclock_skip_benchmark": "true",
    "osd_open_classes_on_start": "false",
    "osd_delete_sleep": "0",
    "osd_snap_trim_sleep": "0",
    "osd_recovery_sleep": "0",
    "osd_memory_target": "939524096",
    # Neither is allocated before it is written.
    "memstore_device_bytes": str(16 << 30),
    # Without it, memstore copies a whole object for each small write.
    "memstore_page_set": "true",
    "bluestore_block_size": str(16 << 30),
    "bluestore_fsck_on_mount": "false",
    # If another process has the port, do not wait for it: another port is tried at once.
    "ms_bind_retry_count": "1",
}

_OSD = {
    "debug_osd": "1/1",
    "debug_objclass": "0/0",
    "debug_bluestore": "0/0",
    "debug_bluefs": "0/0",
    "debug_bdev": "0/0",
}


class KeyMaker:
    """Makes cephx keys of the same type as a sample.

    The monitors of newer releases refuse the cipher of older ones. The sample comes from the
    installed tool, so it has the right type. The tool takes too long to make all keys.
    """

    _HEADER = struct.Struct("<HIIH")

    def __init__(self, sample: str) -> None:
        data = base64.b64decode(sample)
        self._type, _, _, self._length = self._HEADER.unpack_from(data)
        if len(data) != self._HEADER.size + self._length:
            raise ValueError("ceph-authtool printed something that is not a cephx key")

    def new(self) -> str:
        """Return a new key: type, time of creation, length, and as many secret bytes."""
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        header = self._HEADER.pack(self._type, seconds, nanoseconds, self._length)
        return base64.b64encode(header + os.urandom(self._length)).decode()


def keyring(entries: Mapping[str, tuple[str, Mapping[str, str]]]) -> str:
    """Return the text of a keyring: for each entity its key, and caps by kind of daemon."""
    lines = []
    for entity, (key, caps) in entries.items():
        lines.append(f"[{entity}]\n    key = {key}\n")
        lines += [f'    caps {kind} = "{cap}"\n' for kind, cap in caps.items()]
    return "".join(lines)


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def check_directory(directory: Path) -> None:
    """Raise ValueError for a path that Ceph's configuration file cannot contain."""
    unsafe = sorted(_UNSAFE.intersection(str(directory)))
    if unsafe:
        raise ValueError(f"Ceph's configuration cannot name a directory with {unsafe}: {directory}")


def extra_options(options: Mapping[str, Value]) -> dict[str, str]:
    """Return a user's options as text for the configuration file. Raises ValueError."""
    result = {}
    for name, value in options.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        key = name.strip().replace(" ", "_").replace("-", "_")
        if not key.isidentifier() or "\n" in text:
            raise ValueError(f"conf has an option that a file cannot have: {name!r} = {value!r}")
        result[key] = text
    return result


def sockets_fit(directory: Path) -> bool:
    """Return whether the path is short enough for the daemons' admin sockets."""
    return len(os.fsencode(directory / _LONGEST_SOCKET)) <= _UNIX_PATH_MAX


def sections(
    directory: Path,
    run_directory: Path,
    *,
    fsid: str,
    mon_host: str,
    osds: int,
    objectstore: str,
    extra: Mapping[str, str],
) -> Sections:
    """Return the configuration of a cluster in `directory`, by section.

    An option in `extra` overrides that of every section.
    """
    size = min(osds, 2)
    result: Sections = {
        "global": {
            "fsid": fsid,
            "mon_host": mon_host,
            **_GLOBAL,
            "osd_pool_default_size": str(size),
            "osd_pool_default_min_size": "1",
            "osd_objectstore": objectstore,
            "run_dir": str(run_directory),
            "crash_dir": str(directory / "crash"),
        },
        "client": {
            # The first file that exists is used. A client other than admin can have a separate
            # file.
            "keyring": f"{directory}/$cluster.$name.keyring,{directory}/keyring",
            # A client that is a daemon, such as rbd-mirror, would log below /var.
            "log_file": f"{directory}/log/$name.log",
        },
    }
    for daemon in ("mon", "osd", "mgr"):
        result[daemon] = {
            f"{daemon}_data": f"{directory}/{daemon}.$id",
            "log_file": f"{directory}/log/$name.log",
            "admin_socket": f"{run_directory}/$name.asok",
            "debug_ms": "0/0",
            # With the default, the last log entries of a daemon that dies are statistics of a
            # database.
            "debug_rocksdb": "1/1",
        }
    result["mon"]["mon_cluster_log_file"] = f"{directory}/log/cluster.log"
    result["osd"].update(_OSD)
    if objectstore == "memstore":
        # The OSD writes it to disk when it unmounts it, which a fast shutdown skips.
        result["osd"]["osd_fast_shutdown"] = "false"
        # memstore counts its bytes without a lock. If the count fell below zero, it would be full
        # forever.
        result["osd"].update(osd_op_num_shards="1", osd_op_num_threads_per_shard="1")
    for options in result.values():
        for name in extra.keys() & options.keys():
            del options[name]
    result["global"].update(extra)
    return result


def render(configuration: Sections) -> str:
    """Return the text of a configuration file."""
    return "\n".join(
        f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in options.items())
        for section, options in configuration.items()
    )
