"""Listings of the objects of a pool."""

from __future__ import annotations

import gc
import threading
from typing import Any, List

import pytest

from rbd import rados

Ioctx = rados.Ioctx


def test_every_object_is_listed_once(object_ioctx: Ioctx) -> None:
    names = {f"object {number}" for number in range(20)} | {"\udcff"}
    for name in names:
        object_ioctx.write_full(name, name.encode(errors="surrogateescape"))
    found = object_ioctx.list_objects()
    assert iter(found) is found
    assert found.ioctx is object_ioctx
    objects = list(found)
    assert {one.key for one in objects} == names
    assert {one.nspace for one in objects} == {object_ioctx.get_namespace()}
    assert {one.locator_key for one in objects} == {None}
    for one in objects:
        assert one.read() == one.key.encode(errors="surrogateescape")
    with pytest.raises(StopIteration):
        found.__next__()
    assert {one.key for one in rados.ObjectIterator(object_ioctx)} == names


def test_listed_objects_have_namespace_and_locator(object_ioctx: Ioctx) -> None:
    space = object_ioctx.get_namespace()
    object_ioctx.set_locator_key("here")
    object_ioctx.write_full("placed", b"1")
    object_ioctx.set_locator_key("")
    everywhere = object_ioctx.dup()
    everywhere.set_namespace(rados.LIBRADOS_ALL_NSPACES)
    (found,) = [one for one in everywhere.list_objects() if one.nspace == space]
    assert (found.key, found.locator_key) == ("placed", "here")
    assert found.read() == b"1"
    assert "nspace=" + space in str(found)
    everywhere.close()


def test_an_empty_namespace_lists_nothing(object_ioctx: Ioctx) -> None:
    assert list(object_ioctx.list_objects()) == []


def test_more_objects_than_a_page_are_all_listed(object_ioctx: Ioctx) -> None:
    with rados.WriteOpCtx():
        for number in range(1500):
            object_ioctx.write_full(str(number), b"")
    keys = sorted(int(one.key) for one in object_ioctx.list_objects())
    assert keys == list(range(1500))


def fill(ioctx: Ioctx) -> Any:
    """Return a listing from which one object was taken, with more left."""
    for number in range(5):
        ioctx.write_full(str(number), b"")
    found = ioctx.list_objects()
    next(found)
    return found


def test_a_listing_ends_with_its_context(object_ioctx: Ioctx) -> None:
    begun = object_ioctx.list_objects()
    object_ioctx.close()
    with pytest.raises(rados.IoctxStateError):
        next(begun)
    with pytest.raises(rados.IoctxStateError):
        object_ioctx.list_objects()
    del begun
    gc.collect()


def test_a_listing_ends_with_its_connection(rbd_cluster: Any) -> None:
    client = rbd_cluster.connect()
    ioctx = client.open_ioctx(rbd_cluster.pools[0])
    begun = ioctx.list_objects()
    client.shutdown()
    with pytest.raises(rados.RadosStateError):
        next(begun)
    ioctx.close()
    del begun
    gc.collect()


def test_a_dropped_listing_does_not_delay_a_close(object_ioctx: Ioctx) -> None:
    found = fill(object_ioctx)
    object_ioctx.close()
    del found
    gc.collect()


def test_threads_share_a_listing(object_ioctx: Ioctx) -> None:
    for number in range(200):
        object_ioctx.write_full(str(number), b"")
    found = object_ioctx.list_objects()
    seen: List[str] = []

    def take() -> None:
        seen.extend(one.key for one in found)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, seen)) == list(range(200))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        rados.ObjectIterator(object())  # type: ignore[arg-type]
