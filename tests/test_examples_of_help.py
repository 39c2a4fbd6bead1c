"""The examples of the docstrings do what they say, on a real cluster."""

from __future__ import annotations

import doctest
import inspect
from typing import Any, Callable, Dict, List

import pytest

import rbd

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


EXAMPLES = with_examples()
FUNCTIONS = {"connect": rbd.connect, "open": rbd.open, "supports": rbd.supports}
EXAMPLES.update({name: inspect.getdoc(value) or "" for name, value in FUNCTIONS.items()})


def test_the_most_used_calls_have_one() -> None:
    assert not MOST_USED - {*EXAMPLES}


def clone(ioctx: Any) -> None:
    rbd.RBD().create(ioctx, "base", 8 * MIB)
    with rbd.Image(ioctx, "base") as base:
        base.create_snap("golden")
        base.protect_snap("golden")
    rbd.RBD().clone(ioctx, "base", "golden", ioctx, "vm1")


#: What is there before an example, if it is not the image and its snapshot alone.
STAGES: Dict[str, Callable[[Any, Any], object]] = {
    "RBD.create": lambda ioctx, image: rbd.RBD().remove(ioctx, "disk1"),
    "RBD.clone": lambda ioctx, image: rbd.RBD().create(ioctx, "base", 8 * MIB),
    "Image.flatten": lambda ioctx, image: clone(ioctx),
    "Image.parent_info": lambda ioctx, image: clone(ioctx),
    "Image.create_snap": lambda ioctx, image: image.remove_snap("monday"),
    "Image.unprotect_snap": lambda ioctx, image: image.protect_snap("monday"),
}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example(
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
