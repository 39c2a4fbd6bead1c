"""What changed: diff() and diff_iterate()."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, List, Optional, Tuple

import pytest

import rbd

SIZE = 8 << 20
OBJECT = 1 << 20

Extent = Tuple[int, int, bool]


@pytest.fixture
def changed(rbd_image: rbd.Image) -> rbd.Image:
    """Provide data in objects 0 and 2, a snapshot, then more in 2 and 5, and a discard of 0."""
    rbd_image.write(b"a" * 4096, 0)
    rbd_image.write(b"b" * 4096, 2 * OBJECT + 8192)
    rbd_image.create_snap("s")
    rbd_image.write(b"c" * 4096, 2 * OBJECT)
    rbd_image.write(b"d" * OBJECT, 5 * OBJECT)
    rbd_image.discard(0, OBJECT)
    return rbd_image


@pytest.fixture(autouse=True)
def without_snapshots(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> Any:
    yield
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        for snapshot in image.list_snaps():
            image.remove_snap(snapshot["name"])


def gone() -> int:
    """Return how many deleted objects Ceph 14 reports where nothing was at first."""
    return 0 if rbd.supports("rbd_snap_create2") else 1


def iterated(image: rbd.Image, *arguments: Any, **keywords: Any) -> List[Extent]:
    found: List[Extent] = []
    image.diff_iterate(*arguments, lambda *extent: found.append(extent), **keywords)
    return found


def test_diff_is_what_diff_iterate_reports(changed: rbd.Image) -> None:
    for from_snapshot in (None, "s"):
        for whole in (False, True):
            found = iterated(changed, 0, SIZE, from_snapshot, whole_object=whole)
            assert found
            extents = changed.diff(0, SIZE, from_snapshot, whole_object=whole)
            assert list(extents) == found
            assert changed.diff(from_snapshot=from_snapshot, whole_object=whole) == extents


def test_extents_are_sorted_tuples(changed: rbd.Image) -> None:
    found = iterated(changed, 0, SIZE, "s")
    assert [tuple(map(type, extent)) for extent in found] == [(int, int, bool)] * len(found)
    assert found == sorted(found)
    assert (5 * OBJECT, OBJECT, True) in found
    assert (0, False) in [(offset, exists) for offset, _, exists in found]


def test_arguments_may_be_keywords(changed: rbd.Image) -> None:
    found: List[Extent] = []
    changed.diff_iterate(
        offset=0,
        length=SIZE,
        from_snapshot="s",
        iterate_cb=lambda offset, length, exists: found.append((offset, length, exists)),
        include_parent=True,
        whole_object=True,
    )
    assert found == list(
        changed.diff(
            offset=0, length=SIZE, from_snapshot="s", include_parent=True, whole_object=True
        )
    )


def test_a_diff_may_start_at_a_snapshot_id(changed: rbd.Image) -> None:
    (snapshot,) = changed.list_snaps()
    assert changed.diff(from_snapshot=snapshot["id"]) == changed.diff(from_snapshot="s")
    with pytest.raises((rbd.ImageNotFound, rbd.InvalidArgument)):
        changed.diff(from_snapshot=123456)


def test_a_diff_may_cover_a_region(changed: rbd.Image) -> None:
    assert list(changed.diff(3 * OBJECT, OBJECT)) == []
    assert [extent[0] for extent in changed.diff(4 * OBJECT, None, "s")] == [5 * OBJECT]
    assert list(changed.diff(SIZE - OBJECT)) == []
    with pytest.raises(rbd.InvalidArgument):
        changed.diff(SIZE + 1)


def test_a_region_of_whole_objects_ends_with_the_image(changed: rbd.Image) -> None:
    region = (5 * OBJECT + 1000, OBJECT)
    expected = [(5 * OBJECT + 1000, OBJECT - 1000, True)]
    assert list(changed.diff(*region, "s", whole_object=True)) == expected
    assert iterated(changed, *region, "s", whole_object=True) == expected
    # Beyond the image, but in one of its objects.
    changed.resize(SIZE + 100)
    with pytest.raises(rbd.InvalidArgument):
        changed.diff(SIZE + 200, whole_object=True)


def test_merge_joins_adjacent_extents(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"x" * (3 * OBJECT), OBJECT)
    apart = rbd_image.diff(whole_object=True)
    assert len(apart) == 3
    assert list(rbd_image.diff(whole_object=True, merge=True)) == [(OBJECT, 3 * OBJECT, True)]


def test_merge_does_not_join_different_extents(changed: rbd.Image) -> None:
    changed.write(b"e" * OBJECT, OBJECT)
    merged = list(changed.diff(from_snapshot="s", whole_object=True, merge=True))
    assert merged == [
        (0, OBJECT, False),
        (OBJECT, 2 * OBJECT, True),
        (5 * OBJECT, OBJECT, True),
    ]


def test_extents_are_a_sequence(changed: rbd.Image) -> None:
    changed.write(b"e" * 4096, 7 * OBJECT)
    extents = changed.diff(whole_object=True)
    whole = list(extents)
    assert len(extents) == len(whole) == 3 + gone()
    assert [extents[i] for i in range(len(whole))] == whole
    assert extents[-1] == whole[-1]
    for index in (slice(1, None), slice(None, None, -1), slice(0, 2), slice(5, 9), slice(-2, None)):
        part = extents[index]
        assert type(part) is rbd.Extents
        assert list(part) == whole[index]
    for beyond in (len(whole), -len(whole) - 1, 1 << 80):
        with pytest.raises(IndexError):
            extents[beyond]
    with pytest.raises(TypeError):
        extents["0"]
    assert whole[0] in extents
    assert list(reversed(extents)) == whole[::-1]
    assert extents == extents[:]
    assert extents != extents[1:]
    assert extents != whole
    assert not changed.diff(3 * OBJECT, OBJECT)
    assert repr(extents) == f"<rbd.Extents: {len(whole)}>"
    with pytest.raises(TypeError):
        hash(extents)
    with pytest.raises(TypeError):
        rbd.Extents()
    iterator = iter(extents)
    with pytest.raises(TypeError):
        type(iterator)()
    del extents
    changed.close()
    assert list(iterator) == whole
    assert list(iterator) == []


def test_threads_may_share_an_iterator_of_extents(changed: rbd.Image) -> None:
    """Each extent comes once, and nothing comes after the last."""
    extents = changed.diff()
    threads, rounds = 8, 200
    iterators = [iter(extents) for _ in range(rounds)]
    found: List[List[Extent]] = [[] for _ in range(rounds)]
    barrier = threading.Barrier(threads)

    def drain() -> None:
        for iterator, extent in zip(iterators, found):
            barrier.wait(60)
            extent.extend(iterator)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(drain) for _ in range(threads)]:
            done.result()
    assert all(sorted(one) == list(extents) for one in found)


def test_extents_are_a_buffer(changed: rbd.Image) -> None:
    extents = changed.diff()
    view = memoryview(extents)
    assert view.readonly
    assert (view.ndim, view.itemsize, view.shape) == (1, 24, (len(extents),))


def test_numpy_sees_extents_without_a_copy(changed: rbd.Image) -> None:
    numpy = pytest.importorskip("numpy")
    extents = changed.diff(from_snapshot="s")
    records = numpy.asarray(extents)
    assert records.dtype.names == ("offset", "length", "exists")
    assert records.dtype["offset"] == numpy.uint64
    assert records.dtype["exists"] == numpy.bool_
    assert [tuple(record) for record in records.tolist()] == list(extents)
    again = numpy.asarray(extents)
    assert numpy.shares_memory(records["offset"], again["offset"])
    assert not records.flags.writeable
    expected = sum(length for _, length, exists in extents if exists)
    assert records["length"][records["exists"]].sum() == expected
    del extents
    assert records["offset"].tolist() == again["offset"].tolist()
    empty = numpy.asarray(changed.diff(3 * OBJECT, OBJECT))
    assert empty.shape == (0,)


@pytest.mark.parametrize("answer", [None, 0, 5, True, False])
def test_a_callback_may_return_an_int_or_none(changed: rbd.Image, answer: Any) -> None:
    calls: List[Extent] = []

    def callback(*extent: Any) -> Any:
        calls.append(extent)
        return answer

    changed.diff_iterate(0, SIZE, None, callback, whole_object=True)
    assert len(calls) == 2 + gone()


@pytest.mark.parametrize(
    ("answer", "error"),
    [(-5, rbd.IOError), (-rbd.ECANCELED, rbd.OperationCanceled), (-22, rbd.InvalidArgument)],
)
def test_a_negative_answer_ends_the_iteration(changed: rbd.Image, answer: int, error: type) -> None:
    calls: List[Extent] = []

    def callback(*extent: Any) -> int:
        calls.append(extent)
        return answer

    with pytest.raises(error) as caught:
        changed.diff_iterate(0, SIZE, None, callback)
    assert caught.value.errno == -answer
    assert len(calls) == 1


def test_an_exception_of_a_callback_ends_the_iteration(changed: rbd.Image) -> None:
    calls: List[Extent] = []

    def callback(*extent: Any) -> None:
        calls.append(extent)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        changed.diff_iterate(0, SIZE, None, callback)
    assert len(calls) == 1


def test_a_callback_may_use_the_image(changed: rbd.Image) -> None:
    found: List[bytes] = []
    changed.diff_iterate(
        0, SIZE, "s", lambda offset, length, exists: found.append(changed.read(offset, 1))
    )
    assert b"c" in found
    assert b"d" in found


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda image: image.diff_iterate(0, SIZE, None, None), TypeError),
        (lambda image: image.diff_iterate(0, SIZE, None, lambda *_: "x"), TypeError),
        (lambda image: image.diff_iterate(0, SIZE, None, lambda: 0), TypeError),
        (lambda image: image.diff_iterate(-1, SIZE, None, print), OverflowError),
        (lambda image: image.diff_iterate(0, -1, None, print), OverflowError),
        (lambda image: image.diff_iterate(0, SIZE, "none such", print), rbd.ImageNotFound),
        (lambda image: image.diff_iterate(0, SIZE, 5.0, print), TypeError),
        (lambda image: image.diff(-1), OverflowError),
        (lambda image: image.diff(0, -1), OverflowError),
        (lambda image: image.diff(from_snapshot="none such"), rbd.ImageNotFound),
        (lambda image: image.diff(from_snapshot=5.0), TypeError),
        (lambda image: image.diff(from_snapshot=-1), OverflowError),
        (lambda image: image.diff(0, SIZE, None, True), TypeError),
    ],
)
def test_bad_arguments_are_refused(
    changed: rbd.Image, call: Callable[[rbd.Image], Any], error: type
) -> None:
    with pytest.raises(error):
        call(changed)


def test_a_closed_image_is_refused(rbd_ioctx: rbd.rados.Ioctx, changed: rbd.Image) -> None:
    with rbd.Image(rbd_ioctx, changed.get_name()) as image:
        pass
    for call in (image.diff, lambda: image.diff_iterate(0, SIZE, None, print)):
        with pytest.raises(rbd.InvalidArgument) as caught:
            call()
        assert caught.value.errno is None


def test_extents_cannot_be_pickled(changed: rbd.Image) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(changed.diff())


@pytest.fixture
def regrown(rbd_image: rbd.Image) -> rbd.Image:
    """Provide data in all objects at snapshot 's1', then only in 0 and 1, at 's2' also in 6."""
    for number in range(8):
        rbd_image.write(b"a" * OBJECT, number * OBJECT)
    rbd_image.create_snap("s1")
    rbd_image.resize(2 * OBJECT + 4096)
    rbd_image.create_snap("small")
    rbd_image.resize(SIZE)
    rbd_image.write(b"b" * 4096, 6 * OBJECT)
    rbd_image.create_snap("s2")
    return rbd_image


@pytest.mark.parametrize("start", ["s1", "small", None])
@pytest.mark.parametrize("end", ["s2", None])
def test_a_diff_of_whole_objects_finds_truncated_ones(
    regrown: rbd.Image, start: Optional[str], end: Optional[str]
) -> None:
    regrown.set_snap(start)
    before = b"" if start is None else regrown.read(0, regrown.size())
    regrown.set_snap(end)
    after = regrown.read(0, SIZE)
    before = before.ljust(SIZE, b"\0")
    (first,) = [entry["id"] for entry in regrown.list_snaps() if entry["name"] == (start or "s1")]
    for since in [start] if start is None else [start, first]:
        for extents in (
            regrown.diff(from_snapshot=since, whole_object=True),
            regrown.diff(from_snapshot=since, whole_object=True, merge=True),
            iterated(regrown, 0, SIZE, since, whole_object=True),
        ):
            restored = bytearray(before)
            for offset, length, exists in extents:
                restored[offset : offset + length] = (
                    after[offset : offset + length] if exists else bytes(length)
                )
            assert restored == after, list(extents)


@pytest.mark.parametrize("whole_object", [False, True])
def test_a_rollback_is_a_change(rbd_image: rbd.Image, whole_object: bool) -> None:
    """The object map that comes back with it says nothing of later snapshots."""
    for number in range(4):
        rbd_image.write(b"1" * 4096, number * OBJECT)
    rbd_image.create_snap("oldest")
    rbd_image.create_snap("older")
    rbd_image.write(b"2" * 4096, 0)
    rbd_image.discard(OBJECT, OBJECT)
    rbd_image.write(b"2" * 4096, 5 * OBJECT)
    rbd_image.create_snap("later")
    rbd_image.rollback_to_snap("older")
    length = OBJECT if whole_object else 4096
    assert list(rbd_image.diff(from_snapshot="later", whole_object=whole_object)) == [
        (0, length, True),
        (OBJECT, length, True),
        (5 * OBJECT, length, False),
    ]


def test_a_diff_of_whole_objects_reports_whole_objects(regrown: rbd.Image) -> None:
    regrown.write(b"c" * 4096, 4 * OBJECT)
    assert list(regrown.diff(from_snapshot="s2", whole_object=True)) == [(4 * OBJECT, OBJECT, True)]
