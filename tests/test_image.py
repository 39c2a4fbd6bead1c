"""Opening, closing and describing an image."""

from __future__ import annotations

import datetime
import gc
from typing import Any, Callable

import pytest

import rbd
from support.location import in_utc

SIZE = 8 << 20


def test_stat_describes_the_image(rbd_image: rbd.Image) -> None:
    stat = rbd_image.stat()
    assert stat == {
        "size": SIZE,
        "obj_size": 1 << 20,
        "num_objs": 8,
        "order": 20,
        "block_name_prefix": rbd_image.block_name_prefix(),
        "parent_pool": -1,
        "parent_name": "",
    }


def test_getters_describe_the_image(rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
    assert rbd_image.size() == SIZE
    assert rbd_image.get_name() == rbd_image.name
    assert rbd_image.id() in rbd_image.block_name_prefix()
    assert rbd_image.old_format() is False
    assert rbd_image.overlap() == 0
    assert rbd_image.stripe_unit() == 1 << 20
    assert rbd_image.stripe_count() == 1
    assert rbd_image.features() & rbd.RBD_FEATURE_LAYERING
    assert rbd_image.op_features() == 0
    assert rbd_image.flags() == 0
    assert rbd_image.data_pool_id() == rbd_ioctx.get_pool_id()


@pytest.mark.parametrize("zone", ["EST+5", "NPT-5:45"])
def test_timestamps_are_utc(
    rbd_image: rbd.Image, time_zone: Callable[[str], None], zone: str
) -> None:
    time_zone(zone)
    now = datetime.datetime.now(datetime.timezone.utc)
    for stamp in (
        rbd_image.create_timestamp(),
        rbd_image.access_timestamp(),
        rbd_image.modify_timestamp(),
    ):
        assert abs(now - in_utc(stamp)) < datetime.timedelta(minutes=10)


def test_an_image_opens_by_its_id(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    with rbd.Image(rbd_ioctx, image_id=rbd_image.id()) as image:
        assert image.get_name() == rbd_image.name
        assert image.name is None


@pytest.mark.parametrize("arguments", [{}, {"name": "a", "image_id": "b"}])
def test_exactly_one_of_name_and_id_is_needed(rbd_ioctx: rbd.rados.Ioctx, arguments: Any) -> None:
    with pytest.raises(rbd.InvalidArgument):
        rbd.Image(rbd_ioctx, **arguments)


@pytest.mark.parametrize("name", ["none", b"none", "é☃", "a" * 300])
def test_a_missing_image_is_an_error(rbd_ioctx: rbd.rados.Ioctx, name: Any) -> None:
    with pytest.raises(rbd.ImageNotFound) as caught:
        rbd.Image(rbd_ioctx, name)
    assert caught.value.errno == 2
    assert str(caught.value).startswith("[errno 2] RBD image not found (error opening image '")


def test_a_missing_snapshot_is_an_error(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.ImageNotFound, match="at snapshot 'none'"):
        rbd.Image(rbd_ioctx, rbd_image.name, "none")


@pytest.mark.parametrize("name", [1, 1.5, ["a"], object()])
def test_a_name_must_be_text(rbd_ioctx: rbd.rados.Ioctx, name: Any) -> None:
    with pytest.raises(TypeError):
        rbd.Image(rbd_ioctx, name)
    with pytest.raises(TypeError):
        rbd.RBD().create(rbd_ioctx, name, 1)
    with pytest.raises(TypeError):
        rbd.RBD().remove(rbd_ioctx, name)


def test_a_name_must_not_contain_nul(rbd_ioctx: rbd.rados.Ioctx) -> None:
    for name in ("a\0b", b"a\0b"):
        with pytest.raises(ValueError, match="NUL"):
            rbd.Image(rbd_ioctx, name)


@pytest.mark.parametrize("name", ["é-☃-\U0001f40d", b"bytes", b"\xff\xfe"])
def test_names_may_have_any_other_characters(rbd_ioctx: rbd.rados.Ioctx, name: Any) -> None:
    rbd.RBD().create(rbd_ioctx, name, SIZE)
    shown = name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
    assert rbd.RBD().list(rbd_ioctx) == [shown]
    with rbd.Image(rbd_ioctx, name) as image:
        assert image.get_name() == shown
    rbd.RBD().remove(rbd_ioctx, shown)
    assert rbd.RBD().list(rbd_ioctx) == []


@pytest.mark.parametrize("ioctx", [None, 1, "rbd", object(), rbd.RBD()])
def test_a_wrong_ioctx_is_refused(ioctx: Any) -> None:
    for call in (
        lambda: rbd.Image(ioctx, "a"),
        lambda: rbd.RBD().list(ioctx),
        lambda: rbd.RBD().create(ioctx, "a", 1),
    ):
        with pytest.raises(TypeError, match="ioctx"):
            call()


def test_a_closed_image_may_be_closed_but_not_used(rbd_image: rbd.Image) -> None:
    assert rbd_image.closed is False
    rbd_image.require_not_closed()
    rbd_image.close()
    rbd_image.close()
    assert rbd_image.closed is True
    for call in (rbd_image.require_not_closed, rbd_image.stat, rbd_image.list_snaps):
        with pytest.raises(rbd.InvalidArgument) as caught:
            call()
        assert caught.value.errno is None


def test_the_context_manager_keeps_the_exception_of_the_body(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "cm", SIZE)
    with pytest.raises(KeyError, match="body"), rbd.Image(rbd_ioctx, "cm") as image:
        raise KeyError("body")
    assert image.closed


def test_text_names_image_pool_and_state(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "text", SIZE)
    image = rbd.Image(rbd_ioctx, "text")
    assert "text" in str(image)
    assert repr(image) == f"<rbd.Image image 'text' in pool {rbd_ioctx.get_pool_name()!r}>"
    image.close()
    assert "closed" in str(image)


def test_a_dropped_image_closes_itself(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "drop", SIZE)
    image = rbd.Image(rbd_ioctx, "drop")
    image.write(b"x", 0)  # takes the exclusive lock
    del image
    gc.collect()
    rbd.RBD().remove(rbd_ioctx, "drop")  # ImageBusy if it were still watched


def test_the_image_outlives_its_context_and_connection(rbd_cluster: Any) -> None:
    cluster = rbd_cluster.connect()
    ioctx = cluster.open_ioctx(rbd_cluster.pools[0])
    rbd.RBD().create(ioctx, "outlives", SIZE)
    image = rbd.Image(ioctx, "outlives")
    ioctx.close()
    cluster.shutdown()
    assert image.write(b"still", 0) == 5
    assert image.read(0, 5) == b"still"
    image.close()
    with rbd_cluster.connect() as again, again.open_ioctx(rbd_cluster.pools[0]) as other:
        rbd.RBD().remove(other, "outlives")


def test_resize_changes_the_size(rbd_image: rbd.Image) -> None:
    rbd_image.resize(2 * SIZE)
    assert rbd_image.size() == 2 * SIZE
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.resize(SIZE, allow_shrink=False)
    rbd_image.resize(size=SIZE, allow_shrink=True)
    assert rbd_image.size() == SIZE


def test_invalidate_cache_and_flush_keep_the_data(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"abc", 0)
    rbd_image.flush()
    rbd_image.invalidate_cache()
    assert rbd_image.read(0, 3) == b"abc"


def test_features_are_switched_on_and_off(rbd_image: rbd.Image) -> None:
    fast = rbd.RBD_FEATURE_FAST_DIFF | rbd.RBD_FEATURE_OBJECT_MAP
    rbd_image.update_features(fast, False)
    assert not rbd_image.features() & fast
    rbd_image.update_features(features=fast, enabled=True)
    assert rbd_image.features() & fast == fast
    rbd_image.rebuild_object_map()
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.update_features(rbd.RBD_FEATURE_LAYERING, False)


def test_sparsify_frees_zeroes(rbd_image: rbd.Image) -> None:
    rbd_image.write(bytes(1 << 20), 0)
    rbd_image.flush()
    rbd_image.sparsify(4096)
    rbd_image.sparsify(sparse_size=1 << 20, on_progress=lambda done, total: None)
    extents: list[Any] = []
    rbd_image.diff_iterate(0, SIZE, None, lambda *extent: extents.append(extent))
    assert extents == []
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.sparsify(4095)
