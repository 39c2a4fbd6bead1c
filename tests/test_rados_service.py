"""The client as a daemon of a service."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from rbd import rados


def test_a_daemon_registers_and_updates(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster:
        cluster.service_daemon_register("archive", "one", {"host": "here", "empty": ""})
        cluster.service_daemon_update({"state": "busy"})
        cluster.service_daemon_update({})
        with pytest.raises(rados.ObjectExists, match="daemon 'two' of service 'archive'") as caught:
            cluster.service_daemon_register("archive", "two", {})
        assert caught.value.errno == errno.EEXIST


def test_a_daemon_may_register_before_connecting(rbd_cluster: Any) -> None:
    client = rados.Rados(conffile=rbd_cluster.conffile)
    client.service_daemon_register(b"archive", b"early", {b"host": "here"})
    client.connect()
    with pytest.raises(rados.ObjectExists):
        client.service_daemon_register("archive", "early", {})
    client.shutdown()
    for call in (
        lambda: client.service_daemon_register("archive", "late", {}),
        lambda: client.service_daemon_update({}),
    ):
        with pytest.raises(rados.RadosStateError, match="shutdown"):
            call()


def test_wrong_arguments_are_refused(rbd_cluster: Any) -> None:
    with rbd_cluster.connect() as cluster:
        for bad in (None, 5, "text", [("a", "b")], {"a": 1}, {1: "a"}, {"a": None}):
            with pytest.raises(TypeError):
                cluster.service_daemon_register("archive", "one", bad)
            with pytest.raises(TypeError):
                cluster.service_daemon_update(bad)
        for bad in ({"a\0b": "c"}, {"a": "b\0c"}):
            with pytest.raises(ValueError, match="NUL"):
                cluster.service_daemon_register("archive", "one", bad)
            with pytest.raises(ValueError, match="NUL"):
                cluster.service_daemon_update(bad)
        with pytest.raises(rados.InvalidArgumentError, match="a name in metadata must not be"):
            cluster.service_daemon_register("archive", "one", {"": "b"})
        with pytest.raises(rados.InvalidArgumentError, match="a name in status must not be"):
            cluster.service_daemon_update({"": "b"})
        with pytest.raises(TypeError):
            cluster.service_daemon_register(5, "one", {})
        with pytest.raises(ValueError, match="NUL"):
            cluster.service_daemon_register("a\0", "one", {})
        # Without anything of what registered it.
        cluster.service_daemon_register("archive", "one", {"host": "here"})
