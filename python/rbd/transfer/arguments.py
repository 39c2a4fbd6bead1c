"""Checks of a transfer's arguments, without I/O."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import sys

from .. import exceptions
from .._core import Image

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Collection, Optional, Tuple

_HEXADECIMAL = "0123456789abcdefABCDEF"


def check_image(image: Any) -> None:
    """Check that `image` is an image. Raises TypeError."""
    if not isinstance(image, Image):
        raise TypeError(f"image must be an rbd.Image, not {type(image).__name__}")


def unwrapped(stream: Any) -> Any:
    """Return the file in a file object of tempfile, which passes all calls on to it."""
    wrapper = getattr(sys.modules.get("tempfile"), "_TemporaryFileWrapper", None)
    return stream.file if wrapper is not None and type(stream) is wrapper else stream


def check_stream(role: str, stream: Any, method: str) -> None:
    """Check that a stream can be read ("read") or written ("write").

    It is a path, an open descriptor or an open file object. Raises TypeError, ValueError, OSError.
    """
    kinds = f"{role} must be a path, a descriptor or a binary file object"
    if isinstance(stream, type):
        raise TypeError(f"{kinds}, not the class {stream.__name__}")
    if isinstance(stream, (str, bytes)) or hasattr(stream, "__fspath__"):
        return
    if isinstance(stream, int) and not isinstance(stream, bool):
        os.fstat(stream)  # raises if it is not a descriptor
        access = fcntl.fcntl(stream, fcntl.F_GETFL) & os.O_ACCMODE
        if access == (os.O_WRONLY if method == "read" else os.O_RDONLY):
            raise OSError(errno.EBADF, f"{role} is a descriptor that is not open to {method}")
        return
    file = unwrapped(stream)
    if isinstance(file, io.TextIOBase):
        raise TypeError(f"{role} must be a binary file object, not a text file")
    if not callable(getattr(file, method, None)):
        raise TypeError(f"{kinds}, not {type(stream).__name__}")
    if getattr(file, "closed", False) is True:
        raise ValueError(f"{role} is a closed file")
    # Objects of other classes may not have these methods.
    able = "readable" if method == "read" else "writable"
    if type(file).__module__ == "_io" and not getattr(file, able)():
        raise io.UnsupportedOperation(f"{role} is a file that is not open to {method}")


def check_choice(name: str, value: Any, choices: Collection[int]) -> None:
    """Check that a number is one of the choices. Raises TypeError, ValueError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be int, not {type(value).__name__}")
    if value not in choices:
        listed = " or ".join(str(choice) for choice in choices)
        raise ValueError(f"{name} must be {listed}, not {value}")


def check_sparse_size(size: Any) -> None:
    """Check the length of runs of zeroes. Raises TypeError, ValueError."""
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"sparse_size must be int, not {type(size).__name__}")
    if size < 0:
        raise ValueError(f"sparse_size must be at least 0 bytes, not {size}")


def checked_name(argument: str, name: Any) -> str:
    """Return the name of an image or a snapshot as text. Raises TypeError, ValueError."""
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be str or bytes, not {type(name).__name__}")
    if "\0" in name:
        raise ValueError(f"{argument} must not contain a NUL character, but is {name!r}")
    return name


def new_hash(name: Any) -> Any:
    """Return a hash of hashlib's, or None for None. Raises TypeError, ValueError."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise TypeError(f"checksum must be str or None, not {type(name).__name__}")
    import hashlib  # takes a while, and most transfers do not need it

    made = hashlib.new(name)
    if not made.digest_size:
        raise ValueError(f"checksum must be a hash of a fixed length, not {name!r}")
    return made


class Digests:
    """The hashes of a stream: the requested one, and the expected one."""

    def __init__(self, checksum: Optional[str], expected: Any = None) -> None:
        self._asked = new_hash(checksum)
        self._wanted = ""
        self._compared: Any = None
        if expected is not None:
            name, self._wanted = _checked_expected(expected)
            same = self._asked is not None and name == checksum
            self._compared = self._asked if same else new_hash(name)

    def __bool__(self) -> bool:
        return self._asked is not None or self._compared is not None

    def update(self, data: Any) -> None:
        """Hash the next data of the stream."""
        if self._asked is not None:
            self._asked.update(data)
        if self._compared is not None and self._compared is not self._asked:
            self._compared.update(data)

    def copy(self) -> Digests:
        """Return the hashes as they are now."""
        made = Digests(None)
        made._wanted = self._wanted
        made._asked = None if self._asked is None else self._asked.copy()
        if self._compared is not None:
            same = self._compared is self._asked
            made._compared = made._asked if same else self._compared.copy()
        return made

    @property
    def checksum(self) -> Optional[str]:
        """The requested digest, in hexadecimal."""
        return None if self._asked is None else str(self._asked.hexdigest())

    @property
    def expects(self) -> bool:
        """Whether the stream must have a certain digest."""
        return self._compared is not None

    def check(self, position: int, what: str = "the stream") -> None:
        """Check that a stream which ends here is the expected one. Raises StreamError."""
        if self._compared is None:
            return
        found = self._compared.hexdigest()
        if found != self._wanted:
            raise exceptions.StreamError(
                f"{what} is not the expected one: its {self._compared.name} digest is {found}, "
                f"not {self._wanted}",
                position,
            )


def _checked_expected(expected: Any) -> Tuple[str, str]:
    """Return the name of a hash and the digest in lower case. Raises TypeError, ValueError."""
    if (
        not isinstance(expected, (tuple, list))
        or len(expected) != 2
        or not all(isinstance(part, str) for part in expected)
    ):
        raise TypeError(
            "expected must be a pair of a hash's name and its hexadecimal digest, as in "
            f"('sha256', '9f86...'), not {expected!r}"
        )
    name, digest = expected
    length = 2 * new_hash(name).digest_size
    if len(digest) != length or not all(digit in _HEXADECIMAL for digit in digest):
        raise ValueError(f"expected must have a {name} digest of {length} hexadecimal digits")
    return name, digest.lower()


def check_options(checksum: Optional[str], on_progress: Any, *expected: Any) -> None:
    """Check the arguments that all transfers take. Raises TypeError, ValueError."""
    new_hash(checksum)
    for pair in expected:
        Digests(None, pair)
    if on_progress is not None and not callable(on_progress):
        raise TypeError(f"on_progress must be callable or None, not {type(on_progress).__name__}")
