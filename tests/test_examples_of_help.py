"""The examples of the docstrings do what they say, on a real cluster."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
from typing import Any, Callable, Dict, Iterator, List

import pytest

import rbd
import rbd.aio
from rbd import rados

MIB = 1 << 20
CLASSES = ("RBD", "Image")
#: The calls that people look up most; each has an example.
MOST_USED = {
    *(f"RBD.{name}" for name in ("create", "clone", "list", "remove", "rename")),
    *(f"RBD.{name}" for name in ("trash_list", "trash_move", "trash_purge", "trash_remove")),
    "RBD.trash_restore",
    *(f"Image.{name}" for name in ("read", "readinto", "write", "discard", "flush", "size")),
    *(f"Image.{name}" for name in ("resize", "stat", "flatten", "copy", "diff", "diff_iterate")),
    *(f"Image.{name}" for name in ("create_snap", "list_snaps", "remove_snap", "protect_snap")),
    *(f"Image.{name}" for name in ("unprotect_snap", "rollback_to_snap", "parent_info")),
    *(f"Image.{name}" for name in ("lock_acquire", "lock_get_owners", "list_lockers")),
    *(f"Image.{name}" for name in ("read_blocks", "write_blocks", "readv", "writev")),
    *(f"Image.{name}" for name in ("aio_read", "aio_write", "metadata_set", "metadata_list")),
    *(f"Image.{name}" for name in ("update_features", "open_file", "list_children")),
}


def with_examples() -> Dict[str, str]:
    found: Dict[str, str] = {}
    for cls in CLASSES:
        for name in dir(getattr(rbd, cls)):
            text = inspect.getdoc(getattr(getattr(rbd, cls), name)) or ""
            if not name.startswith("_") and ">>> " in text:
                found[f"{cls}.{name}"] = text
    return found


def of_module(module: Any) -> Dict[str, str]:
    """Return the docstrings with examples of the classes and functions of a module."""
    found: Dict[str, str] = {}
    for name in module.__all__:
        value = getattr(module, name)
        texts = {name: inspect.getdoc(value) or ""}
        if inspect.isclass(value):
            texts[f"{name}()"] = inspect.getdoc(value.__init__) or ""
            # Derived methods have the examples of their originals.
            texts.update(
                (f"{name}.{one}", inspect.getdoc(vars(value)[one]) or "")
                for one in vars(value)
                if not one.startswith("_")
            )
        found.update((one, text) for one, text in texts.items() if ">>> " in text)
    return found


EXAMPLES = with_examples()
RADOS = of_module(rados)
AIO = of_module(rbd.aio)
MOST_USED_OF_RADOS = {
    "Rados()",
    "Object",
    "WriteOpCtx",
    *(f"Rados.{name}" for name in ("open_ioctx", "list_pools", "mon_command")),
    *(f"Ioctx.{name}" for name in ("read", "write", "write_full", "remove_object", "stat")),
    *(f"Ioctx.{name}" for name in ("get_xattr", "get_xattrs", "list_objects", "set_omap")),
    *(f"Ioctx.{name}" for name in ("get_omap_vals", "operate_write_op", "lock_exclusive")),
    *(f"Ioctx.{name}" for name in ("aio_read", "aio_write")),
}
MOST_USED_OF_AIO = {
    *("connect", "open", "RBD", "AsyncIoctx", "AsyncRados.open_ioctx"),
    *(f"AsyncImage.{name}" for name in ("read", "readinto", "write", "flush", "updates")),
    *(f"AsyncImage.{name}" for name in ("read_blocks", "write_blocks")),
    *(f"AsyncIoctx.{name}" for name in ("read", "write_full", "get_omap")),
}
FUNCTIONS = {"connect": rbd.connect, "open": rbd.open, "supports": rbd.supports}
EXAMPLES.update({name: inspect.getdoc(value) or "" for name, value in FUNCTIONS.items()})


def test_the_most_used_calls_have_an_example() -> None:
    assert not MOST_USED - {*EXAMPLES}
    assert not MOST_USED_OF_RADOS - {*RADOS}
    assert not MOST_USED_OF_AIO - {*AIO}


def clone(ioctx: Any) -> None:
    rbd.RBD().create(ioctx, "base", 8 * MIB)
    with rbd.Image(ioctx, "base") as base:
        base.create_snap("golden")
        base.protect_snap("golden")
    rbd.RBD().clone(ioctx, "base", "golden", ioctx, "vm1")


#: What exists before an example, besides the image and its snapshot.
STAGES: Dict[str, Callable[[Any, Any], object]] = {
    "RBD.create": lambda ioctx, image: rbd.RBD().remove(ioctx, "disk1"),
    "RBD.clone": lambda ioctx, image: rbd.RBD().create(ioctx, "base", 8 * MIB),
    "Image.flatten": lambda ioctx, image: clone(ioctx),
    "Image.parent_info": lambda ioctx, image: clone(ioctx),
    "Image.create_snap": lambda ioctx, image: image.remove_snap("monday"),
    "Image.unprotect_snap": lambda ioctx, image: image.protect_snap("monday"),
}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_each_example_does_what_it_says(
    name: str, rbd_cluster: Any, rbd_ioctx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEPH_CONF", rbd_cluster.conffile)
    cls = name.split(".")[0]
    rbd.RBD().create(rbd_ioctx, "disk1", 64 * MIB)
    opened = rbd.Image(rbd_ioctx, "disk1") if cls == "Image" else None
    try:
        if opened is not None:
            opened.create_snap("monday")
        STAGES.get(name, lambda ioctx, image: None)(rbd_ioctx, opened)
        names = {"rbd": rbd, "ioctx": rbd_ioctx, "image": opened}
        test = doctest.DocTestParser().get_doctest(EXAMPLES[name], names, name, None, None)
        said: List[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
        assert not said, "".join(said)
        assert test.examples
    finally:
        if opened is not None:
            opened.close()


@pytest.fixture
def greeting(rbd_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Provide a context of a namespace with the single object "greeting"."""
    monkeypatch.setenv("CEPH_CONF", rbd_cluster.conffile)
    with rbd.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        ioctx.set_namespace("examples")
        ioctx.write_full("greeting", b"hello")
        yield cluster, ioctx
        for found in list(ioctx.list_objects()):
            found.remove()


@pytest.mark.parametrize("name", sorted(RADOS))
def test_each_example_of_rados_does_what_it_says(name: str, greeting: Any) -> None:
    names = {"rbd": rbd, "cluster": greeting[0], "ioctx": greeting[1]}
    test = doctest.DocTestParser().get_doctest(RADOS[name], names, name, None, None)
    said: List[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)
    assert test.examples


async def run_awaited(source: str, names: Dict[str, Any]) -> str:
    """Run an example as Python's asyncio prompt does. Return its output."""
    code = compile(source, "<example>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        awaited = eval(code, names)
        if code.co_flags & inspect.CO_COROUTINE:
            await awaited
    return printed.getvalue()


@pytest.mark.parametrize("name", sorted(AIO))
def test_each_awaited_example_does_what_it_says(name: str, rbd_ioctx: Any, greeting: Any) -> None:
    examples = doctest.DocTestParser().get_examples(AIO[name])
    assert examples
    rbd.RBD().create(rbd_ioctx, "disk1", 64 * MIB)

    async def main() -> None:
        connecting = rbd.aio.connect()
        async with connecting as cluster, rbd.aio.open(rbd_ioctx, "disk1") as image:
            await image.write(b"hello", 0)
            await image.create_snap("monday")
            objects = name.startswith("AsyncIoctx")
            names = {"rbd": rbd, "asyncio": asyncio, "cluster": cluster, "image": image}
            names["ioctx"] = rbd.aio.AsyncIoctx(greeting[1].dup()) if objects else rbd_ioctx
            for example in examples:
                printed = await run_awaited(example.source, names)
                assert printed == example.want, example.source

    asyncio.run(main())
