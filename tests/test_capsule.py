"""The capsule through which another extension uses an open image, driven from ctypes."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import threading
from typing import Any

import pytest

import rbd
from support.capsules import Lent, functions, lent_by


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
