"""The lists of a pool without mirrored images. test_mirror_image.py makes some."""

from __future__ import annotations

from typing import Any

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster
from support.refusals import Calls, refuses_other_than_an_open_ioctx

call = rbd.RBD()


def test_a_pool_without_mirrored_images_has_empty_lists(rbd_ioctx: rbd.rados.Ioctx) -> None:
    assert call.mirror_image_status_summary(rbd_ioctx) == []
    assert list(call.mirror_image_status_list(ioctx=rbd_ioctx)) == []
    assert list(call.mirror_image_instance_id_list(ioctx=rbd_ioctx)) == []


@pytest.mark.needs("rbd_mirror_image_info_list")
def test_a_pool_without_mirrored_images_has_no_infos(rbd_ioctx: rbd.rados.Ioctx) -> None:
    assert list(call.mirror_image_info_list(rbd_ioctx)) == []
    chosen = call.mirror_image_info_list(
        ioctx=rbd_ioctx, mode_filter=rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL
    )
    assert list(chosen) == []


CALLS: Calls = [
    ("mirror_image_status_list", ()),
    ("mirror_image_status_summary", ()),
    ("mirror_image_instance_id_list", ()),
    pytest.param(
        "mirror_image_info_list", (), marks=pytest.mark.needs("rbd_mirror_image_info_list")
    ),
]


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_closed_or_foreign_ioctx_is_refused(
    rbd_cluster: Cluster, method: str, arguments: Any
) -> None:
    refuses_other_than_an_open_ioctx(rbd_cluster, method, arguments)


def test_wrong_types_are_refused(rbd_ioctx: rbd.rados.Ioctx) -> None:
    wrong: Any = object()
    for method in (
        lambda: rbd.MirrorImageStatusIterator(wrong),
        lambda: rbd.MirrorImageInstanceIdIterator(wrong),
        lambda: rbd.MirrorImageInfoIterator(wrong, None),
        lambda: rbd.MirrorImageInfoIterator(rbd_ioctx, wrong),
    ):
        with pytest.raises(TypeError):
            method()
