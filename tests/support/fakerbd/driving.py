"""Every public method, with arguments that reach librbd, and what each leaves behind."""

from __future__ import annotations

import contextlib
import errno
import gc
import itertools
from typing import Any, Callable, Dict, List, Optional

import rbd
from rbd import exceptions
from support.public_surface import candidates, methods, public_classes, required

from . import Kind, Shim

# Each code with a separate class, the codes that are treated specially, and some others.
CODES = sorted(
    {*exceptions.errno_to_exception, *exceptions.group_errno_to_exception}
    | {errno.ERANGE, errno.EILSEQ, errno.ENODATA}
    | {errno.EACCES, errno.ENOMEM, errno.EINTR, errno.EAGAIN, errno.EFBIG, errno.ENOTCONN, 4095}
)

# Methods whose calls of librbd cannot fail, or that end an object.
NOT_DRIVEN = {"close", "require_not_closed", "version"}


class Driven:
    """A method, or a class to construct, with arguments that reach librbd."""

    def __init__(self, name: str, function: Callable[..., Any], arguments: Dict[str, Any]) -> None:
        self.name = name
        self.function = function
        self.arguments = arguments

    def __call__(self) -> Any:
        result = self.function(**self.arguments)
        # An iterator may call librbd only when it is used.
        if hasattr(result, "__next__"):
            result = list(result)
        return result


def drive(
    shim: Shim, name: str, function: Callable[..., Any], ioctx: Any, image: Any
) -> Optional[Driven]:
    """Find arguments with which the function reaches librbd, while every call of librbd fails."""
    names = required(function)
    if names is None:
        return None
    choices = [candidates(parameter, ioctx, image) for parameter in names]
    for values in itertools.islice(itertools.product(*choices), 3000):
        driven = Driven(name, function, dict(zip(names, values)))
        shim.last()
        with shim.fault("*", Kind.ERROR, errno.EIO), contextlib.suppress(Exception):
            driven()
        if shim.last() is not None:
            return driven
    return None


def everything(shim: Shim, ioctx: Any, image: Any) -> List[Driven]:
    """Return every public class that can be constructed, and every method of a public class."""
    found: List[Driven] = []
    subjects: Dict[str, Any] = {"RBD": rbd.RBD(), "Image": image}
    for name, cls in public_classes():
        if name == "RBD":
            continue
        if name == "Image":
            found.append(Driven("Image()", cls, {"ioctx": ioctx, "name": "nothing"}))
            continue
        made = drive(shim, f"{name}()", cls, ioctx, image)
        if made is not None:
            found.append(made)
        elif required(cls) is not None:
            # Its constructor does not call librbd, but its methods do.
            for values in ((ioctx, "group"), (image,), (image, "snap"), (ioctx, "group", "snap")):
                with contextlib.suppress(TypeError):
                    subjects[name] = cls(*values)
                    break
    for subject_name, subject in subjects.items():
        for name in sorted({*methods(subject)} - NOT_DRIVEN):
            method = getattr(subject, name)
            driven = drive(shim, f"{subject_name}.{name}", method, ioctx, image)
            if driven is not None:
                found.append(driven)
    return found


# The calls that create something, by those that destroy it.
PAIRS = [
    (["rbd_open", "rbd_open_read_only", "rbd_open_by_id", "rbd_open_by_id_read_only"], "rbd_close"),
    (["rbd_image_options_create"], "rbd_image_options_destroy"),
    (["rbd_pool_stats_create"], "rbd_pool_stats_destroy"),
    (["rbd_aio_create_completion"], "rbd_aio_release"),
    (["rbd_update_watch"], "rbd_update_unwatch"),
    (["rbd_quiesce_watch"], "rbd_quiesce_unwatch"),
    (["rados_ioctx_create", "rados_ioctx_create2"], "rados_ioctx_destroy"),
    (["rados_aio_create_completion", "rados_aio_create_completion2"], "rados_aio_release"),
    (["rados_create_write_op"], "rados_release_write_op"),
    (["rados_create_read_op"], "rados_release_read_op"),
    (["rados_nobjects_list_open"], "rados_nobjects_list_close"),
    (["rados_getxattrs"], "rados_getxattrs_end"),
    (["rados_watch3"], "rados_unwatch2"),
]


def balance(shim: Shim) -> List[int]:
    """Return how many handles of each kind exist."""
    gc.collect()
    return [sum(map(shim.good, makers)) - shim.calls(ender) for makers, ender in PAIRS]
