"""Transfers from and to asynchronous streams."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path
from typing import Any, AsyncIterator, Awaitable, Callable, List

import pytest

import rbd
import rbd.aio
import rbd.aio.transfer

SIZE = 8 << 20
CONTENT = random.Random(5).randbytes(3 << 20)


def run(body: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(body(), 100)

    return asyncio.run(bounded())


def test_images_are_imported_from_and_exported_to_iterators(rbd_ioctx: Any) -> None:
    async def body() -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(CONTENT), 100_000):
                yield CONTENT[at : at + 100_000]
                yield b""

        digest = await rbd.aio.transfer.import_image(
            pieces(), rbd_ioctx, "streamed", checksum="sha256"
        )
        assert digest == hashlib.sha256(CONTENT).hexdigest()
        async with rbd.aio.open(rbd_ioctx, "streamed") as image:
            found = b"".join([piece async for piece in rbd.aio.transfer.stream_image(image)])
            assert found == CONTENT
            stream = rbd.aio.transfer.stream_image(image)
            assert await stream.__anext__()
            await stream.aclose()
            await image.create_snap("one")
            await image.write(b"y" * 4096, 1 << 20)

            async def changes() -> List[bytes]:
                return [one async for one in rbd.aio.transfer.stream_diff(image, "one")]

            diff = b"".join(await changes())
            assert diff.startswith(b"rbd diff v1")
            with pytest.raises(rbd.ImageNotFound):
                async for _ in rbd.aio.transfer.stream_diff(image, "none"):
                    pass
            await image.remove_snap("one")

    run(body)


def test_images_go_through_stream_readers_and_writers(rbd_ioctx: Any, rbd_image: rbd.Image) -> None:
    rbd_image.write(CONTENT, 4096)
    received = bytearray()

    async def body() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with rbd.aio.open(rbd_ioctx, rbd_image.get_name()) as image:
                await rbd.aio.transfer.export_image(image, writer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await rbd.aio.transfer.import_image(reader, rbd_ioctx, "received")
            writer.close()
        async with rbd.aio.open(rbd_ioctx, "received") as image:
            received.extend(await image.read(0, SIZE))

    run(body)
    assert received == rbd_image.read(0, SIZE)


def test_a_failing_source_fails_the_import(rbd_ioctx: Any) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise ZeroDivisionError

    async def texts() -> AsyncIterator[str]:
        yield "text"

    async def body() -> None:
        with pytest.raises(ZeroDivisionError):
            await rbd.aio.transfer.import_image(broken(), rbd_ioctx, "broken")
        with pytest.raises(TypeError, match="not bytes"):
            await rbd.aio.transfer.import_image(texts(), rbd_ioctx, "broken")
        assert await rbd.aio.RBD().list(rbd_ioctx) == []

    before = rbd.RBD().list(rbd_ioctx)
    for name in before:
        rbd.RBD().remove(rbd_ioctx, name)
    run(body)


def test_a_cancelled_import_leaves_no_image(rbd_ioctx: Any) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * (1 << 20)
        await asyncio.sleep(3600)

    async def body() -> None:
        images = rbd.aio.RBD()
        before = await images.list(rbd_ioctx)
        task = asyncio.ensure_future(
            rbd.aio.transfer.import_image(endless(), rbd_ioctx, "cancelled")
        )
        while await images.list(rbd_ioctx) == before:
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while await images.list(rbd_ioctx) != before:
            await asyncio.sleep(0.05)

    run(body)


def test_files_are_transferred_as_in_the_synchronous_form(
    rbd_image: rbd.Image, tmp_path: Path
) -> None:
    rbd_image.write(CONTENT, 0)

    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        reports: List[int] = []
        await rbd.aio.transfer.export_image(
            image, tmp_path / "raw", on_progress=lambda done, total: reports.append(done)
        )
        assert reports[-1] == SIZE
        assert (tmp_path / "raw").read_bytes()[: len(CONTENT)] == CONTENT
        await rbd.aio.transfer.export_diff(image, tmp_path / "diff")
        described = await rbd.aio.transfer.describe(tmp_path / "diff")
        assert described.size == SIZE

    run(body)
