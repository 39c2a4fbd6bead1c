"""Images as arrays: everything numpy selects, without reading more than that."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
from typing import Any, Iterator, List, Tuple

import pytest

from support.optional_tools import proof

np = proof("numpy")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import rbd  # noqa: E402
from support import isolated  # noqa: E402
from support.location import Where  # noqa: E402

MIB = 1 << 20
SHAPE = (12, 7, 5)
relaxed = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def model(rbd_image: rbd.Image) -> Any:
    """A numpy array, whose bytes are in the image from byte 100 on."""
    model = np.arange(np.prod(SHAPE), dtype="<i4").reshape(SHAPE)
    rbd_image.write(model.tobytes(), 100)
    return model


def indices(length: int) -> Any:
    bound = st.one_of(st.none(), st.integers(-length - 2, length + 2))
    step = st.one_of(st.none(), st.sampled_from([1, 2, 3, -1, -2]))
    return st.one_of(st.integers(-length, length - 1), st.builds(slice, bound, bound, step))


@st.composite
def keys(draw: Any) -> Any:
    parts: List[Any] = [draw(indices(length)) for length in SHAPE[: draw(st.integers(0, 3))]]
    if parts and draw(st.booleans()):
        kind = draw(st.sampled_from(["integers", "two axes", "booleans"]))
        if kind == "booleans":
            size = SHAPE[0]
            parts[0] = np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
        else:
            size = draw(st.sampled_from([0, 1, 4, 8]))
            rows = draw(st.lists(st.integers(-12, 11), min_size=size, max_size=size))
            parts[0] = np.array(rows, dtype=int)
            if kind == "two axes":
                parts[0] = parts[0].reshape(-1, 2 if size % 2 == 0 and size else 1)
    elif len(parts) < 3 and draw(st.booleans()):
        # What follows an ellipsis is for the last axes.
        at = draw(st.integers(0, len(parts)))
        after = SHAPE[3 - (len(parts) - at) :] if at < len(parts) else ()
        parts[at:] = [Ellipsis, *(draw(indices(length)) for length in after)]
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return tuple(parts)


@relaxed
@given(keys())
def test_selections_are_numpys(rbd_image: rbd.Image, model: Any, key: Any) -> None:
    array = rbd.ImageArray(rbd_image, "<i4", SHAPE, offset=100)
    got, expected = array[key], model[key]
    assert type(got) is type(expected)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert np.array_equal(got, expected)


@relaxed
@given(keys(), st.integers(0, 1000))
def test_assignments_are_numpys(rbd_image: rbd.Image, key: Any, seed: int) -> None:
    model = np.arange(np.prod(SHAPE), dtype="<i4").reshape(SHAPE)
    rbd_image.write(b"\xee" * 5000, 0)
    array = rbd.ImageArray(rbd_image, "<i4", SHAPE, offset=100, mode="r+")
    array[...] = model
    value = np.random.default_rng(seed).integers(0, 10**6, model[key].shape)
    if seed % 3 == 0:
        value = seed
    model[key] = value
    array[key] = value
    assert np.array_equal(array[...], model)
    # Nothing around it was touched.
    assert rbd_image.read(0, 100) == b"\xee" * 100
    assert rbd_image.read(100 + model.nbytes, 100) == b"\xee" * 100


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, np.ones((1, 1, 7, 5))),
        (..., 3.7),
        (slice(2, 4), [[[1], [2], [3], [4], [5], [6], [7]]]),
        ([1, 5, 1], np.arange(105).reshape(3, 7, 5)),
        ((Ellipsis, 0), np.arange(12)[:, None]),
        (slice(None, None, -3), np.arange(35.0).reshape(7, 5)),
        # None of these fits.
        (0, np.ones((2, 7, 5))),
        (..., [1, 2, 3]),
        ((3, 2, 1), "x"),
        (0, 1 << 40),
    ],
)
def test_values_are_broadcast_as_numpys(
    rbd_image: rbd.Image, model: Any, key: Any, value: Any
) -> None:
    array = rbd.ImageArray(rbd_image, "<i4", SHAPE, offset=100, mode="r+")
    wrong = None
    try:
        model[key] = value
    except (ValueError, OverflowError) as error:
        wrong = type(error)
    if wrong is None:
        array[key] = value
    else:
        with pytest.raises(wrong):
            array[key] = value
    assert np.array_equal(array[...], model)


def test_attributes(rbd_image: rbd.Image, model: Any) -> None:
    array = rbd.ImageArray(rbd_image, "<i4", SHAPE, offset=100)
    assert (array.shape, array.ndim, array.size) == (SHAPE, 3, model.size)
    assert (array.dtype, array.itemsize, array.nbytes) == (model.dtype, 4, model.nbytes)
    assert len(array) == 12
    assert array.image is rbd_image
    assert np.array_equal(list(array), model)
    assert np.array_equal(np.asarray(array), model)
    assert np.asarray(array, dtype=float).dtype == float
    assert np.array_equal(np.array(array), model)
    assert array[1:3].flags.c_contiguous
    assert array[1:3].flags.owndata or array[1:3].base is not None
    assert "ImageArray" in repr(array)
    assert (np.ones(5) + rbd.ImageArray(rbd_image, "<i4", 5, offset=100)).tolist() == [
        1, 2, 3, 4, 5,
    ]  # fmt: skip
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match="copy"):
            np.array(array, copy=False)
    empty = rbd.ImageArray(rbd_image, "u1", (0, 5))
    assert empty[...].shape == (0, 5)
    single = rbd.ImageArray(rbd_image, "<i4", (), offset=104)
    assert single[()] == 1
    assert bool(single)
    with pytest.raises(TypeError, match="without axes"):
        len(single)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(array)


def test_types(rbd_image: rbd.Image) -> None:
    structured = np.zeros(10, dtype=[("a", "<i2"), ("b", ">f8"), ("c", "S3")])
    structured["b"] = np.arange(10)
    array = rbd.ImageArray(rbd_image, structured.dtype, 10, mode="r+")
    array[:] = structured
    assert np.array_equal(array[2:9], structured[2:9])
    assert array[3]["b"] == 3.0
    pairs = rbd.ImageArray(rbd_image, np.dtype(("<i2", (2,))), (3,), mode="r+")
    assert pairs.shape == (3, 2)
    times = rbd.ImageArray(rbd_image, "<M8[s]", 4, mode="r+")
    times[:] = np.datetime64("2024-01-01")
    assert times[2] == np.datetime64("2024-01-01")


def test_wrong_arguments(rbd_image: rbd.Image, rbd_ioctx: Any) -> None:
    for arguments, keywords in (
        (("i4", -1), {}),
        (("i4", 3), {"offset": -1}),
        (("i4", 3), {"mode": "w"}),
        (("V0", 3), {}),
        (("u1", rbd_image.size() + 1), {}),
        (("u1", rbd_image.size()), {"offset": 1}),
    ):
        with pytest.raises(ValueError, match=r"."):
            rbd.ImageArray(rbd_image, *arguments, **keywords)
    with pytest.raises(TypeError, match="objects"):
        rbd.ImageArray(rbd_image, object, 3)
    with pytest.raises(TypeError):
        rbd.ImageArray(rbd_image, "i4", "x")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        rbd.ImageArray(5, "i4", 1)  # type: ignore[arg-type]
    with (
        rbd.Image(rbd_ioctx, rbd_image.get_name(), read_only=True) as image,
        pytest.raises(rbd.ReadOnlyImage),
    ):
        rbd.ImageArray(image, "u1", 1, mode="r+")
    array = rbd.ImageArray(rbd_image, "i4", SHAPE)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    for key in (12, -13, (0, 7), (0, 0, 0, 0), "a", 1.5, [12], [[-13]], np.zeros(11, bool)):
        with pytest.raises(IndexError):
            array[key]
    for key in ((Ellipsis, Ellipsis), (0, [1, 2]), np.zeros((12, 7), bool), [1.5], {}):
        with pytest.raises(IndexError):
            array[key]
    writable = rbd.ImageArray(rbd_image, "i4", SHAPE, mode="r+")
    with pytest.raises(ValueError, match="broadcast"):
        writable[0] = np.zeros(6)
    rbd_image.resize(100)
    with pytest.raises(rbd.Error):
        array[...]


def test_only_what_is_selected_is_read(
    rbd_image: rbd.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rbd import _regions as regions

    asked: List[int] = []
    read_blocks = regions._read_blocks

    def counting(image: rbd.Image, offsets: Any, span: int, out: Any) -> None:
        asked.append(len(offsets) * span)
        read_blocks(image, offsets, span, out)

    monkeypatch.setattr(regions, "_read_blocks", counting)
    table = rbd.ImageArray(rbd_image, "<i4", (20, 25_000))
    vector = rbd.ImageArray(rbd_image, "<i8", 2000)
    for array, key, most in (
        (table, (slice(10), slice(50)), 10 * 200),
        (table, ([0, 3, 5], slice(10, 35)), 3 * 100),
        (table, (slice(None), 7), 20 * 4),
        (table, np.arange(20) % 2 == 0, 10 * 100_000),
        (vector, slice(1000), 8000),
        (vector, slice(None, None, 2), 16_000),
        (vector, 5, 8),
    ):
        asked.clear()
        array[key]
        assert sum(asked) <= most


@pytest.mark.rbd_image(size=64 << 20, order=22)
def test_long_selections(rbd_image: rbd.Image) -> None:
    """Those that are read in parts, for the sake of memory."""
    model = np.random.default_rng(3).integers(0, 2**62, (8 << 20) - 5)
    array = rbd.ImageArray(rbd_image, model.dtype, model.shape, offset=8, mode="r+")
    array[...] = model
    for key in (slice(None, None, 2), slice(5, None, 3001), slice(None, None, -7)):
        assert np.array_equal(array[key], model[key])
    array[::3000] = 5
    model[::3000] = 5
    array[-4_000_000:] = np.broadcast_to(np.int64(9), 4_000_000)
    model[-4_000_000:] = 9
    assert np.array_equal(array[...], model)
    table = rbd.ImageArray(rbd_image, "<i8", (4000, 1024), offset=8)
    expected = model[: 4000 * 1024].reshape(4000, 1024)
    chosen = np.random.default_rng(4).permutation(4000)
    assert np.array_equal(table[chosen], expected[chosen])
    assert np.array_equal(table[chosen % 2 == 0, 3:900:2], expected[chosen % 2 == 0, 3:900:2])
    assert np.array_equal(table[:, 5], expected[:, 5])


# Other processes


@pytest.fixture
def address(
    rbd_cluster: Any, rbd_image: rbd.Image, rbd_ioctx: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv("CEPH_CONF", str(rbd_cluster.conffile))
    parts = (rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), rbd_image.get_name())
    yield "/".join(part for part in parts if part)
    gc.collect()


def test_by_address(address: str, rbd_image: rbd.Image, model: Any) -> None:
    rbd_image.create_snap("s")
    array = rbd.ImageArray(address, "<i4", SHAPE, offset=100, mode="r+")
    array[0] = -1
    array.flush()
    assert np.array_equal(rbd.ImageArray(rbd_image, "<i4", SHAPE, offset=100)[0], array[0])
    old = rbd.ImageArray(f"{address}@s", "<i4", SHAPE, offset=100)
    assert np.array_equal(old[...], model)
    same = rbd.ImageArray(f"{address}@s", "<i4", SHAPE, offset=100)
    assert same.image is old.image
    with pytest.raises(rbd.ReadOnlyImage):
        rbd.ImageArray(f"{address}@s", "<i4", SHAPE, mode="r+")


def test_pickles(
    address: str,
    rbd_cluster: Any,
    rbd_image: rbd.Image,
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rbd_image.flush()
    arrays = [
        rbd.ImageArray(address, "<i4", SHAPE, offset=100),
        rbd.ImageArray(rbd_image, "<i4", SHAPE, offset=100),
    ]
    texts = [pickle.dumps(array) for array in arrays]
    for text in texts:
        assert len(text) < 1000
        with open(rbd_cluster.conffile) as conf:
            keyring = [line.split("=")[1].strip() for line in conf if "keyring" in line]
        for path in keyring:
            if os.path.exists(path):
                with open(path) as ring:
                    for line in ring:
                        if "key =" in line:
                            assert line.split("=", 1)[1].strip().encode() not in text
    script = (
        "import pickle, sys, numpy\n"
        "arrays = [pickle.loads(bytes.fromhex(text)) for text in sys.argv[1:]]\n"
        "print([int(array[...].sum()) for array in arrays])\n"
    )
    # The address holds the configuration file: nothing in the environment is needed.
    environment = {key: value for key, value in os.environ.items() if key != "CEPH_CONF"}
    output = subprocess.run(
        [sys.executable, "-c", script, *(text.hex() for text in texts)],
        check=True,
        env=environment,
        stdout=subprocess.PIPE,
        timeout=60,
    ).stdout
    assert output.decode().strip() == str([int(model.sum())] * 2)


def total(array: Any) -> Tuple[int, int]:
    return os.getpid(), int(array[...].sum())


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_multiprocessing(address: str, rbd_image: rbd.Image, model: Any, method: str) -> None:
    rbd_image.flush()
    array = rbd.ImageArray(address, "<i4", SHAPE, offset=100)
    assert total(array)[1] == int(model.sum())
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map(total, [array] * 6)
    assert {result for _, result in results} == {int(model.sum())}
    assert os.getpid() not in {pid for pid, _ in results}


def inherit(where: Where) -> None:
    os.environ["CEPH_CONF"] = where[0]
    array = rbd.ImageArray("/".join(part for part in where[1:] if part), "u1", 4096)
    assert array[0] == 65
    image = array.image
    child = os.fork()
    if child == 0:
        status = 1
        try:
            # A loader forks its workers with the data set in memory, and pickles nothing.
            assert array[:].tolist() == [65] * 4096
            assert array.image is not image
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert array.image is image
    assert array[-1] == 65


def test_a_forked_child_opens_the_image_anew(where: Where) -> None:
    isolated.run(inherit, where)


@pytest.mark.slow
@pytest.mark.rbd_image(size=4 << 30)
def test_dask_over_four_gib(address: str, rbd_image: rbd.Image) -> None:
    da = proof("dask.array")
    distributed = proof("distributed")
    shape = (4096, 131_072)
    array = rbd.ImageArray(address, "<f8", shape, mode="r+")
    # Sparse: a few rows have something in them.
    for row in range(0, 4096, 512):
        array[row] = float(row)
    array.flush()
    expected = sum(float(row) for row in range(0, 4096, 512)) / 4096
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as workers,
        distributed.Client(workers) as client,
    ):
        lazy = da.from_array(rbd.ImageArray(address, "<f8", shape), chunks=(128, 131_072))
        assert float(lazy.mean().compute(scheduler=client)) == pytest.approx(expected)


def test_dask_tokens(address: str, rbd_image: rbd.Image) -> None:
    base = proof("dask.base")
    rbd_image.create_snap("s")
    snapshot = rbd.ImageArray(f"{address}@s", "u1", 100)
    again = pickle.loads(pickle.dumps(snapshot))
    assert base.tokenize(snapshot) == base.tokenize(again)
    head = rbd.ImageArray(address, "u1", 100)
    assert base.tokenize(head) != base.tokenize(rbd.ImageArray(address, "u1", 100))
