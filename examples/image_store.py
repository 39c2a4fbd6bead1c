#!/usr/bin/env python3
"""Store an image with glance_store, the library with which OpenStack's image service stores images.

    pip install glance_store "rbd[rados]>=3"
    image_store.py ceph.conf rbd image.raw      # stores it, reads it back, and removes it

glance_store imports `rados` and `rbd`. Both come from this package, not from Ceph.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
from pathlib import Path
from typing import Any

import glance_store
from oslo_config import cfg

import rados
import rbd

STORE = "ceph"


def opened_store(conffile: str, pool: str) -> cfg.ConfigOpts:
    """Return the configuration of a service with one store, which is in a pool."""
    conf = cfg.CONF  # glance_store looks nowhere else
    conf.register_opt(cfg.DictOpt("enabled_backends"))
    conf([], project="image_store", default_config_files=[])
    conf.set_override("enabled_backends", {STORE: "rbd"})
    glance_store.register_store_opts(conf)
    conf.set_override("default_backend", STORE, group="glance_store")
    for option, value in (
        ("rbd_store_ceph_conf", conffile),
        ("rbd_store_pool", pool),
        ("rbd_store_user", "admin"),
        ("rados_connect_timeout", 10),
    ):
        conf.set_override(option, value, group=STORE)
    glance_store.create_multi_stores(conf)
    glance_store.verify_store()
    return conf


def main(conffile: str, pool: str, source: str) -> None:
    """Store a file as an image, compare what is read back, and remove it."""
    print("rados and rbd:", rados.Rados.__module__, rbd.__version__)
    conf = opened_store(conffile, pool)
    image_id = str(uuid.uuid4())
    size = Path(source).stat().st_size
    with open(source, "rb") as data:
        added: Any = glance_store.add_with_multihash(conf, image_id, data, size, STORE, "sha512")
    uri, stored = added[:2]
    print("stored", stored, "bytes")

    assert glance_store.get_size_from_uri_and_backend(uri, STORE) == size
    chunks, length = glance_store.get(uri, STORE)
    read = hashlib.sha512()
    for chunk in chunks:
        read.update(chunk)
    assert length == size
    assert read.hexdigest() == hashlib.sha512(Path(source).read_bytes()).hexdigest()
    print("read the same back")

    glance_store.delete(uri, STORE)
    try:
        glance_store.get(uri, STORE)
    except glance_store.NotFound:
        print("removed")


if __name__ == "__main__":
    main(*sys.argv[1:])
