"""Rados(context=): a client that shares the configuration of another client in this process."""

from __future__ import annotations

import ctypes
from typing import Any, Iterator

import pytest

import rbd
from rbd import rados

_new = ctypes.pythonapi.PyCapsule_New
_new.restype = ctypes.py_object
_new.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)


@pytest.fixture
def context(rbd_cluster: Any) -> Iterator[Any]:
    """Provide the capsule of another client's context, as Ceph's manager does for its modules."""
    # librbd has loaded librados, so librbd's handle finds its functions too.
    library = ctypes.CDLL(rbd.library_info().path)
    handle = ctypes.c_void_p()
    assert library.rados_create2(ctypes.byref(handle), b"ceph", b"client.admin", 0) == 0
    assert library.rados_conf_read_file(handle, str(rbd_cluster.conffile).encode()) == 0
    library.rados_cct.restype = ctypes.c_void_p
    yield _new(library.rados_cct(handle), None, None)
    library.rados_shutdown(handle)


def test_a_client_uses_the_context_of_another(
    rbd_cluster: Any, context: Any, object_ioctx: Any
) -> None:
    with rbd_cluster.connect() as other, rados.Rados(context=context) as cluster:
        assert cluster.state == "connected"
        assert cluster.get_fsid() == other.get_fsid()
        assert cluster.get_instance_id() != other.get_instance_id()
        assert cluster.conf_get("mon_host") == other.conf_get("mon_host")
        with cluster.open_ioctx(object_ioctx.get_pool_name()) as ioctx:
            ioctx.set_namespace(object_ioctx.get_namespace())
            ioctx.write_full("thing", b"x")
            assert ioctx.read("thing") == b"x"


def test_a_client_outlives_the_owner_of_its_context(rbd_cluster: Any) -> None:
    library = ctypes.CDLL(rbd.library_info().path)
    handle = ctypes.c_void_p()
    assert library.rados_create2(ctypes.byref(handle), b"ceph", b"client.admin", 0) == 0
    assert library.rados_conf_read_file(handle, str(rbd_cluster.conffile).encode()) == 0
    library.rados_cct.restype = ctypes.c_void_p
    cluster = rados.Rados(context=_new(library.rados_cct(handle), None, None))
    library.rados_shutdown(handle)
    with cluster:
        assert len(cluster.get_fsid()) == 36


def test_a_capsule_may_have_any_name(rbd_cluster: Any, context: Any) -> None:
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype = ctypes.c_void_p
    address.argtypes = (ctypes.py_object, ctypes.c_char_p)
    with rados.Rados(context=_new(address(context, None), b"some.name", None)) as cluster:
        assert cluster.state == "connected"


def test_options_also_change_the_shared_context(rbd_cluster: Any, context: Any) -> None:
    # There is only one configuration, so the other client gets the option too.
    cluster = rados.Rados(context=context, conf={"rbd_default_order": "21"})
    assert cluster.conf_get("rbd_default_order") == "21"
    cluster.shutdown()
    with pytest.raises(rados.RadosStateError):
        cluster.get_fsid()


@pytest.mark.parametrize("bad", [5, b"x", object(), "context"])
def test_a_wrong_type_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="context must be a capsule"):
        rados.Rados(context=bad)
