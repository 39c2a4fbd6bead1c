"""Random images through every format, and each one compared with the image it came from."""

from __future__ import annotations

import io
import itertools
from typing import Any, Callable, List, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rbd
from rbd import transfer
from streams import contents, states

# Small objects: an image of many of them is made in a moment.
ORDER = 16
LIMIT = 20 << ORDER
_names = (f"random-{number}" for number in itertools.count())

places = st.integers(0, LIMIT)
steps = st.one_of(
    st.tuples(st.just("write"), places, st.integers(1, 3 << ORDER), st.integers(0, 255)),
    st.tuples(st.just("discard"), places, st.integers(1, 5 << ORDER)),
    st.tuples(st.just("resize"), st.integers(1, LIMIT)),
    st.tuples(st.just("snapshot")),
)


def apply(image: rbd.Image, step: Any, taken: List[str]) -> None:
    kind, *arguments = step
    if kind == "resize":
        image.resize(arguments[0])
    elif kind == "snapshot":
        taken.append(f"s{len(taken)}")
        image.create_snap(taken[-1])
    else:
        offset = arguments[0] % image.size()
        length = min(arguments[1], image.size() - offset)
        if kind == "write":
            image.write(bytes([arguments[2]]) * length, offset)
        else:
            image.discard(offset, length)


@st.composite
def histories(draw: Any) -> Any:
    stripes = draw(st.sampled_from([None, (4096, 3), (65536, 2)]))
    return (
        draw(st.integers(1, LIMIT)),
        stripes,
        draw(st.booleans()),
        draw(st.lists(steps, min_size=1, max_size=12)),
    )


def build(ioctx: Any, name: str, history: Any) -> List[str]:
    """Makes the image; gives its snapshots."""
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


@pytest.mark.slow
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories())
def test_round_trips(rbd_ioctx: Any, history: Any) -> None:
    name = next(_names)
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

        # All of them as one does the same to what is there already.
        dirty = f"{name}-merged{version}"
        rbd.RBD().create(rbd_ioctx, dirty, 1 << ORDER, ORDER)
        with rbd.Image(rbd_ioctx, dirty) as target:
            transfer.import_diff(io.BytesIO(merged[0].getvalue()), target)
        assert contents(rbd_ioctx, dirty) == expected[None]
