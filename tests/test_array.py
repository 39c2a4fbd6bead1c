"""Images as arrays: every index of numpy works, and reads only what it selects."""

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
from support.location import Where, held_up  # noqa: E402

MIB = 1 << 20
SHAPE = (12, 7, 5)
relaxed = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def model(rbd_image: rbd.Image) -> Any:
    """Return a numpy array. The image has its bytes from byte 100 on."""
    model = np.arange(np.prod(SHAPE), dtype="<i4").reshape(SHAPE)
    rbd_image.write(model.tobytes(), 100)
    return model


TYPES = [
    "<i4", ">u4", "u1", "?", "<f8", ">f2", "<c16", "S8", "S1", ">U3", "V5", "<M8[s]", ">m8[ms]",
    [("a", "<i2"), ("b", ">f8"), ("c", "S3")],
    {"names": ["x", "y"], "formats": ["u1", ">i4"], "offsets": [0, 3], "itemsize": 9},
]  # fmt: skip


@st.composite
def models(draw: Any) -> Any:
    """Draw an array of any type and shape, from bytes that are valid in the type."""
    kind = np.dtype(draw(st.sampled_from(TYPES)))
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 7]), max_size=4)))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    return values(random, kind, shape)


def values(random: Any, kind: Any, shape: Tuple[int, ...]) -> Any:
    array = np.zeros(shape, kind)
    if kind.names:
        for name in kind.names:
            array[name] = values(random, kind[name], shape)
    elif kind.kind == "V":
        array = np.array([*random.bytes(array.nbytes)], "u1").view(kind).reshape(shape)
    elif kind.kind in "SU":
        array[...] = random.integers(0, 10**9, shape).astype("S10").astype(kind)
    elif kind.kind == "?":
        array[...] = random.integers(0, 2, shape)
    else:
        array[...] = random.integers(0, 200, shape).astype("i8").astype(kind)
    return array


def slices(length: int) -> Any:
    bound = st.one_of(st.none(), st.integers(-length - 2, length + 2))
    step = st.one_of(st.none(), st.sampled_from([1, 2, 3, -1, -2, np.int16(2)]))
    return st.builds(slice, bound, bound, step)


def basic(length: int) -> Any:
    if length == 0:
        return slices(length)
    places = st.integers(-length, length - 1)
    return st.one_of(slices(length), places, places.map(np.int8), places.map(np.array))


@st.composite
def keys(draw: Any, shape: Tuple[int, ...], arrays: bool = True) -> Any:
    """Draw an index for that shape: for all of its axes, or for some."""
    parts: List[Any] = []
    combined = draw(st.sampled_from([(1,), (4,), (0,), (2, 2), (3, 1)]))
    axis = 0
    while axis < len(shape):
        kinds = ["basic", "basic", "array", "list", "mask"] if arrays else ["basic"]
        kind = draw(st.sampled_from(kinds))
        if kind == "basic" or shape[axis] == 0:
            parts.append(draw(basic(shape[axis])))
        elif kind == "mask":
            axes = draw(st.integers(1, min(2, len(shape) - axis)))
            lengths = shape[axis : axis + axes]
            count = int(np.prod(lengths))
            flags = draw(st.lists(st.booleans(), min_size=count, max_size=count))
            parts.append(np.array(flags, bool).reshape(lengths))
            axis += axes - 1
        else:
            form = draw(st.sampled_from([combined, combined[-1:], (1,)]))
            count = int(np.prod(form))
            places = st.integers(-shape[axis], shape[axis] - 1)
            chosen = draw(st.lists(places, min_size=count, max_size=count))
            array = np.array(chosen, draw(st.sampled_from(["i1", "<i8", ">i4"]))).reshape(form)
            parts.append(array.tolist() if kind == "list" else array)
        axis += 1
    if draw(st.booleans()):
        # Fewer than all.
        first = draw(st.integers(0, len(parts)))
        last = draw(st.integers(first, len(parts)))
        parts[first:last] = [Ellipsis] if last < len(parts) or draw(st.booleans()) else []
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if arrays and draw(st.integers(0, 9)) == 0:
        parts.insert(draw(st.integers(0, len(parts))), draw(st.booleans()))
    if len(parts) == 1 and draw(st.booleans()):
        return parts[0]
    return tuple(parts)


def selected(model: Any, key: Any) -> Any:
    """Return what numpy selects, or the IndexError."""
    try:
        return model[key]
    except IndexError as error:
        return error


def same(got: Any, expected: Any) -> bool:
    """Return whether type, shape and bytes are the same, except the padding of structures."""
    if type(got) is not type(expected) or np.shape(got) != np.shape(expected):
        return False
    ours, numpys = np.asarray(got), np.asarray(expected)
    if ours.dtype != numpys.dtype:
        return False
    names = ours.dtype.names
    if names is None:
        # NaT is not equal to itself.
        return ours.tobytes() == numpys.tobytes()
    return all(ours[name].tobytes() == numpys[name].tobytes() for name in names)


@relaxed
@given(st.data())
def test_selections_equal_those_of_numpy(rbd_image: rbd.Image, data: Any) -> None:
    model = data.draw(models())
    key = data.draw(keys(model.shape))
    rbd_image.write(model.tobytes(), 100)
    array = rbd.ImageArray(rbd_image, model.dtype, model.shape, offset=100)
    expected = selected(model, key)
    if isinstance(expected, IndexError):
        with pytest.raises(IndexError):
            array[key]
    else:
        assert same(array[key], expected)


@relaxed
@given(st.data())
def test_assignments_equal_those_of_numpy(rbd_image: rbd.Image, data: Any) -> None:
    model = data.draw(models())
    key = data.draw(keys(model.shape))
    around = b"\xee" * 100
    rbd_image.write(around + model.tobytes() + around, 0)
    array = rbd.ImageArray(
        rbd_image,
        model.dtype,
        model.shape,
        offset=100,
        mode="r+",
        merge_writes=data.draw(st.booleans()),
    )
    expected = selected(model, key)
    if isinstance(expected, IndexError):
        with pytest.raises(IndexError):
            array[key] = 0
        return
    # Of the result's shape, or of one that can be broadcast to it.
    shape = np.shape(expected)
    shape = shape[data.draw(st.integers(0, len(shape))) :]
    shape = tuple(data.draw(st.sampled_from([1, length])) for length in shape)
    value = values(np.random.default_rng(data.draw(st.integers(0, 99))), model.dtype, shape)
    if data.draw(st.booleans()):
        value = value.astype(model.dtype.newbyteorder())
    model[key] = value
    array[key] = value
    assert same(array[...], model)
    # The bytes around the array have not changed.
    assert rbd_image.read(0, 100) == around
    assert rbd_image.read(100 + model.nbytes, 100) == around


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_arrays_without_axes_work(rbd_image: rbd.Image, kind: Any) -> None:
    model = values(np.random.default_rng(5), np.dtype(kind), (1,))
    array = rbd.ImageArray(rbd_image, kind, (), mode="r+")
    for key in (..., (), (Ellipsis, None), True):
        rbd_image.write(b"\xee" * array.nbytes, 0)
        array[key] = model[0]
        assert same(np.frombuffer(rbd_image.read(0, array.nbytes), kind), model)
        assert same(array[key], model.reshape(())[key])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, np.ones((1, 1, 7, 5))),
        (..., 3.7),
        (slice(2, 4), [[[1], [2], [3], [4], [5], [6], [7]]]),
        ([1, 5, 1], np.arange(105).reshape(3, 7, 5)),
        ((Ellipsis, 0), np.arange(12)[:, None]),
        (slice(None, None, -3), np.arange(35.0).reshape(7, 5)),
        # None of these values fits.
        (0, np.ones((2, 7, 5))),
        (..., [1, 2, 3]),
        ((3, 2, 1), "x"),
        (0, 1 << 40),
    ],
)
def test_values_are_broadcast_as_in_numpy(
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


def test_attributes_describe_the_array(rbd_image: rbd.Image, model: Any) -> None:
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


def test_structured_and_fixed_types_work(rbd_image: rbd.Image) -> None:
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


def test_wrong_arguments_are_refused(rbd_image: rbd.Image, rbd_ioctx: Any) -> None:
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
    for key in (
        (Ellipsis, Ellipsis),
        ([0, 1], [1, 2, 3]),
        np.zeros((12, 8), bool),
        (0, np.zeros((7, 6), bool)),
        np.zeros((12, 7, 5, 1), bool),
        ([0], [0], [0], [0]),
        [1.5],
        [[1, 2], [3]],
        {},
        np.array([]),
    ):
        with pytest.raises(IndexError):
            array[key]
    with pytest.raises(TypeError):
        array["a":]  # type: ignore[misc]
    with pytest.raises(IndexError, match=r"array\[\.\.\.\]\['a'\]"):
        array["a"]
    writable = rbd.ImageArray(rbd_image, "i4", SHAPE, mode="r+")
    with pytest.raises(ValueError, match="broadcast"):
        writable[0] = np.zeros(6)
    rbd_image.resize(100)
    with pytest.raises(rbd.Error):
        array[...]


class Counting:
    """An image that records what is read from it."""

    def __init__(self, image: rbd.Image) -> None:
        self._image = image
        self.reads = 0
        self.bytes = 0

    def size(self) -> int:
        return self._image.size()

    def read_blocks(self, offsets: Any, span: int, out: Any) -> None:
        self.reads += len(offsets)
        self.bytes += len(offsets) * span
        self._image.read_blocks(offsets, span, out)

    def readinto(self, memory: Any, offset: int) -> int:
        self.reads += 1
        self.bytes += len(memory)
        return self._image.readinto(memory, offset)


@pytest.fixture
def counting(rbd_image: rbd.Image, monkeypatch: pytest.MonkeyPatch) -> Counting:
    from rbd import _regions

    counting = Counting(rbd_image)
    read_batches = _regions.read_batches

    def counted(image: Any, extents: Any, depth: int) -> Any:
        extents = list(extents)
        counting.reads += len(extents)
        counting.bytes += sum(length for _, length, _ in extents)
        return read_batches(rbd_image, extents, depth)

    monkeypatch.setattr(_regions, "read_batches", counted)
    monkeypatch.setattr(rbd.ImageArray, "image", counting)
    return counting


@pytest.mark.parametrize(
    ("shape", "key", "reads", "most"),
    [
        ((20, 25_000), (slice(10), slice(50)), 10, 10 * 200),
        ((20, 25_000), ([0, 3, 5], slice(10, 35)), 3, 3 * 100),
        ((20, 25_000), ([5, 0, 3], slice(10, 35)), 3, 3 * 100),
        ((20, 25_000), (slice(None), 7), 20, 20 * 4),
        ((20, 25_000), np.arange(20) % 2 == 0, 10, 10 * 100_000),
        ((20, 25_000), (slice(None), [9, 3, 3, 11]), 20, 20 * 36),
        ((20, 25_000), ([0, 7], [9, 3]), 2, 2 * 4),
        ((20, 25_000), (0, [24_999, 0, 1]), 3, 12),
        ((20, 25_000), ([4, 5, 6, 7], slice(None)), 1, 4 * 100_000),
        ((500_000,), np.arange(0, 500_000, 2)[::-1], 1, 2_000_000),
        ((500_000,), slice(1000), 1, 4000),
        ((500_000,), slice(None, 2000, 2), 1, 8000),
        ((500_000,), 5, 1, 4),
    ],
)
def test_only_selected_bytes_are_read(
    rbd_image: rbd.Image,
    counting: Counting,
    shape: Tuple[int, ...],
    key: Any,
    reads: int,
    most: int,
) -> None:
    model = np.random.default_rng(1).integers(0, 1000, shape, "<i4")
    rbd_image.write(model.tobytes(), 0)
    assert np.array_equal(rbd.ImageArray(rbd_image, "<i4", shape)[key], model[key])
    assert 0 < counting.reads <= reads
    assert 0 < counting.bytes <= most


@pytest.mark.parametrize(
    ("key", "merged", "apart"),
    [
        ((slice(None), 0), 1, 2000),
        ((slice(None, None, -2), slice(1, None)), 1, 1000),
        ((np.arange(2000)[::-3], 1), 1, 667),
        # Contiguous, but in another order: there is nothing between.
        ((slice(None), [1, 0]), 1, 1),
        # The elements are too far apart.
        ((slice(None, None, 1500), 1), 2, 2),
    ],
)
def test_merged_writes_join_near_elements(
    rbd_image: rbd.Image, monkeypatch: pytest.MonkeyPatch, key: Any, merged: int, apart: int
) -> None:
    from rbd import _regions

    writes: List[int] = []

    class Writer(_regions.ImageWriter):  # type: ignore[misc]
        def write(self, offset: int, length: int) -> None:
            writes.append(length)
            super().write(offset, length)

    class Image:
        def stripe_unit(self) -> int:
            return rbd_image.stripe_unit()

        def size(self) -> int:
            return rbd_image.size()

        def write_blocks(self, data: Any, offsets: Any) -> int:
            writes.extend([len(data) // len(offsets)] * len(offsets))
            return rbd_image.write_blocks(data, offsets)

    read_batches = _regions.read_batches
    monkeypatch.setattr(
        _regions, "read_batches", lambda _, *arguments: read_batches(rbd_image, *arguments)
    )
    monkeypatch.setattr(
        _regions, "ImageWriter", lambda image, *arguments: Writer(rbd_image, *arguments)
    )
    monkeypatch.setattr(rbd.ImageArray, "image", Image())
    model = np.random.default_rng(1).integers(0, 1 << 40, (2000, 2))
    for merge, most in ((True, merged), (False, apart)):
        rbd_image.write(model.tobytes(), 0)
        array = rbd.ImageArray(rbd_image, "<i8", model.shape, mode="r+", merge_writes=merge)
        writes.clear()
        array[key] = -1
        expected = model.copy()
        expected[key] = -1
        assert rbd_image.read(0, model.nbytes) == expected.tobytes()
        assert len(writes) <= most
        if not merge:
            assert sum(writes) == 8 * np.count_nonzero(expected == -1)


@pytest.mark.rbd_image(size=64 << 20, order=22)
def test_long_selections_are_read_in_parts(rbd_image: rbd.Image) -> None:
    """Long selections are read in parts, to limit the memory."""
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
    # More than is read at once, in random order, with the gaps between.
    far = np.random.default_rng(5).integers(0, len(model), 300_000)
    assert np.array_equal(array[far], model[far])
    assert np.array_equal(table[:, [1000, 3, 3, 500]], expected[:, [1000, 3, 3, 500]])
    far = np.random.default_rng(6).permutation(len(model))[:5000]
    array[far], model[far] = far, far
    assert np.array_equal(array[...], model)
    turned = table[::-1]
    assert np.array_equal(turned, model[: 4000 * 1024].reshape(4000, 1024)[::-1])


# Other processes


@pytest.fixture
def address(
    rbd_cluster: Any, rbd_image: rbd.Image, rbd_ioctx: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv("CEPH_CONF", str(rbd_cluster.conffile))
    parts = (rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), rbd_image.get_name())
    yield "/".join(part for part in parts if part)
    gc.collect()


def test_an_array_opens_by_address(address: str, rbd_image: rbd.Image, model: Any) -> None:
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


def test_an_array_pickles_as_its_address(
    address: str,
    rbd_cluster: Any,
    rbd_image: rbd.Image,
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rbd_image.flush()
    arrays = [
        rbd.ImageArray(address, "<i4", SHAPE, offset=100),
        rbd.ImageArray(rbd_image, "<i4", SHAPE, offset=100, merge_writes=True),
    ]
    assert [pickle.loads(pickle.dumps(array)).merge_writes for array in arrays] == [False, True]
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
    # The address contains the configuration file, so the environment need not.
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
def test_an_array_goes_to_other_processes(
    address: str, rbd_image: rbd.Image, model: Any, method: str
) -> None:
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
            # A data loader forks its workers with the data set in memory, and pickles nothing.
            assert array[:].tolist() == [65] * 4096
            assert array.image is not image
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert array.image is image
    assert array[-1] == 65


def test_a_forked_child_opens_the_image_again(where: Where) -> None:
    isolated.run(inherit, where)


def fork_while_opening(where: Where) -> None:
    os.environ["CEPH_CONF"] = where[0]
    address = "/".join(part for part in where[1:] if part)

    def use() -> None:
        assert rbd.ImageArray(address, "u1", 4096)[:].tolist() == [65] * 4096

    with held_up(use, rbd.array, "open_spec"):
        assert isolated.fork(use) == 0
    use()


def test_a_child_forked_while_an_array_opens_has_arrays(where: Where) -> None:
    isolated.run(fork_while_opening, where)


@pytest.mark.slow
@pytest.mark.rbd_image(size=4 << 30)
def test_dask_works_over_four_gib(address: str, rbd_image: rbd.Image) -> None:
    da = proof("dask.array")
    distributed = proof("distributed")
    shape = (4096, 131_072)
    array = rbd.ImageArray(address, "<f8", shape, mode="r+")
    # The image is sparse: only a few rows have data.
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


def test_an_array_pickles_the_snapshot_that_is_set(
    address: str, rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """An array of an open image pickles as what it reads now, not as what was opened."""
    rbd_image.write(b"before", 0)
    rbd_image.create_snap("s")
    (entry,) = rbd_image.list_snaps()
    rbd_image.write(b"after!", 0)
    array = rbd.ImageArray(rbd_image, "S6", 1)
    for go in (lambda: rbd_image.set_snap("s"), lambda: rbd_image.set_snap_by_id(entry["id"])):
        go()
        assert pickle.loads(pickle.dumps(array))[0] == array[0] == b"before"
        with pytest.raises(rbd.ReadOnlyImage):
            rbd.ImageArray(rbd_image, "S6", 1, mode="r+")
        rbd_image.set_snap(None)
        assert pickle.loads(pickle.dumps(array))[0] == array[0] == b"after!"
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, "s", rbd_ioctx, "clone", clone_format=2)
    rbd_image.remove_snap("s")
    rbd_image.set_snap_by_id(entry["id"])
    assert array[0] == b"before"
    with pytest.raises(rbd.InvalidArgument, match="no name to open it by"):
        pickle.dumps(array)
    rbd_image.set_snap(None)


def test_dask_tokens_of_snapshots_are_stable(address: str, rbd_image: rbd.Image) -> None:
    base = proof("dask.base")
    rbd_image.create_snap("s")
    snapshot = rbd.ImageArray(f"{address}@s", "u1", 100)
    again = pickle.loads(pickle.dumps(snapshot))
    assert base.tokenize(snapshot) == base.tokenize(again)
    head = rbd.ImageArray(address, "u1", 100)
    assert base.tokenize(head) != base.tokenize(rbd.ImageArray(address, "u1", 100))


# xarray, without dask


@pytest.fixture
def lazily(rbd_image: rbd.Image, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an array of an image for xarray, its model, and a record of what was read from it."""
    proof("xarray")
    model = np.random.default_rng(5).integers(0, 1 << 30, (20, 30, 40), np.int32)
    rbd_image.write(model, 512)
    array = rbd.ImageArray(rbd_image, model.dtype, model.shape, offset=512)
    reads: List[int] = []
    read = rbd.ImageArray.__getitem__

    def counted(self: rbd.ImageArray, key: Any) -> Any:
        found = read(self, key)
        reads.append(np.asarray(found).nbytes)
        return found

    monkeypatch.setattr(rbd.ImageArray, "__getitem__", counted)
    return array.to_xarray(("t", "y", "x"), {"t": np.arange(20) * 10}, name="n"), model, reads


def test_xarray_reads_only_selected_values(lazily: Any) -> None:
    lazy, model, reads = lazily
    assert lazy.name == "n"
    assert lazy.shape == model.shape
    assert lazy.dtype == model.dtype
    part = lazy.sel(t=70)[3:9, ::-2]
    assert part.sizes == {"y": 6, "x": 20}
    assert reads == []
    assert np.array_equal(part.values, model[7, 3:9, ::-2])
    assert sum(reads) <= 6 * 40 * 4
    # Only load() keeps the values.
    part.load()
    del reads[:]
    assert np.array_equal(part.values, model[7, 3:9, ::-2])
    assert reads == []
    assert int(lazy.isel(t=-1, y=0, x=5)) == model[-1, 0, 5]
    assert reads == [4]
    assert np.array_equal(lazy.mean("x").values, model.mean(2))


def test_xarray_selects_by_arrays(lazily: Any) -> None:
    import xarray

    lazy, model, reads = lazily
    chance = np.random.default_rng(6)
    t, y, x = (chance.integers(0, n, 5) for n in model.shape)
    # Each array along its own axis.
    for key, expected in (
        ({"t": t}, model[t]),
        ({"y": y, "t": 3}, model[3][y]),
        ({"x": x, "t": 3}, model[3][:, x]),
        ({"t": t, "x": x}, model[t][:, :, x]),
        ({"t": t, "y": y, "x": x}, model[np.ix_(t, y, x)]),
        ({"y": [1, 1, 0], "x": slice(5, 1, -1)}, model[:, [1, 1, 0], 5:1:-1]),
        # The last xarray for Python 3.9 cannot select nothing.
        *([({"t": []}, model[[]])] if sys.version_info >= (3, 10) else []),
    ):
        assert np.array_equal(lazy.isel(key).values, expected), key
    # All arrays together, point by point.
    points = {name: xarray.DataArray(at, dims="p") for name, at in (("t", t), ("y", y), ("x", x))}
    del reads[:]
    assert np.array_equal(lazy.isel(points).values, model[t, y, x])
    assert sum(reads) == 5 * 4
    for names in (("t", "y"), ("y", "x"), ("t", "x")):
        chosen = {name: points[name] for name in names}
        eager = xarray.DataArray(model, dims=("t", "y", "x")).isel(chosen)
        found = lazy.isel(chosen)
        assert found.dims == eager.dims
        assert np.array_equal(found.values, eager.values), names
    grid = xarray.DataArray(chance.integers(0, 30, (2, 3)), dims=("a", "b"))
    eager = xarray.DataArray(model, dims=("t", "y", "x")).isel(y=grid, t=slice(2, 5))
    assert np.array_equal(lazy.isel(y=grid, t=slice(2, 5)).values, eager.values)


def test_xarray_objects_go_to_other_processes(address: str, rbd_image: rbd.Image) -> None:
    """Objects made from an address can be sent to other processes. dask reads parts of them."""
    xarray = proof("xarray")
    model = np.arange(6000, dtype=np.float64).reshape(60, 100)
    rbd_image.write(model, 0)
    array = rbd.ImageArray(address, model.dtype, model.shape)
    again = pickle.loads(pickle.dumps(array.to_xarray(("y", "x"), attrs={"unit": "m"})))
    assert isinstance(again, xarray.DataArray)
    assert again.attrs == {"unit": "m"}
    assert np.array_equal(again[5:7].values, model[5:7])
    with pytest.raises(ValueError, match="dim"):
        array.to_xarray(("x",))
    proof("dask.array")
    chunked = array.to_xarray(("y", "x")).chunk({"y": 7})
    assert float(chunked.sum()) == model.sum()


@pytest.mark.parametrize("merge_writes", [False, True])
@pytest.mark.parametrize("step", [1, 2])
def test_an_array_whose_image_has_shrunk_is_not_written_in_part(
    rbd_image: rbd.Image, merge_writes: bool, step: int
) -> None:
    array = rbd.ImageArray(rbd_image, "<u8", (1000, 8), mode="r+", merge_writes=merge_writes)
    rbd_image.resize(array.nbytes - 100)
    rows = np.arange(0, 1000, step)
    for key in (np.s_[:, ::step], np.s_[::step], np.s_[rows]):
        with pytest.raises((rbd.InvalidArgument, rbd.IncompleteWriteError, rbd.StreamError)):
            array[key] = 1
