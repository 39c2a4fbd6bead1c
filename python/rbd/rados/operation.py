"""Operations as context managers, under the stock module's names."""

from __future__ import annotations

from ._bound import ReadOp, WriteOp

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self


class OpCtx:
    """Create an operation at the beginning of a `with` block, and free it at its end."""

    create: Any
    _release_if_created: Any

    def __enter__(self) -> Self:
        return self.create()  # type: ignore[no-any-return]

    def __exit__(self, type: Any, msg: Any, traceback: Any) -> None:
        self._release_if_created()


class WriteOpCtx(WriteOp, OpCtx):
    """A `WriteOp` for a `with` block, which creates and frees it.

    Parameters
    ----------
    ioctx
        Ignored. Older programs pass the I/O context.

    Examples
    --------
    >>> with rbd.rados.WriteOpCtx() as update:
    ...     update.append(b", world")
    ...     ioctx.operate_write_op(update, "greeting")
    >>> ioctx.read("greeting")
    b'hello, world'
    """

    def __init__(self, ioctx: Any = None) -> None:
        super().__init__()


class ReadOpCtx(ReadOp, OpCtx):
    """A `ReadOp` for a `with` block, which creates and frees it.

    Parameters
    ----------
    ioctx
        Ignored. Older programs pass the I/O context.
    """

    def __init__(self, ioctx: Any = None) -> None:
        super().__init__()
