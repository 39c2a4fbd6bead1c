"""Each method and each transfer has its awaitable form, with the same parameters."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest

import rbd
import rbd.aio
import rbd.aio.transfer
import rbd.transfer
from rbd.aio._methods import RADOS

#: Methods that describe the object itself, without I/O. They are not awaited.
PLAIN = {"require_not_closed"}
#: Methods that belong to the calls with callbacks, and do not have an awaitable form.
ONLY_CALLBACKS = {"poll_io_events", "set_image_notification"}
#: Calls with callbacks whose awaitable form has another name than theirs without the prefix.
RENAMED = {"open_image": "open"}
PAIRS: Tuple[Tuple[type, type], ...] = (
    (rbd.Image, rbd.aio.AsyncImage),
    (rbd.RBD, rbd.aio.RBD),
    (rbd.Group, rbd.aio.Group),
)


def public_methods(cls: type) -> List[str]:
    return [
        name
        for name in vars(cls)
        if not name.startswith("_") and not isinstance(inspect.getattr_static(cls, name), property)
    ]


METHODS = [
    (source, twin, name)
    for source, twin in PAIRS
    for name in public_methods(source)
    if not name.startswith("aio_")
    and name not in ONLY_CALLBACKS
    and callable(getattr(source, name))
]
TRANSFERS = [
    name for name in rbd.transfer.__all__ if inspect.isfunction(getattr(rbd.transfer, name))
]


def parameters(function: Callable[..., Any]) -> List[Tuple[str, Any, Any]]:
    return [
        (one.name, one.kind, one.default)
        for one in inspect.signature(function).parameters.values()
        if one.name != "self"
    ]


def test_the_table_has_every_topic() -> None:
    assert len(METHODS) >= 180
    assert len(TRANSFERS) == 9


@pytest.mark.parametrize(
    ("source", "twin", "name"), METHODS, ids=[f"{s.__name__}.{n}" for s, _, n in METHODS]
)
def test_a_method_has_its_awaitable_form(source: type, twin: type, name: str) -> None:
    assert hasattr(twin, name), f"{twin.__name__} does not have {name}"
    method = getattr(twin, name)
    assert parameters(method) == parameters(getattr(source, name))
    assert inspect.iscoroutinefunction(method) == (name not in PLAIN)
    assert method.__doc__
    assert method.__qualname__.split(".")[-1] == method.__name__ == name


@pytest.mark.parametrize("name", TRANSFERS)
def test_a_transfer_has_its_awaitable_form(name: str) -> None:
    function = getattr(rbd.aio.transfer, name)
    assert parameters(function) == parameters(getattr(rbd.transfer, name))
    assert inspect.iscoroutinefunction(function)
    assert name in rbd.aio.transfer.__all__


@pytest.mark.parametrize("cls", [rbd.Image, rbd.RBD])
def test_a_call_with_callbacks_has_an_awaitable_form(cls: type) -> None:
    twin = dict(PAIRS)[cls]
    names = [name[4:] for name in public_methods(cls) if name.startswith("aio_")]
    assert names
    for name in names:
        home = rbd.aio if name in RENAMED else twin
        if name in ("compare_and_writev", "write_with_crc32c"):
            continue  # forms of compare_and_write and write
        assert hasattr(home, RENAMED.get(name, name)), name


def test_images_and_groups_have_their_properties() -> None:
    for source, twin in PAIRS:
        for name, value in vars(source).items():
            if isinstance(value, property) and not name.startswith("_"):
                assert isinstance(getattr(twin, name), property), name


@pytest.mark.parametrize("name", RADOS)
def test_a_call_of_a_connection_has_its_awaitable_form(name: str) -> None:
    method = getattr(rbd.aio.AsyncRados, name)
    assert parameters(method) == parameters(getattr(rbd.rados.Rados, name))
    assert inspect.iscoroutinefunction(method)


def test_connect_and_open_take_the_same_arguments() -> None:
    assert parameters(rbd.aio.connect) == parameters(rbd.connect)
    wanted = [one[0] for one in parameters(rbd.Image.__init__)]
    assert [one[0] for one in parameters(rbd.aio.open)] == [
        name for name in wanted if not name.startswith("_")
    ]


def test_the_stubs_are_up_to_date() -> None:
    tool = Path(__file__).parents[1] / "tools" / "aio_stubs.py"
    if not tool.exists():
        pytest.skip("the tools are not beside the tests")
    done = subprocess.run(
        [sys.executable, str(tool), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_stubs_name_only_existing_methods() -> None:
    package = Path(rbd.aio.__file__).parent
    stub = ast.parse((package / "_methods.pyi").read_text())
    for cls in stub.body:
        if not isinstance(cls, ast.ClassDef):
            continue
        made = getattr(__import__("rbd.aio._methods", fromlist=["_"]), cls.name)
        named = {node.name for node in cls.body if isinstance(node, ast.AsyncFunctionDef)}
        assert named == {name for name in vars(made) if not name.startswith("_")}
