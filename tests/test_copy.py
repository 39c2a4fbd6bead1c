"""Copies: of an image's data, or with its snapshots."""

from __future__ import annotations

import errno
from typing import Any, List, Optional, Tuple

import pytest

import rbd
import rbd.rados

MIB = 1 << 20


@pytest.fixture
def source(rbd_image: rbd.Image) -> rbd.Image:
    """Provide rbd_image with 'one' at 0 in snapshot 'a', 'two' in the head, and more data."""
    for offset in range(0, rbd_image.size(), MIB):
        rbd_image.write(b"data", offset)
    rbd_image.write(b"one", 0)
    rbd_image.create_snap("a")
    rbd_image.write(b"two", 0)
    return rbd_image


@pytest.fixture
def clone(source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> Any:
    """Provide a clone of source@a with another byte and the snapshot 'b'."""
    rbd.RBD().clone(rbd_ioctx, source.name, "a", rbd_ioctx, "clone", clone_format=2)
    with rbd.Image(rbd_ioctx, "clone") as image:
        image.write(b"C", MIB)
        image.create_snap("b")
        yield image


def names(image: rbd.Image) -> List[str]:
    return [snapshot["name"] for snapshot in image.list_snaps()]


def test_a_copy_has_the_data_and_layout(source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
    assert source.copy(rbd_ioctx, "copy") is None
    with rbd.Image(rbd_ioctx, "copy") as copy:
        assert copy.size() == source.size()
        assert copy.read(0, copy.size()) == source.read(0, source.size())
        assert copy.stat()["order"] == source.stat()["order"]
        assert copy.features() == source.features()
        assert names(copy) == []


def test_a_copy_of_a_snapshot_has_its_data(source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
    source.set_snap("a")
    source.copy(dest_ioctx=rbd_ioctx, dest_name="copy")
    with rbd.Image(rbd_ioctx, "copy") as copy:
        assert copy.read(0, 3) == b"one"


def check_layout(image: rbd.Image, data_pool: rbd.rados.Ioctx) -> None:
    assert image.stat()["order"] == 21
    assert (image.stripe_unit(), image.stripe_count()) == (1 << 16, 4)
    assert image.features() == (
        rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_STRIPINGV2 | rbd.RBD_FEATURE_DATA_POOL
    )
    assert image.data_pool_id() == data_pool.get_pool_id()
    assert image.read(0, 3) == b"two"


def test_every_option_is_honoured(
    source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    pool = second_ioctx.get_pool_name()
    layering = rbd.RBD_FEATURE_LAYERING
    source.copy(rbd_ioctx, "copy", layering, 21, 1 << 16, 4, pool)
    source.deep_copy(rbd_ioctx, "deep", layering, 21, 1 << 16, 4, pool, None, False)
    keywords = {
        "dest_ioctx": rbd_ioctx,
        "features": layering,
        "order": 21,
        "stripe_unit": 1 << 16,
        "stripe_count": 4,
        "data_pool": pool,
    }
    source.copy(dest_name="copy2", sparse_size=4096, on_progress=None, **keywords)
    source.deep_copy(
        dest_name="deep2", clone_format=None, flatten=True, on_progress=None, **keywords
    )
    for name in ("copy", "deep", "copy2", "deep2"):
        with rbd.Image(rbd_ioctx, name) as image:
            check_layout(image, second_ioctx)
            assert names(image) == (["a"] if "deep" in name else [])


def test_a_copy_of_a_clone_does_not_have_a_parent(
    clone: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    # librbd skips the data of a clone's parent if it holds the clone's object map.
    with rbd.Image(rbd_ioctx, "clone", read_only=True) as unlocked:
        unlocked.copy(second_ioctx, "copy")
    with rbd.Image(second_ioctx, "copy") as copy:
        assert copy.read(0, copy.size()) == clone.read(0, clone.size())
        with pytest.raises(rbd.ImageNotFound):
            copy.parent_info()


def test_a_copy_of_a_locked_clone_has_the_parent_s_data(
    clone: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """The copy has the parent's data, whichever client holds the clone's object map."""
    content = clone.read(0, clone.size())
    assert content[:3] == b"one"
    assert clone.features() & rbd.RBD_FEATURE_OBJECT_MAP
    clone.write(content[:512], 0)
    clone.discard(2 * MIB, MIB)
    content = clone.read(0, clone.size())
    progress: List[Tuple[int, int]] = []
    clone.copy(rbd_ioctx, "locked", on_progress=lambda *now: progress.append(now))
    assert progress == sorted(progress)
    assert all(0 <= done <= total for done, total in progress)
    assert progress[-1][0] > clone.size()
    with rbd.Image(rbd_ioctx, "locked") as copy:
        assert copy.read(0, copy.size()) == content
    # At a snapshot librbd has that snapshot's object map, even if it cannot lock.
    for number, image in enumerate((clone, rbd.Image(rbd_ioctx, "clone", read_only=True))):
        image.set_snap("b")
        before = image.read(0, image.size())
        assert before != content
        image.copy(rbd_ioctx, f"snapshot-{number}")
        with rbd.Image(rbd_ioctx, f"snapshot-{number}") as copy:
            assert copy.read(0, copy.size()) == before
    image.close()


def test_a_copy_of_a_clone_can_be_stopped(clone: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
    """The copy is stopped in the part that reads what librbd has left out."""
    clone.write(b"locked", 0)

    def stop(done: int, total: int) -> int:
        return -rbd.ECANCELED if done > clone.size() else 0

    with pytest.raises(rbd.OperationCanceled):
        clone.copy(rbd_ioctx, "copy", on_progress=stop)


@pytest.mark.parametrize("features", [rbd.RBD_FEATURE_LAYERING, None])
def test_copy_into_replaces_old_data(
    clone: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, features: Optional[int]
) -> None:
    clone.write(b"locked", 0)
    clone.discard(2 * MIB, MIB)
    rbd.RBD().create(rbd_ioctx, "used", clone.size() + 1000, order=16, features=features)
    with rbd.Image(rbd_ioctx, "used") as used:
        used.write(b"u" * used.size(), 0)
        clone.copy_into(used)
        assert used.read(0, used.size()) == clone.read(0, clone.size()) + b"u" * 1000
    rbd.RBD().create(rbd_ioctx, "small", MIB)
    with rbd.Image(rbd_ioctx, "small") as small:
        small.write(b"kept", 0)
        with pytest.raises(rbd.InvalidArgument):
            clone.copy_into(small)
        assert small.read(0, 4) == b"kept"


def test_a_deep_copy_at_a_snapshot_in_the_trash_is_refused(
    source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    rbd.RBD().clone(rbd_ioctx, source.name, "a", rbd_ioctx, "clone", clone_format=2)
    (entry,) = source.list_snaps()
    source.remove_snap("a")
    source.set_snap_by_id(entry["id"])
    with pytest.raises(rbd.InvalidArgument, match="not a user's") as error:
        source.deep_copy(rbd_ioctx, "deep")
    assert error.value.errno == 22
    assert "deep" not in rbd.RBD().list(rbd_ioctx)
    source.copy(rbd_ioctx, "copy")
    with rbd.Image(rbd_ioctx, "copy") as copy:
        assert copy.read(0, 3) == b"one"
    source.set_snap(None)
    source.deep_copy(rbd_ioctx, "deep")


def test_a_deep_copy_has_the_snapshots(source: rbd.Image, second_ioctx: rbd.rados.Ioctx) -> None:
    assert source.deep_copy(second_ioctx, "deep") is None
    with rbd.Image(second_ioctx, "deep") as deep:
        assert names(deep) == ["a"]
        assert deep.read(0, deep.size()) == source.read(0, source.size())
        deep.set_snap("a")
        assert deep.read(0, 3) == b"one"


@pytest.mark.parametrize("clone_format", [None, 1, 2])
def test_a_deep_copy_of_a_clone_is_a_clone(
    clone: rbd.Image, source: rbd.Image, second_ioctx: rbd.rados.Ioctx, clone_format: Any
) -> None:
    if clone_format != 2:
        source.protect_snap("a")
    clone.deep_copy(second_ioctx, "deep", clone_format=clone_format)
    with rbd.Image(second_ioctx, "deep") as deep:
        assert deep.parent_info()[1:] == (source.name, "a")
        assert deep.parent_id() == source.id()
        assert names(deep) == ["b"]
        assert deep.read(0, deep.size()) == clone.read(0, clone.size())
        if clone_format is not None:
            is_child = deep.op_features() & rbd.RBD_OPERATION_FEATURE_CLONE_CHILD
            assert bool(is_child) == (clone_format == 2)
    with rbd.Image(second_ioctx, "deep") as deep:
        deep.remove_snap("b")
    rbd.RBD().remove(second_ioctx, "deep")


def test_a_flattened_deep_copy_has_no_parent(
    clone: rbd.Image, second_ioctx: rbd.rados.Ioctx
) -> None:
    clone.deep_copy(second_ioctx, "deep", flatten=True)
    with rbd.Image(second_ioctx, "deep") as deep:
        assert deep.overlap() == 0
        assert deep.read(0, deep.size()) == clone.read(0, clone.size())
        with pytest.raises(rbd.ImageNotFound):
            deep.parent_info()


def test_copy_into_writes_into_an_existing_image(
    source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    rbd.RBD().create(rbd_ioctx, "large", source.size() + MIB)
    rbd.RBD().create(rbd_ioctx, "small", MIB)
    progress: List[Tuple[int, int]] = []
    with rbd.Image(rbd_ioctx, "large") as large:
        large.write(b"beyond", source.size())
        source.copy_into(large, on_progress=lambda *now: progress.append(now))
        assert large.read(0, source.size()) == source.read(0, source.size())
        assert large.read(source.size(), 6) == b"beyond"
    assert progress[-1][0] <= progress[-1][1]
    with rbd.Image(rbd_ioctx, "small") as small, pytest.raises(rbd.InvalidArgument):
        source.copy_into(destination=small)
    with pytest.raises(rbd.InvalidArgument, match="closed"):
        source.copy_into(small)
    with pytest.raises(TypeError):
        source.copy_into("large")


@pytest.mark.parametrize("call", ["copy", "deep_copy"])
def test_copies_report_increasing_progress(
    source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, call: str
) -> None:
    progress: List[Tuple[int, int]] = []
    getattr(source, call)(rbd_ioctx, "copy", on_progress=lambda *now: progress.append(now))
    assert progress
    assert all(0 <= done <= total for done, total in progress)
    assert progress == sorted(progress)


@pytest.mark.parametrize("call", ["copy", "deep_copy"])
def test_an_exception_of_a_callback_is_raised(
    source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, call: str
) -> None:
    calls = []

    def fail(done: int, total: int) -> int:
        calls.append(done)
        raise LookupError("told so")

    with pytest.raises(LookupError, match="told so"):
        getattr(source, call)(rbd_ioctx, "copy", on_progress=fail)
    assert len(calls) == 1
    with pytest.raises(TypeError):
        getattr(source, call)(rbd_ioctx, "other", on_progress="callback")
    assert "other" not in rbd.RBD().list(rbd_ioctx)


@pytest.mark.parametrize("call", ["copy", "deep_copy"])
def test_objects_smaller_than_the_stripe_unit_are_refused(
    source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, call: str
) -> None:
    """The error names the parameters that librbd's EINVAL is about. They help."""
    unit = source.stripe_unit()
    order = unit.bit_length() - 2
    with pytest.raises(rbd.InvalidArgument, match=f"order {order} .*stripe_unit") as error:
        getattr(source, call)(rbd_ioctx, "copy", order=order)
    assert error.value.errno == errno.EINVAL
    assert f"{unit} bytes" in str(error.value)
    getattr(source, call)(rbd_ioctx, "copy", order=order, stripe_unit=unit // 2, stripe_count=1)
    with rbd.Image(rbd_ioctx, "copy") as copy:
        assert copy.stat()["order"] == order


@pytest.mark.parametrize("call", ["copy", "deep_copy"])
def test_invalid_copies_are_refused(
    source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, call: str
) -> None:
    copy = getattr(source, call)
    with pytest.raises(rbd.ImageExists) as exists:
        copy(rbd_ioctx, source.name)
    assert exists.value.errno == 17
    assert repr(source.name) in str(exists.value)
    for wrong in (None, 5):
        with pytest.raises(TypeError):
            copy(rbd_ioctx, wrong)
    for wrong in (None, "pool", 5, object()):
        with pytest.raises(TypeError):
            copy(wrong, "copy")
    with pytest.raises(OverflowError):
        copy(rbd_ioctx, "copy", features=-1)
    with pytest.raises(ValueError, match="NUL"):
        copy(rbd_ioctx, "a\0b")
    with pytest.raises(rbd.Error):
        copy(rbd_ioctx, "copy", data_pool="no such pool")
    with pytest.raises(rbd.ArgumentOutOfRange):
        copy(rbd_ioctx, "copy", order=99)
    if call == "deep_copy":
        with pytest.raises(rbd.InvalidArgument, match="clone_format"):
            copy(rbd_ioctx, "copy", clone_format=3)
    source.close()
    with pytest.raises(rbd.InvalidArgument, match="closed"):
        copy(rbd_ioctx, "copy")
    assert "copy" not in rbd.RBD().list(rbd_ioctx)


@pytest.mark.parametrize("call", ["copy", "deep_copy"])
@pytest.mark.parametrize("name", ["stripe_unit", "stripe_count"])
@pytest.mark.parametrize("value", [1 << 32, (1 << 64) - 1])
def test_too_many_stripes_are_refused(
    source: rbd.Image, rbd_ioctx: rbd.rados.Ioctx, call: str, name: str, value: int
) -> None:
    """librbd uses the lower half of the number, and divides by it."""
    with pytest.raises(rbd.InvalidArgument, match=f"{name} must be at most 4294967295") as error:
        getattr(source, call)(rbd_ioctx, "copy", **{name: value})
    assert error.value.errno == 22
    assert "copy" not in rbd.RBD().list(rbd_ioctx)


@pytest.mark.parametrize("call", ["copy", "deep_copy"])
def test_a_closed_ioctx_is_refused(
    source: rbd.Image, second_ioctx: rbd.rados.Ioctx, call: str
) -> None:
    second_ioctx.close()
    with pytest.raises(rbd.rados.Error):
        getattr(source, call)(second_ioctx, "copy")
