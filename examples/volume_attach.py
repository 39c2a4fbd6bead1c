#!/usr/bin/env python3
"""Attach a volume with os-brick, the library with which OpenStack's services use volumes.

    pip install os-brick "rbd[rados]>=3"
    volume_attach.py ceph.conf rbd volume-1     # makes the volume, writes to it, and removes it

os-brick imports `rados` and `rbd`. Both come from this package, not from Ceph.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Dict

from os_brick.initiator import connector

import rados
import rbd

MIB = 1 << 20


def properties(cluster: rados.Rados, pool: str, volume: str, keyring: str) -> Dict[str, Any]:
    """Return what the volume service tells a host about a volume: the monitors and the client."""
    monitors = re.findall(
        r"v1:([0-9.]+):([0-9]+)|^([0-9.]+):([0-9]+)", cluster.conf_get("mon_host")
    )
    found = [(one[0] or one[2], one[1] or one[3]) for one in monitors]
    return {
        "name": f"{pool}/{volume}",
        "cluster_name": "ceph",
        "hosts": [host for host, _ in found],
        "ports": [port for _, port in found],
        "auth_enabled": True,
        "auth_username": "admin",
        "keyring": keyring,
    }


def main(conffile: str, pool: str, volume: str) -> None:
    """Make a volume, attach it, write and read through it, detach it, and remove it."""
    print("rados and rbd:", rados.Rados.__module__, rbd.__version__)
    with rados.Rados(conffile=conffile) as cluster, cluster.open_ioctx(pool) as ioctx:
        rbd.RBD().create(ioctx, volume, 64 * MIB)
        keyrings = map(Path, cluster.conf_get("keyring").split(","))
        keyring = next(path for path in keyrings if path.exists()).read_text()
        told = properties(cluster, pool, volume, keyring)

        brick = connector.InitiatorConnector.factory("RBD", "sudo", do_local_attach=False)
        device = brick.connect_volume(told)["path"]
        data = bytes(range(256)) * 4096
        device.seek(MIB)
        device.write(data)
        device.flush()
        device.seek(MIB)
        assert device.read(len(data)) == data
        assert brick.check_valid_device(device)
        print("wrote and read", len(data), "bytes through", type(device).__name__)
        brick.disconnect_volume(told, {"path": device})

        with rbd.Image(ioctx, volume, read_only=True) as image:
            assert image.read(MIB, len(data)) == data
        rbd.RBD().remove(ioctx, volume)
        print("removed")


if __name__ == "__main__":
    main(*sys.argv[1:])
