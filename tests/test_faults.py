"""Faults that no cluster can stage: a librbd that answers wrongly or late, or lacks functions.

The shim of fakerbd is between the package and the real librbd.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import itertools
import random
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable, List, Set, Tuple

import pytest

import rbd
from support import fakerbd, figures, memory_usage
from support.fakerbd import Kind, Shim
from support.fakerbd.driving import CODES, NOT_DRIVEN, balance, everything
from support.location import LIMIT, SIZE, SOAK, Where, connect, open_all
from support.public_surface import candidates, gated, methods, required

pytestmark = [pytest.mark.timeout(LIMIT + 20), fakerbd.needs_compiler]


# Short and long answers


def short_and_long(where: Where) -> None:
    shim = Shim()
    _cluster, _ioctx, image = open_all(where)
    data = bytes(range(256)) * 16
    image.write(data, 0)

    with shim.fault("rbd_read", Kind.ADD, -100):
        assert image.read(0, 4096) == data[:-100]
        buffer = bytearray(4096)
        assert image.readinto(buffer, 0) == 3996
    with shim.fault("rbd_read", Kind.ANSWER, 0):
        assert image.read(0, 4096) == b""
    for extra in (1, 1 << 30):
        with shim.fault("rbd_read", Kind.ADD, extra):
            for read in (lambda: image.read(0, 4096), lambda: image.readinto(bytearray(512), 0)):
                with pytest.raises(rbd.LogicError):
                    read()

    writes: List[Tuple[str, Callable[[], Any]]] = [
        ("rbd_write", lambda: image.write(data, 0)),
        ("rbd_write2", lambda: image.write(data, 0, fadvise_flags=1)),
        ("rbd_writesame", lambda: image.write_same(b"x" * 512, 0, 4096)),
    ]
    if hasattr(image, "compare_and_write"):

        def compare() -> Any:
            image.invalidate_cache()  # Ceph 14's cache does not know its own write
            found = image.read(0, 512)
            return image.compare_and_write(found, b"y" * 512, 0)

        writes.append(("rbd_compare_and_write", compare))
    for function, write in writes:
        for change in (Kind.ADD, -1), (Kind.ADD, -512), (Kind.ANSWER, 0):
            with shim.fault(function, *change), pytest.raises(rbd.IncompleteWriteError) as caught:
                write()
            assert caught.value.errno is None
        for extra in (1, 1 << 30):
            with shim.fault(function, Kind.ADD, extra), pytest.raises(rbd.LogicError):
                write()
    with shim.fault("rbd_discard", Kind.ADD, 1), pytest.raises(rbd.LogicError):
        image.discard(0, 4096)
    image.close()


@pytest.mark.needs("rbd_compare_and_write")
def test_short_and_long_answers_are_handled(shimmed: Callable[..., Any]) -> None:
    shimmed(short_and_long)


# Closing


def failing_close(where: Where) -> None:
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    with shim.fault("rbd_close", Kind.AFTER, errno.EIO):
        with pytest.raises(rbd.IOError):
            image.close()
        assert image.closed
        image.close()
        with pytest.raises(KeyError), rbd.Image(ioctx, where[3]):
            raise KeyError("of the body")
        with pytest.raises(rbd.IOError), rbd.Image(ioctx, where[3]):
            pass
        # An image that nobody closes has no caller to tell.
        rbd.Image(ioctx, where[3])
        gc.collect()
    assert balance(shim)[0] == 0


def test_a_failing_close_raises_once(shimmed: Callable[..., Any]) -> None:
    shimmed(failing_close)


def slow_calls(where: Where) -> None:
    """Calls under way while the image closes complete with their results."""
    shim = Shim()
    _cluster, _ioctx, image = open_all(where)
    results: List[Any] = []
    with shim.fault("rbd_read", Kind.DELAY, 300):
        threads = [
            threading.Thread(target=lambda: results.append(image.read(0, 4))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        while shim.calls("rbd_read") < 4:
            time.sleep(0.001)
        image.close()
        for thread in threads:
            thread.join(30)
    assert results == [b"AAAA"] * 4
    with pytest.raises(rbd.InvalidArgument):
        image.read(0, 4)
    assert balance(shim)[0] == 0


def test_close_waits_for_slow_calls(shimmed: Callable[..., Any]) -> None:
    shimmed(slow_calls)


def exit_in_slow_call(where: Where) -> None:
    """The interpreter exits while threads are in calls that end much later."""
    shim = Shim()
    _cluster, ioctx = connect(where)
    image = rbd.Image(ioctx, where[3], read_only=True)
    for milliseconds in (1, 50, 100, 150, 200, 400, 5000):
        shim.arm("rbd_read", Kind.DELAY, milliseconds, count=1)
        threading.Thread(target=lambda: image.read(0, 4), daemon=True).start()
    while shim.calls("rbd_read") < 7:
        time.sleep(0.001)


def test_exit_during_slow_calls_does_not_crash(shimmed: Callable[..., Any]) -> None:
    for _ in range(50 if SOAK else 3):
        shimmed(exit_in_slow_call)
        figures.note("exits in slow calls", 1)


class ClosesLate:
    """Closes an image when the interpreter destroys this, after all exit handlers."""

    def __init__(self, image: rbd.Image) -> None:
        self.image = image

    def __del__(self) -> None:
        self.image.close()


def exit_with_closes_that_do_not_end(where: Where) -> None:
    """librbd does not close images, and Python code closes them once more at the very end."""
    shim = Shim()
    _cluster, ioctx = connect(where)
    sys.late = [  # type: ignore[attr-defined]
        ClosesLate(rbd.Image(ioctx, where[3], read_only=True)) for _ in range(3)
    ]
    shim.arm("rbd_close", Kind.DELAY, 600_000)


def test_a_close_at_the_exit_does_not_hang(shimmed: Callable[..., Any]) -> None:
    shimmed(exit_with_closes_that_do_not_end)


# Missing functions


def newer_than(release: int) -> str:
    return ",".join(
        name for name, since, rados in rbd._core.table() if since > release and not rados
    )


# The functions that have an older form, which is enough as long as nothing newer is requested.
NEWER_FORMS = (
    "rbd_diff_iterate3",
    "rbd_group_snap_create2",
    "rbd_group_snap_list2",
    "rbd_mirror_image_create_snapshot2",
    "rbd_mirror_image_enable2",
    "rbd_mirror_peer_site_add",
    "rbd_mirror_peer_site_list",
    "rbd_mirror_peer_site_remove",
    "rbd_snap_create2",
    "rbd_snap_get_trash_namespace2",
)


def older_forms(ioctx: Any, name: str) -> List[str]:
    """Call each function that has an older form, and check the result.

    Returns which functions were missing for a call. No newer form may be among them.
    """
    refused: List[str] = []

    def tried(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except rbd.FunctionNotSupported as error:
            refused.extend(re.findall(r"\brbd_\w+(?= is not in )", str(error)) or [str(error)])

    calls = rbd.RBD()
    features = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
    calls.create(ioctx, name, SIZE, 20, features=features | rbd.RBD_FEATURE_JOURNALING)
    with rbd.Image(ioctx, name) as image:
        image.create_snap("one", flags=0)
        image.write(b"B" * 4096, 8192)
        seen: List[Any] = []
        image.diff_iterate(0, SIZE, "one", lambda *extent: seen.append(extent), whole_object=False)
        # An object that is new since then is reported whole.
        (extent,) = seen
        assert extent[0] <= 8192
        assert extent[0] + extent[1] == 8192 + 4096

        calls.clone(ioctx, name, "one", ioctx, f"{name}-clone", clone_format=2)
        number = next(iter(image.list_snaps()))["id"]
        image.remove_snap("one")
        trash = tried(lambda: image.snap_get_trash_namespace(number))
        assert trash is None or trash["original_name"] == "one"
        calls.remove(ioctx, f"{name}-clone")

        calls.group_create(ioctx, f"{name}-group")
        group = rbd.Group(ioctx, f"{name}-group")
        group.add_image(ioctx, name)
        group.create_snap("two")
        listed = tried(lambda: [snapshot["name"] for snapshot in group.list_snaps()])
        assert listed in (None, ["two"])
        group.remove_snap("two")
        group.remove_image(ioctx, name)
        calls.group_remove(ioctx, f"{name}-group")

        calls.mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
        peer = tried(lambda: calls.mirror_peer_add(ioctx, "there", "client.x"))
        sites = tried(lambda: [one["uuid"] for one in calls.mirror_peer_list(ioctx)])
        assert peer is None or sites in (None, [peer])
        by_snapshots = rbd.supports("rbd_mirror_image_enable2") and peer
        mode = "SNAPSHOT" if by_snapshots else "JOURNAL"
        image.mirror_image_enable(getattr(rbd, f"RBD_MIRROR_IMAGE_MODE_{mode}"))
        if by_snapshots and hasattr(image, "mirror_image_create_snapshot"):
            taken = tried(image.mirror_image_create_snapshot)
            assert taken is None or taken > number
        image.mirror_image_disable(True)
        if peer:
            calls.mirror_peer_remove(ioctx, peer)
        calls.mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_DISABLED)
    calls.remove(ioctx, name)
    assert set(refused) <= set(rbd.library_info().missing) - set(NEWER_FORMS)
    return refused


def what_looks_absent(*subjects: Any) -> None:
    """A method looks absent if all of its functions are missing, and present if none is.

    If only some are missing and it looks absent, its error names a missing function.
    """
    for subject in subjects:
        for name, functions in gated(type(subject)):
            supported = [rbd.supports(function) for function in functions]
            if hasattr(subject, name):
                assert any(supported), name
                continue
            assert not all(supported), name
            with pytest.raises(rbd.FunctionNotSupported) as error:
                getattr(subject, name)
            named = re.findall(r"\brbd_\w+(?= is not in )", str(error.value))
            assert set(named) <= functions & set(rbd.library_info().missing), error.value
            assert named, error.value


def demo(conffile: str) -> None:
    """Return the example that the demonstration runs."""
    import os
    import runpy

    os.environ["CEPH_CONF"] = conffile
    script = Path(__file__).resolve().parents[1] / "examples" / "quickstart.py"
    runpy.run_path(str(script), run_name="__main__")


def old_release(where: Where) -> None:
    """The package does what a librbd of Ceph 14 can do, with it and with other functions."""
    _cluster, ioctx, image = open_all(where)
    missing = set(rbd.library_info().missing)
    assert missing
    for function, _since, _rados in rbd._core.table():
        assert rbd.supports(function) == (function not in missing)
    what_looks_absent(rbd.RBD(), image, rbd.Group(ioctx, "none"))
    older_forms(ioctx, f"{where[3]}-forms")
    demo(where[0])
    name = f"{where[3]}-old"
    calls = rbd.RBD()
    calls.create(ioctx, name, SIZE, 20)
    with rbd.Image(ioctx, name) as made:
        assert made.write(b"B" * 8192, 4096) == 8192
        made.create_snap("one")
        assert [snap["name"] for snap in made.list_snaps()] == ["one"]
        assert made.read(4096, 8192) == b"B" * 8192
        seen: List[Any] = []
        made.diff_iterate(0, SIZE, None, lambda *extent: seen.append(extent))
        assert seen
        made.resize(SIZE * 2)
        made.protect_snap("one")
        calls.clone(ioctx, name, "one", ioctx, f"{name}-clone", rbd.RBD_FEATURE_LAYERING)
        with rbd.Image(ioctx, f"{name}-clone") as clone:
            clone.flatten()
        calls.remove(ioctx, f"{name}-clone")
        made.unprotect_snap("one")
        made.remove_snap("one")
        if not rbd.supports("rbd_snap_create2"):
            with pytest.raises(rbd.FunctionNotSupported, match="rbd_snap_create2"):
                made.create_snap("flags", flags=1)
    calls.rename(ioctx, name, f"{name}-renamed")
    calls.remove(ioctx, f"{name}-renamed")
    image.close()


def test_the_functions_of_ceph_14_are_enough(shimmed: Callable[..., Any]) -> None:
    shimmed(old_release, missing=newer_than(14))


@pytest.mark.parametrize("seed", range(40 if SOAK else 4))
def test_some_functions_of_newer_releases_are_enough(
    shimmed: Callable[..., Any], seed: int
) -> None:
    """A release between two tested ones has some of the functions that came in between."""
    names = newer_than(14).split(",")
    choice = random.Random(seed)
    shimmed(old_release, missing=",".join(choice.sample(names, choice.randint(1, len(names)))))


def all_older_forms(where: Where) -> None:
    _cluster, ioctx = connect(where)
    assert not any(map(rbd.supports, NEWER_FORMS))
    assert older_forms(ioctx, f"{where[3]}-forms") == []


def test_every_older_form_of_a_function_works(shimmed: Callable[..., Any]) -> None:
    """Without any newer form, nothing that the older ones can do is refused."""
    shimmed(all_older_forms, missing=",".join(NEWER_FORMS))


def all_but(*there: str) -> str:
    return ",".join(name for name, _, rados in rbd._core.table() if not rados and name not in there)


def lacking(where: Where) -> List[str]:
    """Call every method with a librbd that can only open and close images.

    Returns the methods that never said that a function is missing.
    """
    _cluster, ioctx, image = open_all(where)
    silent = []
    for subject in (rbd.RBD(), image, rbd.Group(ioctx, "group")):
        for name in sorted({*methods(subject)} - NOT_DRIVEN):
            function = getattr(subject, name)
            choices = [candidates(one, ioctx, image) for one in required(function) or ()]
            for values in itertools.islice(itertools.product(*choices), 3000):
                try:
                    if hasattr(result := function(*values), "__next__"):
                        list(result)
                except rbd.FunctionNotSupported:
                    break
                except Exception:
                    continue
            else:
                silent.append(f"{type(subject).__name__}.{name}")
    image.close()
    return silent


def test_every_method_names_its_missing_function(shimmed: Callable[..., Any]) -> None:
    missing = all_but("rbd_version", "rbd_open", "rbd_close")
    # The first needs one of two arguments that have defaults, the others a connection.
    not_reached = ["RBD.aio_open_image", "RBD.mirror_site_name_get", "RBD.mirror_site_name_set"]
    assert shimmed(lacking, missing=missing, timeout=LIMIT) == not_reached


def without_enders(where: Where) -> None:
    """Objects that cannot be freed leak, but nothing ends the process."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    assert [snapshot["name"] for snapshot in image.list_snaps()] == ["snap"]
    assert where[3] in rbd.RBD().list(ioctx)
    for call in (
        lambda: image.aio_read(0, 512, lambda *_: None),
        lambda: image.aio_close(lambda *_: None),
        lambda: image.readv([bytearray(512)], 0),
        lambda: image.read_blocks([0, 512], 512),
    ):
        with pytest.raises(rbd.FunctionNotSupported):
            call()
    assert image.read(0, 4) == b"AAAA"
    assert everything(shim, ioctx, image)
    with pytest.raises(rbd.FunctionNotSupported):
        image.close()
    assert image.closed


def test_missing_clean_up_functions_only_leak(shimmed: Callable[..., Any]) -> None:
    ending = re.compile(r"_(cleanup|end|release|destroy|close|unwatch)$")
    names = [name for name, _, _ in rbd._core.table() if ending.search(name)]
    assert len(names) > 30
    shimmed(without_enders, missing=",".join(names), timeout=LIMIT)


# Leaks and load


def fail_many_times(where: Where, rounds: int) -> List[Any]:
    """Memory does not grow with the number of failures."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    cheap = everything(shim, ioctx, image)

    def round_of_failures(count: int) -> None:
        for _ in range(count):
            for one in cheap:
                with shim.fault("*", Kind.ERROR, errno.EIO), contextlib.suppress(Exception):
                    one()
        gc.collect()

    round_of_failures(max(rounds // 4, 2))
    handles, memory = balance(shim), memory_usage.now()
    threads = threading.active_count()
    round_of_failures(rounds)
    assert balance(shim) == handles
    assert threading.active_count() <= threads + 1
    return [len(cheap) * rounds, memory_usage.now() - memory]


def test_failed_calls_leak_nothing(shimmed: Callable[..., Any]) -> None:
    calls, grown = shimmed(fail_many_times, 1500 if SOAK else 25, timeout=LIMIT)
    assert calls > 500
    figures.note("failed calls that leaked nothing", calls)
    assert grown < 4096 * memory_usage.LEEWAY + calls // 40, (
        f"{grown} KiB over {calls} failed calls"
    )


def random_faults(where: Where, seconds: float) -> int:
    """Many threads use and close images while any call may fail at any time."""
    shim = Shim()
    cluster, ioctx, _image = open_all(where)
    _image.close()
    end = time.monotonic() + seconds
    strange: List[BaseException] = []
    done: Set[str] = set()
    total = 0

    def work(seed: int) -> None:
        nonlocal total
        chooser = random.Random(seed)
        image: Any = None
        while time.monotonic() < end:
            total += 1
            try:
                if image is None or image.closed:
                    image = rbd.Image(ioctx, where[3])
                action = chooser.choice(
                    [
                        "read",
                        "write",
                        "list_snaps",
                        "size",
                        "stat",
                        "flush",
                        "close",
                        "diff",
                        "drop",
                    ]
                )
                if action == "read":
                    image.read(0, 4096)
                elif action == "write":
                    image.write(b"z" * 4096, 8192)
                elif action == "diff":
                    image.diff_iterate(0, SIZE, None, lambda *_: None)
                elif action == "drop":
                    image = None
                else:
                    getattr(image, action)()
                done.add(action)
            except rbd.Error:
                pass
            except BaseException as error:
                strange.append(error)
                return

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    chooser = random.Random(99)
    while time.monotonic() < end:
        shim.arm("*", Kind.ERROR, chooser.choice(CODES[:-1]), skip=chooser.randrange(5), count=3)
        shim.arm("rbd_close", Kind.AFTER, errno.EIO, count=1)
        time.sleep(0.005)
        shim.disarm()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not strange, strange
    assert balance(shim)[0] == 0
    assert len(done) >= 8, done
    cluster.shutdown()
    return total


def test_random_faults_under_load_crash_nothing(shimmed: Callable[..., Any]) -> None:
    total = shimmed(random_faults, 600 if SOAK else 3, timeout=LIMIT)
    assert total > 0
    figures.note("calls of six threads while anything may fail", total)
