"""Objects in asyncio."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any, Awaitable, Callable, Iterator

import pytest

import rbd.aio
from rbd import rados
from support import isolated


@pytest.fixture
def ioctx(object_ioctx: Any) -> rados.Ioctx:
    object_ioctx.write_full("thing", b"0123456789")
    return object_ioctx  # type: ignore[no-any-return]


def test_calls_are_awaited(ioctx: rados.Ioctx) -> None:
    async def main() -> None:
        objects = rbd.aio.AsyncIoctx(ioctx)
        assert objects.ioctx is ioctx
        assert await objects.read("thing") == b"0123456789"
        assert await objects.read(b"thing", 3, 2) == b"234"
        assert await objects.read("thing", 100, 8) == b"89"
        assert await objects.read("thing", 5, 99) == b""
        assert await objects.read("thing", 0) == b""
        buffer = bytearray(4)
        assert await objects.readinto("thing", buffer, 1) == 4
        assert buffer == b"1234"
        assert await objects.readinto("thing", buffer, 9) == 1
        assert await objects.readinto("thing", bytearray(), 0) == 0
        assert await objects.write("one", b"hello", 2) == 5
        assert await objects.append("one", bytearray(b"!!")) == 2
        assert await objects.read("one") == b"\0\0hello!!"
        assert await objects.write_full("one", memoryview(b"short")) == 5
        size, modified = await objects.stat("one")
        assert (size, modified) == ioctx.stat("one")
        assert await objects.remove("one") is None
        with pytest.raises(rados.ObjectNotFound):
            ioctx.stat("one")

    asyncio.run(main())


def test_many_calls_overlap(ioctx: rados.Ioctx) -> None:
    async def main() -> None:
        objects = rbd.aio.AsyncIoctx(ioctx)
        parts = {f"part {i}": bytes([i]) * 4096 for i in range(100)}
        await asyncio.gather(*(objects.write_full(name, data) for name, data in parts.items()))
        found = await asyncio.gather(*(objects.read(name) for name in parts))
        assert found == list(parts.values())

    asyncio.run(main())


@pytest.mark.parametrize("limit", [2, 40])
@pytest.mark.parametrize("beside_image", [False, True])
def test_more_calls_than_the_connection_takes_wait(
    rbd_cluster: Any, rbd_ioctx: Any, rbd_image: Any, limit: int, beside_image: bool
) -> None:
    """Calls that wait for librados's own limits are submitted in order, and refused as usual."""
    name = rbd_image.get_name()
    conf = {"objecter_inflight_ops": str(limit)}
    with rbd.connect(rbd_cluster.conffile, conf=conf) as cluster:
        ioctx = cluster.open_ioctx(rbd_ioctx.get_pool_name())
        ioctx.set_namespace("limited")
        image = None
        if beside_image:
            ioctx.set_namespace(rbd_ioctx.get_namespace())
            image = rbd.Image(ioctx, name, read_only=True)
            ioctx.set_namespace("limited")

        async def main() -> None:
            objects = rbd.aio.AsyncIoctx(ioctx)
            calls = [objects.append("log", b"%04d" % index) for index in range(300)]
            assert await asyncio.gather(*calls) == [4] * 300
            found = await objects.read("log", 4 * 300)
            assert found == b"".join(b"%04d" % index for index in range(300))
            with rados.WriteOpCtx() as op:
                op.remove()
                last = objects.operate_write_op(op, "log")
                reads = [objects.read("none", 1) for _ in range(100)]
                results = await asyncio.gather(last, *reads, return_exceptions=True)
            assert results[0] is None
            for error in results[1:]:
                assert isinstance(error, rados.ObjectNotFound)
                assert "object 'none' in pool" in str(error)
            pending = [asyncio.ensure_future(objects.write_full("last", b"x")) for _ in range(100)]
            await asyncio.sleep(0)
            # The close waits for all of them.
            ioctx.close()
            await asyncio.gather(*pending)

        asyncio.run(main())
        if image is not None:
            image.close()


def test_waiting_calls_keep_the_settings_of_the_context(rbd_cluster: Any, rbd_ioctx: Any) -> None:
    """A call that waits for librados's limits goes to the namespace of when it was made."""
    conf = {"objecter_inflight_ops": "2"}
    with rbd.connect(rbd_cluster.conffile, conf=conf) as cluster:
        ioctx = cluster.open_ioctx(rbd_ioctx.get_pool_name())

        async def main() -> None:
            objects = rbd.aio.AsyncIoctx(ioctx)
            ioctx.set_namespace("made in")
            pending = [asyncio.ensure_future(objects.write_full(str(i), b"x")) for i in range(100)]
            await asyncio.sleep(0)
            ioctx.aio_flush()
            found = {entry.key for entry in ioctx.list_objects()}
            assert found == {str(i) for i in range(100)}
            pending += [asyncio.ensure_future(objects.remove(str(i))) for i in range(100)]
            await asyncio.sleep(0)
            ioctx.set_namespace("elsewhere")
            await asyncio.gather(*pending)
            ioctx.set_namespace("made in")
            assert list(ioctx.list_objects()) == []

        asyncio.run(main())
        ioctx.close()


def test_omap_entries_are_set_read_and_removed(ioctx: rados.Ioctx) -> None:
    async def main() -> None:
        objects = rbd.aio.AsyncIoctx(ioctx)
        entries = {f"key {i:04}": str(i).encode() for i in range(1500)}
        await objects.set_omap("map", entries)
        await objects.set_omap("map", {b"other": "text"})
        everything = {**entries, "other": b"text"}
        assert await objects.get_omap("map") == everything
        assert list(await objects.get_omap("map")) == list(everything)
        assert await objects.get_omap("map", filter_prefix="o") == {"other": b"text"}
        assert await objects.get_omap("map", "key 1497") == {
            "key 1498": b"1498",
            "key 1499": b"1499",
            "other": b"text",
        }
        assert list(await objects.get_omap("map", max_return=2)) == ["key 0000", "key 0001"]
        assert len(await objects.get_omap("map", max_return=1100)) == 1100
        assert await objects.get_omap("map", max_return=0) == {}
        await objects.remove_omap_keys("map", entries)
        assert await objects.get_omap("map") == {"other": b"text"}
        with pytest.raises(OverflowError):
            await objects.get_omap("map", max_return=-1)
        with pytest.raises(rados.ObjectNotFound, match="operating on object 'none' in pool"):
            await objects.get_omap("none")

    asyncio.run(main())


def test_operations_are_awaited(ioctx: rados.Ioctx) -> None:
    async def main() -> None:
        objects = rbd.aio.AsyncIoctx(ioctx)
        with rados.WriteOpCtx() as write:
            write.write_full(b"body")
            write.set_xattr("name", b"value")
            await objects.operate_write_op(write, "whole", mtime=5)
        assert ioctx.get_xattr("whole", "name") == b"value"
        if rbd.supports("rbd_snap_create2"):
            # Ceph 14's librados does not pass the time on.
            assert (await objects.stat("whole"))[1] == time.localtime(5)
        with rados.WriteOpCtx() as write:
            write.cmpext(b"boty")
            write.remove()
            with pytest.raises(rados.ExtendMismatch) as caught:
                await objects.operate_write_op(write, "whole")
            assert caught.value.offset == 2
        assert await objects.read("whole") == b"body"
        with rados.ReadOpCtx() as read:
            entries, _ = ioctx.get_omap_vals(read, "", "", -1)
            await objects.operate_read_op(read, "whole")
            assert list(entries) == []
        with pytest.raises(rados.InvalidArgumentError, match="never created"):
            await objects.operate_write_op(rados.WriteOp(), "whole")
        with pytest.raises(rados.InvalidArgumentError, match="never created"):
            await objects.operate_read_op(rados.ReadOp(), "whole")

    asyncio.run(main())


def test_errors_name_the_object(ioctx: rados.Ioctx) -> None:
    place = f"object 'none' in pool '{ioctx.get_pool_name()}'"

    async def main() -> None:
        objects = rbd.aio.AsyncIoctx(ioctx)
        for call, what in (
            (objects.read("none"), "reading"),
            (objects.readinto("none", bytearray(5)), "reading"),
            (objects.remove("none"), "removing"),
            (objects.stat("none"), "getting the status of"),
        ):
            with pytest.raises(rados.ObjectNotFound, match=f"error {what} {place}"):
                await call

    asyncio.run(main())


def calls(objects: rbd.aio.AsyncIoctx) -> Iterator[Callable[[Any], Awaitable[Any]]]:
    yield lambda name: objects.read(name)
    yield lambda name: objects.readinto(name, bytearray(5))
    yield lambda name: objects.write(name, b"x")
    yield lambda name: objects.write_full(name, b"x")
    yield lambda name: objects.append(name, b"x")
    yield lambda name: objects.remove(name)
    yield lambda name: objects.stat(name)
    yield lambda name: objects.get_omap(name)
    yield lambda name: objects.set_omap(name, {"a": b"b"})
    yield lambda name: objects.remove_omap_keys(name, ["a"])


def test_wrong_arguments_are_refused(ioctx: rados.Ioctx) -> None:
    with pytest.raises(TypeError, match=r"must be an rbd\.rados\.Ioctx, not object"):
        rbd.aio.AsyncIoctx(object())  # type: ignore[arg-type]

    async def main() -> None:
        objects = rbd.aio.AsyncIoctx(ioctx)
        for call in calls(objects):
            for bad in (None, 5, ["thing"]):
                with pytest.raises(TypeError):
                    await call(bad)
            with pytest.raises(ValueError, match="NUL"):
                await call("a\0b")
        for bad in ("text", None, 5):
            for wrong in (objects.write, objects.write_full, objects.append):
                with pytest.raises(TypeError):
                    await wrong("one", bad)
        with pytest.raises(TypeError):
            await objects.readinto("thing", b"read-only")
        for number in (-1, 2**64):
            with pytest.raises(OverflowError):
                await objects.read("thing", number)
            with pytest.raises(OverflowError):
                await objects.read("thing", 1, number)
            with pytest.raises(OverflowError):
                await objects.write("one", b"x", number)
        with pytest.raises(rados.ObjectNotFound):
            await objects.stat("one")

    asyncio.run(main())


def test_a_closed_context_is_refused(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    async def refused(objects: rbd.aio.AsyncIoctx, error: type) -> None:
        for call in calls(objects):
            with pytest.raises(error):
                await call("thing")

    with rbd_cluster.connect() as cluster:
        closed = cluster.open_ioctx(ioctx.get_pool_name())
        closed.close()
        asyncio.run(refused(rbd.aio.AsyncIoctx(closed), rados.IoctxStateError))
        kept = cluster.open_ioctx(ioctx.get_pool_name())
    asyncio.run(refused(rbd.aio.AsyncIoctx(kept), rados.RadosStateError))


def test_closing_waits_for_calls_in_flight(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    async def main() -> None:
        with rbd_cluster.connect() as cluster:
            own = cluster.open_ioctx(ioctx.get_pool_name())
            own.set_namespace(ioctx.get_namespace())
            objects = rbd.aio.AsyncIoctx(own)
            writes = [asyncio.ensure_future(objects.write("one", b"x", i)) for i in range(20)]
            missing = asyncio.ensure_future(objects.read("none"))
            await asyncio.sleep(0)
            own.close()
            assert await asyncio.gather(*writes) == [1] * 20
            # A closed context cannot name its pool any more.
            with pytest.raises(rados.ObjectNotFound, match="error reading object 'none'"):
                await missing

    asyncio.run(main())


def test_cancelled_reads_keep_their_buffers(ioctx: rados.Ioctx) -> None:
    async def main() -> None:
        objects = rbd.aio.AsyncIoctx(ioctx)
        buffers = [bytearray(1 << 16) for _ in range(32)]
        tasks = [asyncio.ensure_future(objects.readinto("thing", one)) for one in buffers]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        assert {type(e) for e in await asyncio.gather(*tasks, return_exceptions=True)} == {
            asyncio.CancelledError
        }
        del buffers, tasks
        gc.collect()
        assert await objects.read("thing") == b"0123456789"

    asyncio.run(main())


def test_images_and_objects_share_a_loop(ioctx: rados.Ioctx, rbd_image: Any) -> None:
    async def main() -> None:
        image, objects = rbd.aio.AsyncImage(rbd_image), rbd.aio.AsyncIoctx(ioctx)
        written = await asyncio.gather(
            *(image.write(bytes(512), i * 512) for i in range(16)),
            *(objects.write("one", bytes(512), i * 512) for i in range(16)),
        )
        assert written == [512] * 32
        assert len(rbd.aio._queue._queues) >= 1

    asyncio.run(main())


def test_several_loops_share_a_context(ioctx: rados.Ioctx) -> None:
    objects = rbd.aio.AsyncIoctx(ioctx)
    failures = []

    async def work(number: int) -> None:
        for i in range(30):
            data = bytes([i]) * 100
            await objects.write_full(f"loop {number}", data)
            assert await objects.read(f"loop {number}") == data

    def run(number: int) -> None:
        try:
            asyncio.run(work(number))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def leave_a_loop(conffile: str, pool: str, namespace: str) -> None:
    cluster = rados.Rados(conffile=conffile)
    cluster.connect()
    ioctx = cluster.open_ioctx(pool)
    ioctx.set_namespace(namespace)
    objects = rbd.aio.AsyncIoctx(ioctx)

    async def main() -> None:
        tasks = [
            asyncio.ensure_future(objects.write("one", bytes(1 << 16), i << 16)) for i in range(64)
        ]
        await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)

    asyncio.run(main())


def test_a_loop_may_end_before_its_calls(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    isolated.run(
        leave_a_loop, str(rbd_cluster.conffile), ioctx.get_pool_name(), ioctx.get_namespace()
    )
