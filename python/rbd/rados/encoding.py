"""Text for librados' C API, under the stock module's names."""

from __future__ import annotations

from itertools import chain
from typing import Dict, List, Optional, Sequence, Union


def cstr(
    val: Union[str, bytes, None], name: str, encoding: str = "utf-8", opt: bool = False
) -> Optional[bytes]:
    """Return text as bytes; None as None if `opt`. Raises TypeError, which calls it `name`."""
    if opt and val is None:
        return None
    if isinstance(val, bytes):
        return val
    if isinstance(val, str):
        return val.encode(encoding)
    raise TypeError(f"{name} must be a string")


def cstr_list(
    list_str: Sequence[Union[str, bytes]], name: str, encoding: str = "utf-8"
) -> List[Optional[bytes]]:
    """Return texts as a list of bytes, as cstr() does."""
    return [cstr(text, name, encoding) for text in list_str]


def decode_cstr(val: Optional[bytes], encoding: str = "utf-8") -> Optional[str]:
    """Return bytes as text, None as None."""
    return None if val is None else val.decode(encoding)


def flatten_dict(d: Dict[str, str], name: str) -> bytes:
    """Return keys and values in turn, each ending with a NUL.

    Raises TypeError, which calls them `name`, and ValueError for a NUL in one of them.
    """
    items = chain.from_iterable(d.items())
    texts = [cstr(item, name) or b"" for item in items]
    if any(b"\0" in text for text in texts):
        raise ValueError(f"{name} must not contain NUL")
    return b"".join(text + b"\0" for text in texts)
