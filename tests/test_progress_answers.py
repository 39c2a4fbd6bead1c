"""Every call with a progress callback: a negative answer or an exception stops it, or does not.

The table of docs/deviations.md says which calls are stopped.
"""

from __future__ import annotations

import contextlib
import errno
import inspect
import pathlib
import re
import secrets
import threading
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

import pytest

import rbd
import rbd.rados
from rbd.testing import LocalCluster
from support.isolated import PATIENCE
from support.public_surface import public_classes

SIZE = 2 << 20
ORDER = 16  # many small objects, for many reports
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "deviations.md"
#: Calls whose callback gets results, and not progress.
FINDING = {"Image.diff_iterate", "Image.read_iterate"}

#: The call, which takes the callback and keywords, and whether it has done all of its work.
Staged = Tuple[Callable[..., Any], Callable[[], bool]]
Stage = Callable[[rbd.rados.Ioctx, contextlib.ExitStack], Staged]
STAGES: Dict[str, Stage] = {}


def stage(of: str) -> Callable[[Stage], Stage]:
    """Register the function as the one that stages that method."""

    def note(function: Stage) -> Stage:
        STAGES[of] = function
        return function

    return note


def reporting() -> Set[str]:
    """Return the methods of the extension that take `on_progress`."""
    return {
        f"{name}.{method}"
        for name, cls in public_classes()
        for method in vars(cls)
        if not method.startswith("_")
        and callable(getattr(cls, method))
        and "on_progress" in inspect.signature(getattr(cls, method)).parameters
    }


def filled(ioctx: rbd.rados.Ioctx, name: str = "image") -> None:
    """Make an image full of data, whose snapshot "s" holds other data."""
    rbd.RBD().create(ioctx, name, SIZE, order=ORDER)
    with rbd.Image(ioctx, name) as image:
        image.write(b"a" * SIZE, 0)
        image.create_snap("s")
        image.write(b"b" * SIZE, 0)


def plain(ioctx: rbd.rados.Ioctx, name: str = "image") -> None:
    """Make an image without snapshots, full of zeroes."""
    rbd.RBD().create(ioctx, name, SIZE, order=ORDER)
    with rbd.Image(ioctx, name) as image:
        image.write(bytes(SIZE), 0)


def cloned(ioctx: rbd.rados.Ioctx) -> None:
    """Make an image, and a clone of its snapshot."""
    filled(ioctx)
    with rbd.Image(ioctx, "image") as image:
        image.protect_snap("s")
    rbd.RBD().clone(ioctx, "image", "s", ioctx, "clone")


def gone(ioctx: rbd.rados.Ioctx, name: str) -> bool:
    return name not in rbd.RBD().list(ioctx)


def names_of(image: rbd.Image) -> Set[str]:
    """Return the names of the image's snapshots."""
    return {one["name"] for one in image.list_snaps()}


def size(ioctx: rbd.rados.Ioctx, name: str) -> int:
    """Return the size that another client sees. The client that shrinks the image sees it too
    early."""
    with rbd.Image(ioctx, name, read_only=True) as image:
        return int(image.size())


def holds(ioctx: rbd.rados.Ioctx, name: str, content: bytes) -> bool:
    with rbd.Image(ioctx, name, read_only=True) as image:
        return bool(image.read(0, SIZE) == content * SIZE)


@stage("RBD.remove")
def remove(ioctx: rbd.rados.Ioctx, _: contextlib.ExitStack) -> Staged:
    plain(ioctx)
    return (
        lambda report, **more: rbd.RBD().remove(ioctx, "image", on_progress=report, **more),
        lambda: gone(ioctx, "image"),
    )


def discarded(ioctx: rbd.rados.Ioctx) -> str:
    plain(ioctx)
    rbd.RBD().trash_move(ioctx, "image")
    return str(next(iter(rbd.RBD().trash_list(ioctx)))["id"])


@stage("RBD.trash_remove")
def trash_remove(ioctx: rbd.rados.Ioctx, _: contextlib.ExitStack) -> Staged:
    found = discarded(ioctx)
    return (
        lambda report, **more: rbd.RBD().trash_remove(ioctx, found, on_progress=report, **more),
        lambda: not list(rbd.RBD().trash_list(ioctx)),
    )


@stage("RBD.trash_purge")
def trash_purge(ioctx: rbd.rados.Ioctx, _: contextlib.ExitStack) -> Staged:
    discarded(ioctx)
    return (
        lambda report, **more: rbd.RBD().trash_purge(ioctx, on_progress=report, **more),
        lambda: not list(rbd.RBD().trash_list(ioctx)),
    )


def state(ioctx: rbd.rados.Ioctx) -> int:
    with contextlib.suppress(rbd.ImageNotFound, rbd.InvalidArgument):
        return int(rbd.RBD().migration_status(ioctx, "moved")["state"])
    return -1


def prepared(ioctx: rbd.rados.Ioctx) -> None:
    plain(ioctx)
    rbd.RBD().migration_prepare(ioctx, "image", ioctx, "moved")


@stage("RBD.migration_execute")
def migration_execute(ioctx: rbd.rados.Ioctx, _: contextlib.ExitStack) -> Staged:
    prepared(ioctx)
    return (
        lambda report, **more: rbd.RBD().migration_execute(ioctx, "moved", report, **more),
        lambda: state(ioctx) == rbd.RBD_IMAGE_MIGRATION_STATE_EXECUTED,
    )


@stage("RBD.migration_commit")
def migration_commit(ioctx: rbd.rados.Ioctx, _: contextlib.ExitStack) -> Staged:
    prepared(ioctx)
    rbd.RBD().migration_execute(ioctx, "moved")
    return (
        lambda report, **more: rbd.RBD().migration_commit(ioctx, "moved", report, **more),
        lambda: not list(rbd.RBD().trash_list(ioctx)),
    )


@stage("RBD.migration_abort")
def migration_abort(ioctx: rbd.rados.Ioctx, _: contextlib.ExitStack) -> Staged:
    prepared(ioctx)
    rbd.RBD().migration_execute(ioctx, "moved")
    return (
        lambda report, **more: rbd.RBD().migration_abort(ioctx, "moved", report, **more),
        lambda: gone(ioctx, "moved") and not gone(ioctx, "image"),
    )


def copying(method: str) -> Stage:
    def begin(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
        filled(ioctx)
        image = opened.enter_context(rbd.Image(ioctx, "image"))
        return (
            lambda report, **more: getattr(image, method)(
                ioctx, "copy", on_progress=report, **more
            ),
            lambda: holds(ioctx, "copy", b"b"),
        )

    return begin


for _method in ("copy", "deep_copy"):
    stage(f"Image.{_method}")(copying(_method))


@stage("Image.copy_into")
def copy_into(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    filled(ioctx)
    plain(ioctx, "copy")
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    other = opened.enter_context(rbd.Image(ioctx, "copy"))
    return (
        lambda report, **more: image.copy_into(other, on_progress=report, **more),
        lambda: other.flush() is None and holds(ioctx, "copy", b"b"),
    )


@stage("Image.create_snap")
def create_snap(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    plain(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    return (
        lambda report, **more: image.create_snap("new", on_progress=report, **more),
        lambda: "new" in names_of(image),
    )


@stage("Image.remove_snap2")
def remove_snap2(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    cloned(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    flags = rbd.RBD_SNAP_REMOVE_FORCE
    return (
        lambda report, **more: image.remove_snap2("s", flags, on_progress=report, **more),
        lambda: "s" not in names_of(image),
    )


@stage("Image.resize")
def resize(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    plain(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    return (
        lambda report, **more: image.resize(0, on_progress=report, **more),
        lambda: size(ioctx, "image") == 0,
    )


@stage("Image.flatten")
def flatten(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    cloned(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "clone"))
    return (
        lambda report, **more: image.flatten(on_progress=report, **more),
        lambda: image.overlap() == 0,
    )


@stage("Image.sparsify")
def sparsify(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    plain(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    return (
        lambda report, **more: image.sparsify(4096, on_progress=report, **more),
        lambda: not list(image.diff()),
    )


@stage("Image.rebuild_object_map")
def rebuild_object_map(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    plain(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    image.update_features(rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF, False)
    image.update_features(rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF, True)
    assert image.flags() & rbd.RBD_FLAG_OBJECT_MAP_INVALID
    return (
        lambda report, **more: image.rebuild_object_map(on_progress=report, **more),
        lambda: not image.flags() & rbd.RBD_FLAG_OBJECT_MAP_INVALID,
    )


@stage("Image.rollback_to_snap")
def rollback_to_snap(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    filled(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    return (
        lambda report, **more: image.rollback_to_snap("s", on_progress=report, **more),
        lambda: holds(ioctx, "image", b"a"),
    )


@stage("Group.rollback_to_snap")
def group_rollback(ioctx: rbd.rados.Ioctx, _: contextlib.ExitStack) -> Staged:
    filled(ioctx)
    rbd.RBD().group_create(ioctx, "group")
    group = rbd.Group(ioctx, "group")
    group.add_image(ioctx, "image")
    group.create_snap("all")
    with rbd.Image(ioctx, "image") as image:
        image.write(b"c" * SIZE, 0)
    return (
        lambda report, **more: group.rollback_to_snap("all", on_progress=report, **more),
        lambda: holds(ioctx, "image", b"b"),
    )


@stage("Image.diff_iterate")
def diff_iterate(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    filled(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    return found(lambda see: image.diff_iterate(0, SIZE, None, see))


@stage("Image.read_iterate")
def read_iterate(ioctx: rbd.rados.Ioctx, opened: contextlib.ExitStack) -> Staged:
    filled(ioctx)
    image = opened.enter_context(rbd.Image(ioctx, "image"))
    return found(lambda see: image.read_iterate(0, SIZE, see))


def found(call: Callable[[Callable[..., Any]], Any]) -> Staged:
    """Return a call that passes piece after piece to the callback."""
    pieces: List[int] = []

    def see(report: Any) -> Callable[..., Any]:
        def one(offset: int, *_: Any) -> Any:
            pieces.append(offset)
            return report(offset, SIZE)

        return one

    return lambda report: call(see(report)), lambda: len(pieces) == SIZE >> ORDER


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Provide a cluster that is removed with what the calls leave unfinished."""
    with LocalCluster() as started:
        yield started


@pytest.fixture
def place(cluster: LocalCluster) -> Iterator[rbd.rados.Ioctx]:
    """Provide an ioctx of an empty namespace."""
    with cluster.connect() as connection, connection.open_ioctx(cluster.pools[0]) as ioctx:
        name = secrets.token_hex(4)
        rbd.RBD().namespace_create(ioctx, name)
        ioctx.set_namespace(name)
        yield ioctx


def table() -> Dict[str, bool]:
    """Return what the page says for each call: whether its callback stops it."""
    rows = re.findall(r"^\| (`.*) \| (yes|no)\b", PAGE.read_text(), flags=re.MULTILINE)
    return {name: word == "yes" for names, word in rows for name in re.findall(r"`(.+?)`", names)}


class Stop(Exception):
    """Raised by a callback."""


def stop(*_: int) -> int:
    raise Stop


def cancel(*_: int) -> int:
    return -rbd.ECANCELED


def test_each_takes_a_timeout_by_keyword() -> None:
    for name in reporting():
        cls, method = name.split(".")
        parameter = inspect.signature(getattr(getattr(rbd, cls), method)).parameters["timeout"]
        assert parameter.kind is parameter.KEYWORD_ONLY, name
        assert parameter.default is None, name


def test_the_table_has_every_call() -> None:
    assert set(table()) == set(STAGES) == reporting() | FINDING


@pytest.mark.parametrize("name", sorted(reporting()))
def test_each_docstring_says_what_an_answer_does(name: str) -> None:
    cls, method = name.split(".")
    text = inspect.getdoc(getattr(getattr(rbd, cls), method)) or ""
    told = " ".join(text.replace("`", "").split())
    words = ("may return -rbd.ECANCELED to stop", "OperationCanceled")
    assert all((word in told) == table()[name] for word in words)
    assert ("cannot stop it" in told) != table()[name]


@pytest.mark.parametrize("name", sorted(reporting()))
def test_each_call_ends_after_its_timeout(
    place: rbd.rados.Ioctx, cluster: LocalCluster, name: str
) -> None:
    resumed = threading.Event()

    def resume() -> None:
        resumed.set()
        cluster.resume_osd(0)

    with contextlib.ExitStack() as opened:
        call, _ = STAGES[name](place, opened)
        cluster.pause_osd(0)
        # A call that does not heed its timeout must not wait for ever.
        timer = threading.Timer(20 * PATIENCE, resume)
        timer.start()
        try:
            with pytest.raises(rbd.Timeout, match=r"within 0\.3 seconds") as caught:
                call(None, timeout=0.3)
            assert caught.value.errno == errno.ETIMEDOUT
            assert not resumed.is_set()
        finally:
            timer.cancel()
            resume()


@pytest.mark.parametrize("name", sorted(STAGES))
@pytest.mark.parametrize("answer", [cancel, stop])
def test_answers_stop_the_calls_of_the_table(
    place: rbd.rados.Ioctx, name: str, answer: Callable[..., int]
) -> None:
    if name == "Image.create_snap" and not rbd.supports("rbd_snap_create2"):
        pytest.skip("without rbd_snap_create2 this call reports nothing")
    count = 0

    def report(done: int, total: int) -> int:
        nonlocal count
        assert 0 <= done <= total
        count += 1
        return answer()

    with contextlib.ExitStack() as opened:
        call, done = STAGES[name](place, opened)
        if answer is stop:
            with pytest.raises(Stop):
                call(report)
            # Whether or not librbd heeds it, a callback that has raised is not called again.
            assert count == 1
        elif table()[name]:
            with pytest.raises(rbd.OperationCanceled) as caught:
                call(report)
            assert caught.value.errno == rbd.ECANCELED
        else:
            call(report)
            assert count >= 1
        assert done() != table()[name]
