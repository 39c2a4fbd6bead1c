"""The capsule through which another extension uses an open image, driven from ctypes."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import threading
from typing import Any, Dict

import pytest

import rbd

NAME = b"rbdxx.image.v1"


class Function(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("pointer", ctypes.c_void_p))


class Lent(ctypes.Structure):
    """An rbdxx_image_v1, as its header has it."""


# The functions' types name the structure itself.
Lent._fields_ = (
    ("size", ctypes.c_size_t),
    ("image", ctypes.c_void_p),
    ("acquire", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Lent))),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(Lent))),
    ("functions", ctypes.POINTER(Function)),
    ("function_count", ctypes.c_size_t),
)


def lent_by(capsule: object) -> Any:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return ctypes.cast(get(capsule, NAME), ctypes.POINTER(Lent))


def functions(lent: Any) -> Dict[str, int]:
    table = (lent.contents.functions[i] for i in range(lent.contents.function_count))
    return {entry.name.decode(): entry.pointer for entry in table}


def size_of(lent: Any) -> int:
    size = ctypes.c_uint64()
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64))
    assert call(functions(lent)["rbd_get_size"])(lent.contents.image, ctypes.byref(size)) == 0
    return size.value


def test_the_capsule_has_the_whole_table(rbd_image: rbd.Image) -> None:
    capsule = rbd_image.__rbdxx_image__()
    lent = lent_by(capsule)
    assert lent.contents.size == ctypes.sizeof(Lent)
    table = functions(lent)
    assert set(table) == {name for name, _, _ in rbd._core.table()}
    missing = {name for name, pointer in table.items() if not pointer}
    assert missing == set(rbd.library_info().missing)


def test_a_share_outlives_close(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    size = rbd_image.size()
    capsule = rbd_image.__rbdxx_image__()
    lent = lent_by(capsule)
    assert lent.contents.acquire(lent) == 0
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.size()
    assert size_of(lent) == size
    assert lent.contents.acquire(lent) == -errno.EBADF
    lent.contents.release(lent)


def test_a_share_outlives_image_and_capsule(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    image = rbd.Image(rbd_ioctx, rbd_image.get_name())
    capsule = image.__rbdxx_image__()
    lent = lent_by(capsule)
    assert lent.contents.acquire(lent) == 0
    del image, capsule
    gc.collect()
    assert size_of(lent) == rbd_image.size()
    lent.contents.release(lent)


def test_the_last_release_closes(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    name = rbd_image.get_name()
    rbd_image.close()
    image = rbd.Image(rbd_ioctx, name)
    capsule = image.__rbdxx_image__()
    lent = lent_by(capsule)
    assert [lent.contents.acquire(lent) for _ in range(2)] == [0, 0]
    image.close()
    lent.contents.release(lent)
    with pytest.raises(rbd.ImageBusy):
        rbd.RBD().remove(rbd_ioctx, name)
    lent.contents.release(lent)
    rbd.RBD().remove(rbd_ioctx, name)


def test_close_does_not_wait_for_a_share(rbd_image: rbd.Image) -> None:
    lent = lent_by(capsule := rbd_image.__rbdxx_image__())
    assert lent.contents.acquire(lent) == 0
    closer = threading.Thread(target=rbd_image.close, daemon=True)
    closer.start()
    closer.join(30)
    assert not closer.is_alive()
    lent.contents.release(lent)
    del capsule


def test_unused_capsules_do_not_affect_the_image(rbd_image: rbd.Image) -> None:
    for _ in range(100):
        rbd_image.__rbdxx_image__()
    assert rbd_image.size() > 0


def test_a_closed_image_has_no_capsule(rbd_image: rbd.Image) -> None:
    capsule = rbd_image.__rbdxx_image__()
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument) as caught:
        rbd_image.__rbdxx_image__()
    assert caught.value.errno is None
    lent = lent_by(capsule)
    assert lent.contents.acquire(lent) == -errno.EBADF


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_cannot_acquire(rbd_image: rbd.Image) -> None:
    capsule = rbd_image.__rbdxx_image__()
    lent = lent_by(capsule)
    child = os.fork()
    if child == 0:
        os._exit(-lent.contents.acquire(lent))
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == errno.ESHUTDOWN
