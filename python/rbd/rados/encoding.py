"""Text for librados' C API, under the stock module's names."""

from __future__ import annotations

from itertools import chain

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Sequence, Union


def cstr(
    val: Union[str, bytes, None], name: str, encoding: str = "utf-8", opt: bool = False
) -> Optional[bytes]:
    """Return a text as bytes.

    Parameters
    ----------
    val
        The text, as str or bytes.
    name
        What the message of an exception calls it.
    encoding
        The encoding of a str.
    opt
        Whether `val` may be None.

    Returns
    -------
    The bytes, or None for None.

    Raises
    ------
    TypeError
        `val` is not a text.
    """
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
    """Return texts as bytes.

    Parameters
    ----------
    list_str
        The texts, as str or bytes.
    name
        What the message of an exception calls them.
    encoding
        The encoding of a str.

    Returns
    -------
    A list of bytes.

    Raises
    ------
    TypeError
        One of them is not a text.
    """
    return [cstr(text, name, encoding) for text in list_str]


def decode_cstr(val: Optional[bytes], encoding: str = "utf-8") -> Optional[str]:
    """Return bytes as a text.

    Parameters
    ----------
    val
        The bytes.
    encoding
        The encoding.

    Returns
    -------
    The text, or None for None.
    """
    return None if val is None else val.decode(encoding)


def flatten_dict(d: Dict[str, str], name: str) -> bytes:
    """Return the keys and values of a dict as bytes, each ending with a NUL.

    Parameters
    ----------
    d
        The dict.
    name
        What the message of an exception calls it.

    Returns
    -------
    The first key, its value, the second key, and so on.

    Raises
    ------
    TypeError
        A key or a value is not a text.
    ValueError
        A key or a value contains a NUL.
    """
    items = chain.from_iterable(d.items())
    texts = [cstr(item, name) or b"" for item in items]
    if any(b"\0" in text for text in texts):
        raise ValueError(f"{name} must not contain NUL")
    return b"".join(text + b"\0" for text in texts)
