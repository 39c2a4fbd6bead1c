"""Random images go through every format, and are compared with their source."""

from __future__ import annotations

import contextlib
import io
import itertools
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import rbd
from rbd import transfer
from rbd.testing import leftovers
from rbd.transfer import extents
from support import figures
from support.location import LIMIT as TIME_LIMIT
from support.location import SOAK
from support.luks import HEADERS, PASSPHRASE, format_cheaply
from support.optional_tools import program
from support.stream_files import WRAPPED, contents, states

pytestmark = [pytest.mark.timeout(TIME_LIMIT + 20)]

# Small objects, so that an image with many of them is made quickly.
ORDER = 16
LIMIT = 20 << ORDER
_names = (f"random-{number}" for number in itertools.count())

places = st.integers(0, LIMIT)
steps = st.one_of(
    st.tuples(st.just("write"), places, st.integers(0, 3 << ORDER), st.integers(0, 255)),
    st.tuples(st.just("discard"), places, st.integers(0, 5 << ORDER)),
    st.tuples(st.just("resize"), st.integers(0, LIMIT)),
    st.tuples(st.just("regrow"), st.integers(0, LIMIT)),
    st.tuples(st.just("snapshot")),
    st.tuples(st.just("rollback"), st.integers(0, 15)),
)


@contextlib.contextmanager
def example(ioctx: Any, what: str) -> Iterator[str]:
    """Return a name for one more image, which is removed with all others that the body makes."""
    with leftovers.remove_images(ioctx) as left:
        yield next(_names)
    assert not left
    figures.note(f"random images {what}", 1)


def apply(image: rbd.Image, step: Any, taken: List[str]) -> None:
    kind, *arguments = step
    if kind == "resize":
        image.resize(arguments[0])
    elif kind == "regrow":
        # Data that it lost meanwhile is a difference.
        size = image.size()
        image.resize(min(arguments[0], size))
        taken.append(f"s{len(taken)}")
        image.create_snap(taken[-1])
        image.resize(size)
    elif kind == "snapshot":
        taken.append(f"s{len(taken)}")
        image.create_snap(taken[-1])
    elif kind == "rollback":
        if taken:
            image.rollback_to_snap(taken[arguments[0] % len(taken)])
    else:
        offset = arguments[0] % max(image.size(), 1)
        length = min(arguments[1], image.size() - offset)
        if kind == "write":
            image.write(bytes([arguments[2]]) * length, offset)
        else:
            image.discard(offset, length)


@st.composite
def histories(draw: Any) -> Any:
    layouts = [None, (4096, 3), (65536, 2)]
    # Ceph 14 reports wrong differences of striped clones.
    stripes = draw(st.sampled_from(layouts if rbd.supports("rbd_snap_create2") else [None]))
    return (
        draw(st.integers(0, LIMIT)),
        stripes,
        draw(st.booleans()),
        draw(st.lists(steps, min_size=1, max_size=12)),
    )


def build(ioctx: Any, name: str, history: Any) -> List[str]:
    """Make the image. Return its snapshots."""
    size, stripes, clone, todo = history
    layout = {} if stripes is None else {"stripe_unit": stripes[0], "stripe_count": stripes[1]}
    taken: List[str] = []
    half = len(todo) // 2 if clone else 0
    first = f"{name}-parent" if clone else name
    rbd.RBD().create(ioctx, first, size, ORDER, **layout)
    if clone:
        with rbd.Image(ioctx, first) as parent:
            for step in todo[:half]:
                apply(parent, step, taken)
            if not parent.size():
                # An empty image cannot be cloned.
                parent.resize(1)
            parent.create_snap("base")
            parent.protect_snap("base")
        rbd.RBD().clone(ioctx, first, "base", ioctx, name, order=ORDER, **layout)
        taken = []
    with rbd.Image(ioctx, name) as image:
        for step in todo[half:]:
            apply(image, step, taken)
    return taken


def diff_chain(ioctx: Any, name: str, snapshots: List[str], one: Callable[..., None]) -> None:
    start: Optional[str] = None
    for end in [*snapshots, None]:
        with rbd.Image(ioctx, name, snapshot=end, read_only=True) as image:
            one(image, start)
        start = end


def image_of(ioctx: Any, name: str, snapshot: Optional[str]) -> rbd.Image:
    return rbd.Image(ioctx, name, snapshot=snapshot, read_only=True)


def joined(found: Any) -> List[Any]:
    """Return extents in order, with adjacent ones of the same kind joined."""
    result: List[Any] = []
    for offset, length, exists in sorted(found):
        if result and sum(result[-1][:2]) == offset and result[-1][2] == exists:
            result[-1] = (result[-1][0], result[-1][1] + length, exists)
        else:
            result.append((offset, length, exists))
    return result


@pytest.mark.slow
@settings(
    max_examples=1000 if SOAK else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories(), st.integers(1, 12), st.integers(0, 2))
def test_windows_and_object_maps_hide_nothing(
    rbd_ioctx: Any, history: Any, window: int, gap: int
) -> None:
    with example(rbd_ioctx, "looked at in windows") as name:
        snapshots = build(rbd_ioctx, name, history)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(extents, "WINDOW", window << ORDER)
            patch.setattr(extents, "MAP_WINDOW", 2 * window << ORDER)
            patch.setattr(extents, "_GAP_PERIODS", gap)
            for start, end in itertools.combinations([None, *snapshots, None], 2):
                with image_of(rbd_ioctx, name, end) as image:
                    size = image.size()

                    def told(found: Any, start: Optional[str] = start) -> List[Any]:
                        """Return the extents. At the beginning there is nothing to discard."""
                        return [e for e in found if e[1] and (e[2] or start is not None)]

                    # One diff of everything, for which librbd asks each object.
                    expected = told(image.diff(0, None, start))
                    assert told(extents.changed(image, size, start)) == expected
                    found = told(extents.changed(image, size, start, ordered=True))
                    assert joined(found) == joined(expected)
                    assert all(earlier[0] < later[0] for earlier, later in zip(found, found[1:]))


@pytest.mark.slow
@settings(
    max_examples=200 if SOAK else 3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories())
def test_random_images_survive_the_command(
    rbd_cluster: Any, rbd_ioctx: Any, tmp_path: Path, history: Any
) -> None:
    program("rbd")
    with example(rbd_ioctx, "through the rbd command and back") as name:
        snapshots = build(rbd_ioctx, name, history)
        expected = states(rbd_ioctx, name)
        where = "/".join(p for p in (rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace()) if p)
        ours, theirs = str(tmp_path / f"{name}-ours"), str(tmp_path / f"{name}-theirs")

        def rbd_(*arguments: str) -> None:
            rbd_cluster.rbd("--no-progress", *arguments)

        with rbd.Image(rbd_ioctx, name) as image:
            transfer.export_image(image, ours, export_format=2)
        rbd_("import", "--export-format", "2", ours, f"{where}/{name}-theirs")
        assert states(rbd_ioctx, f"{name}-theirs") == expected
        rbd_("export", "--export-format", "2", f"{where}/{name}", theirs)
        assert Path(ours).read_bytes() == Path(theirs).read_bytes()
        transfer.import_image(theirs, rbd_ioctx, f"{name}-ours")
        assert states(rbd_ioctx, f"{name}-ours") == expected

        for copy in ("one", "two"):
            rbd.RBD().create(rbd_ioctx, f"{name}-{copy}", 1 << ORDER, ORDER)
        start: Optional[str] = None
        for number, end in enumerate([*snapshots, None]):
            diffs = [f"{ours}-{number}", f"{theirs}-{number}"]
            with image_of(rbd_ioctx, name, end) as image:
                transfer.export_diff(image, diffs[0], start)
            spec = f"{where}/{name}" + ("" if end is None else f"@{end}")
            since = [] if start is None else ["--from-snap", start]
            rbd_("export-diff", *since, spec, diffs[1])
            assert Path(diffs[0]).read_bytes() == Path(diffs[1]).read_bytes()
            rbd_("import-diff", diffs[0], f"{where}/{name}-one")
            with rbd.Image(rbd_ioctx, f"{name}-two") as target:
                transfer.import_diff(diffs[1], target)
            start = end
        assert states(rbd_ioctx, f"{name}-one") == expected
        assert states(rbd_ioctx, f"{name}-two") == expected


@pytest.mark.slow
@settings(
    max_examples=1000 if SOAK else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories(), st.lists(st.sampled_from(sorted(WRAPPED)), min_size=4, max_size=4))
def test_random_images_survive_wrapped_files(
    rbd_ioctx: Any, tmp_path_factory: Any, history: Any, wrappers: List[str]
) -> None:
    """The way in which a stream is written and read does not change it."""
    raw, whole, diff, merged = wrappers
    directory = tmp_path_factory.mktemp("wrapped")
    with example(rbd_ioctx, "through wrapped files") as name:
        snapshots = build(rbd_ioctx, name, history)
        expected = states(rbd_ioctx, name)
        with rbd.Image(rbd_ioctx, name) as image:
            for wrapper, form in ((raw, 1), (whole, 2)):
                with WRAPPED[wrapper](directory / f"image-{form}", "wb") as file:
                    transfer.export_image(image, file, export_format=form)
        with WRAPPED[raw](directory / "image-1", "rb") as file:
            transfer.import_image(file, rbd_ioctx, f"{name}-raw", order=ORDER)
        assert contents(rbd_ioctx, f"{name}-raw") == expected[None]
        with WRAPPED[whole](directory / "image-2", "rb") as file:
            transfer.import_image(file, rbd_ioctx, f"{name}-whole")
        assert states(rbd_ioctx, f"{name}-whole") == expected

        paths: List[Path] = []

        def one(image: rbd.Image, start: Optional[str]) -> None:
            paths.append(directory / f"diff-{len(paths)}")
            with WRAPPED[diff](paths[-1], "wb") as file:
                transfer.export_diff(image, file, start)

        diff_chain(rbd_ioctx, name, snapshots, one)
        rbd.RBD().create(rbd_ioctx, f"{name}-diffs", 1 << ORDER, ORDER)
        with rbd.Image(rbd_ioctx, f"{name}-diffs") as target:
            for path in paths:
                with WRAPPED[diff](path, "rb") as file:
                    transfer.import_diff(file, target)
        assert states(rbd_ioctx, f"{name}-diffs") == expected

        if len(paths) > 1:
            with (
                WRAPPED[diff](paths[0], "rb") as first,
                WRAPPED[diff](paths[1], "rb") as second,
                WRAPPED[merged](directory / "merged", "wb") as dest,
            ):
                transfer.merge_diff(first, second, dest)
            rbd.RBD().create(rbd_ioctx, f"{name}-merged", 1 << ORDER, ORDER)
            with (
                rbd.Image(rbd_ioctx, f"{name}-merged") as target,
                WRAPPED[merged](directory / "merged", "rb") as file,
            ):
                transfer.import_diff(file, target)
            at = snapshots[1] if len(snapshots) > 1 else None
            assert contents(rbd_ioctx, f"{name}-merged") == expected[at]


@pytest.mark.slow
@settings(
    max_examples=1000 if SOAK else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories())
def test_random_images_survive_each_format(rbd_ioctx: Any, history: Any) -> None:
    with example(rbd_ioctx, "through every format") as name:
        snapshots = build(rbd_ioctx, name, history)
        expected = states(rbd_ioctx, name)

        raw = io.BytesIO()
        whole = io.BytesIO()
        with rbd.Image(rbd_ioctx, name) as image:
            transfer.export_image(image, raw)
            transfer.export_image(image, whole, export_format=2)
        assert raw.getvalue() == expected[None]
        raw.seek(0)
        transfer.import_image(raw, rbd_ioctx, f"{name}-raw", order=ORDER)
        assert contents(rbd_ioctx, f"{name}-raw") == expected[None]
        whole.seek(0)
        transfer.import_image(whole, rbd_ioctx, f"{name}-whole")
        assert states(rbd_ioctx, f"{name}-whole") == expected

        for version, whole_object in ((1, False), (2, True)):
            copy = f"{name}-diff{version}"
            rbd.RBD().create(rbd_ioctx, copy, 1 << ORDER, ORDER)
            merged: List[io.BytesIO] = []

            with rbd.Image(rbd_ioctx, copy) as target:

                def one(
                    image: rbd.Image,
                    start: Optional[str],
                    version: int = version,
                    whole_object: bool = whole_object,
                    target: rbd.Image = target,
                    merged: List[io.BytesIO] = merged,
                ) -> None:
                    diff = io.BytesIO()
                    transfer.export_diff(
                        image, diff, start, whole_object=whole_object, diff_format=version
                    )
                    transfer.import_diff(io.BytesIO(diff.getvalue()), target)
                    if merged:
                        both = io.BytesIO()
                        merged[0].seek(0)
                        diff.seek(0)
                        transfer.merge_diff(merged[0], diff, both, diff_format=version)
                        diff = both
                    merged[:] = [diff]

                diff_chain(rbd_ioctx, name, snapshots, one)
            assert states(rbd_ioctx, copy) == expected

            # All differences as one have the same effect on existing data.
            dirty = f"{name}-merged{version}"
            rbd.RBD().create(rbd_ioctx, dirty, 1 << ORDER, ORDER)
            with rbd.Image(rbd_ioctx, dirty) as target:
                transfer.import_diff(io.BytesIO(merged[0].getvalue()), target)
            assert contents(rbd_ioctx, dirty) == expected[None]


encrypted_steps = st.one_of(
    st.tuples(st.just("write"), places, st.integers(0, 3 << ORDER), st.integers(0, 255)),
    st.tuples(st.just("resize"), st.integers(0, LIMIT)),
    st.tuples(st.just("regrow"), st.integers(0, LIMIT)),
    st.tuples(st.just("snapshot")),
    st.tuples(st.just("rollback"), st.integers(0, 15)),
)


def apply_encrypted(image: rbd.Image, step: Any, taken: List[str]) -> None:
    """Make a step on an image whose encryption is loaded.

    The image has no object of which a part was never written, because that would decrypt to noise.
    """

    def resize(size: int) -> None:
        before = image.size()
        size -= size % 4096
        layered = rbd.supports("rbd_encryption_load2")
        if size > before and image.overlap() > 0 and not layered:
            # librbd would take data of the parent for those of the clone.
            with pytest.raises(rbd.OperationNotSupported):
                image.resize(size)
            return
        image.resize(size)
        if image.size() > before:
            image.write(bytes(image.size() - before), before)

    kind, *arguments = step
    if kind == "resize":
        resize(arguments[0])
    elif kind == "regrow":
        size = image.size()
        resize(min(arguments[0], size))
        apply(image, ("snapshot",), taken)
        resize(size)
    else:
        apply(image, step, taken)


def content_at(image: rbd.Image, snapshot: Optional[str]) -> bytes:
    image.set_snap(snapshot)
    return image.read(0, image.size()) if image.size() else b""


@pytest.mark.slow
@pytest.mark.needs("rbd_encryption_format")
@settings(
    max_examples=1000 if SOAK else 4,
    deadline=None,
    # Without cryptsetup each opening takes a second, and shortening a failure would take hours.
    phases=[Phase.explicit, Phase.generate],
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(encrypted_steps, min_size=1, max_size=8),
    st.lists(encrypted_steps, min_size=1, max_size=8),
    st.booleans(),
    st.sampled_from(sorted(HEADERS)),
)
def test_random_encrypted_images_survive_exports(
    rbd_ioctx: Any, first: Any, second: Any, clone: bool, version: int
) -> None:
    """Exports of an image whose encryption is loaded, and of a clone of one."""
    with example(rbd_ioctx, "encrypted") as name:
        # Formatting needs more space than the header.
        rbd.RBD().create(rbd_ioctx, name, HEADERS[version] + (1 << ORDER), ORDER)
        taken: List[str] = []
        with rbd.Image(rbd_ioctx, name) as image:
            format_cheaply(image, version)
            image.resize(0)
            for step in [("resize", 7 << ORDER), *first]:
                apply_encrypted(image, step, taken)
            if clone:
                image.create_snap("base")
                image.protect_snap("base")
        if clone:
            rbd.RBD().clone(rbd_ioctx, name, "base", rbd_ioctx, f"{name}-clone", order=ORDER)
            name, taken = f"{name}-clone", []
        with rbd.Image(rbd_ioctx, name) as image:
            image.encryption_load(version, PASSPHRASE)
            for step in second:
                apply_encrypted(image, step, taken)
            expected = {at: content_at(image, at) for at in [*taken, None]}
            for at in expected:
                image.set_snap(at)
                raw = io.BytesIO()
                transfer.export_image(image, raw)
                assert raw.getvalue() == expected[at]
            for whole_object in (False, True):
                copy = f"{name}-{whole_object}"
                rbd.RBD().create(rbd_ioctx, copy, 1 << ORDER, ORDER)
                with rbd.Image(rbd_ioctx, copy) as target:
                    start: Optional[str] = None
                    for end in expected:
                        image.set_snap(end)
                        diff = io.BytesIO()
                        transfer.export_diff(image, diff, start, whole_object=whole_object)
                        diff.seek(0)
                        transfer.import_diff(diff, target)
                        assert content_at(target, None) == expected[end]
                        start = end
                assert states(rbd_ioctx, copy) == expected
