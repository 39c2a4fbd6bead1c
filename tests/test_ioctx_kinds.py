"""Contexts of the stock `rados` module and of ctypes are accepted as an ioctx."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

import rbd
from support import stock_rados


@pytest.fixture(scope="module")
def rados() -> Any:
    if stock_rados.rados_file() is None:
        pytest.skip(f"no stock rados module for this interpreter ({stock_rados.SUFFIX})")
    return stock_rados.rados()


@pytest.fixture
def connected(rados: Any, rbd_cluster: Any) -> Any:
    client = rados.Rados(conffile=str(rbd_cluster.conffile))
    client.connect()
    yield client
    client.shutdown()


def test_a_stock_ioctx_is_accepted(connected: Any, rbd_cluster: Any) -> None:
    ioctx = connected.open_ioctx(rbd_cluster.pools[0])
    rbd.RBD().create(ioctx, "stock", 1 << 20)
    assert "stock" in rbd.RBD().list(ioctx)
    with rbd.Image(ioctx, "stock") as image:
        assert image.write(b"abc", 0) == 3
        assert image.read(0, 3) == b"abc"
        # The image has a separate copy of the context.
        ioctx.close()
        assert image.read(0, 3) == b"abc"
    with connected.open_ioctx(rbd_cluster.pools[0]) as again:
        rbd.RBD().remove(again, "stock")


def test_the_namespace_of_a_stock_ioctx_is_used(connected: Any, rbd_cluster: Any) -> None:
    with connected.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        rbd.RBD().namespace_create(ioctx, "stock-ns")
        ioctx.set_namespace("stock-ns")
        rbd.RBD().create(ioctx, "inside", 1 << 20)
        assert rbd.RBD().list(ioctx) == ["inside"]
        rbd.RBD().remove(ioctx, "inside")
        ioctx.set_namespace("")
        assert "inside" not in rbd.RBD().list(ioctx)
        rbd.RBD().namespace_remove(ioctx, "stock-ns")


def test_a_closed_stock_ioctx_is_refused(connected: Any, rbd_cluster: Any) -> None:
    ioctx = connected.open_ioctx(rbd_cluster.pools[0])
    ioctx.close()
    for call in (
        lambda: rbd.RBD().list(ioctx),
        lambda: rbd.RBD().create(ioctx, "x", 1),
        lambda: rbd.Image(ioctx, "x"),
    ):
        with pytest.raises(rbd.InvalidArgument) as caught:
            call()
        assert caught.value.errno is None


def test_a_stock_cluster_is_accepted(connected: Any) -> None:
    name = rbd.RBD().mirror_site_name_get(connected)
    assert isinstance(name, str)


def test_a_ctypes_ioctx_is_accepted(rbd_cluster: Any) -> None:
    library = ctypes.CDLL(rbd.library_info().rados_path)
    cluster, raw = ctypes.c_void_p(), ctypes.c_void_p()
    assert library.rados_create(ctypes.byref(cluster), None) == 0
    assert library.rados_conf_read_file(cluster, str(rbd_cluster.conffile).encode()) == 0
    assert library.rados_connect(cluster) == 0
    assert (
        library.rados_ioctx_create(cluster, rbd_cluster.pools[0].encode(), ctypes.byref(raw)) == 0
    )

    class Ioctx:
        io = raw
        state = "open"

    ioctx = Ioctx()
    rbd.RBD().create(ioctx, "ctypes", 1 << 20)
    with rbd.Image(ioctx, "ctypes") as image:
        assert image.size() == 1 << 20
    rbd.RBD().remove(ioctx, "ctypes")
    ioctx.state = "closed"
    with pytest.raises(rbd.InvalidArgument):
        rbd.RBD().list(ioctx)
    library.rados_ioctx_destroy(raw)
    library.rados_shutdown(cluster)


#: Heap memory that is not a context, and an unmapped address.
HEAP = ctypes.create_string_buffer(4096)
NOWHERE = 1 << 46


class Valued:
    """Looks like a c_void_p."""

    value = ctypes.addressof(HEAP)


@pytest.mark.parametrize(
    "io",
    [
        *(None, 5, "x", b"x", 1.5, True, -1, 1 << 70, object(), Valued(), id(HEAP)),
        *(ctypes.addressof(HEAP), ctypes.c_ulong(ctypes.addressof(HEAP)), ctypes.pointer(HEAP)),
        *(ctypes.c_char_p(b"text"), ctypes.c_void_p, ctypes.c_void_p(), ctypes.c_void_p(0)),
        *(ctypes.c_void_p(5), ctypes.c_void_p(ctypes.addressof(HEAP) | 1)),
        *(ctypes.c_void_p(NOWHERE), ctypes.c_void_p(-8)),
    ],
    ids=lambda io: f"{type(io).__name__}",
)
def test_other_objects_are_refused_as_ioctx(io: Any) -> None:
    for name in ("io", "other"):
        fake = type("Ioctx", (), {"__module__": "rados", name: io})()
        with pytest.raises(TypeError, match="ioctx"):
            rbd.RBD().list(fake)
