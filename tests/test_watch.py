"""Who watches an image, and being told of its changes."""

from __future__ import annotations

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster


def test_watchers(rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    watchers = rbd_image.watchers_list()
    assert isinstance(watchers, rbd.WatcherIterator)
    (mine,) = list(watchers)
    assert list(watchers) == [mine]
    assert set(mine) == {"addr", "id", "cookie"}
    assert ":" in mine["addr"]
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        with rbd.Image(ioctx, rbd_image.name) as other:
            both = list(rbd_image.watchers_list())
            assert len(both) == 2
            assert mine in both
            assert cluster.get_instance_id() in [watcher["id"] for watcher in both]
            assert both == list(rbd.WatcherIterator(other))
        with rbd.Image(ioctx, rbd_image.name, read_only=True) as reader:
            # Who only reads does not watch.
            assert list(reader.watchers_list()) == [mine]


def test_closed_image(rbd_image: rbd.Image) -> None:
    watchers = rbd_image.watchers_list()
    rbd_image.close()
    assert len(list(watchers)) == 1
    with pytest.raises(rbd.InvalidArgument) as error:
        rbd_image.watchers_list()
    assert error.value.errno is None


def test_wrong_type() -> None:
    with pytest.raises(TypeError):
        rbd.WatcherIterator("image")
