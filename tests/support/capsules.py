"""The capsule through which another extension uses an open image, from ctypes."""

from __future__ import annotations

import ctypes
from typing import Any, Dict

NAME = b"rbdxx.image.v1"


class Function(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("pointer", ctypes.c_void_p))


class Lent(ctypes.Structure):
    """An rbdxx_image_v1, as its header has it."""


# The functions' types name the structure itself.
Lent._fields_ = (
    ("size", ctypes.c_size_t),
    ("image", ctypes.c_void_p),
    ("acquire", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Lent))),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(Lent))),
    ("functions", ctypes.POINTER(Function)),
    ("function_count", ctypes.c_size_t),
)


def lent_by(capsule: object) -> Any:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return ctypes.cast(get(capsule, NAME), ctypes.POINTER(Lent))


def functions(lent: Any) -> Dict[str, int]:
    table = (lent.contents.functions[i] for i in range(lent.contents.function_count))
    return {entry.name.decode(): entry.pointer for entry in table}
