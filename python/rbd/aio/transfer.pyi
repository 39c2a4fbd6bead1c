"""Written by tools/aio_stubs.py."""

import asyncio
from typing import Any, AsyncIterable, AsyncIterator, List, Mapping, Optional, Tuple, Union

from .. import _pipeline
from .._core import Image
from ..transfer import DiffDescription as DiffDescription
from ..transfer import StreamDescription as StreamDescription
from ..transfer.progress import ProgressFunction
from ..transfer.source import StreamArgument
from .image import AsyncImage

__all__: List[str]

_Source = Union[StreamArgument, AsyncIterable[bytes], asyncio.StreamReader]
_Dest = Union[StreamArgument, asyncio.StreamWriter]

async def apply_diff(
    source: _Source,
    path: Any,
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    expected: Optional[Tuple[str, str]] = None,
    sparse_size: int = 4096,
    fsync: bool = True,
) -> Optional[str]: ...
async def describe(source: _Source) -> StreamDescription: ...
async def digest(
    image: Union[Image, AsyncImage],
    checksum: str = "sha256",
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> str: ...
async def export_diff(
    image: Union[Image, AsyncImage],
    dest: _Dest,
    from_snapshot: Optional[str] = None,
    *,
    whole_object: bool = False,
    include_parent: bool = True,
    diff_format: int = 1,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
    fsync: bool = True,
) -> Optional[str]: ...
async def export_image(
    image: Union[Image, AsyncImage],
    dest: _Dest,
    *,
    export_format: int = 1,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
    fsync: bool = True,
) -> Optional[str]: ...
async def import_diff(
    source: _Source,
    image: Union[Image, AsyncImage],
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
    expected: Optional[Tuple[str, str]] = None,
    sparse_size: int = 4096,
    allow_changed: bool = False,
) -> Optional[str]: ...
async def import_image(
    source: _Source,
    ioctx: Any = None,
    name: Optional[str] = None,
    *,
    into: Optional[Union[Image, AsyncImage]] = None,
    export_format: Optional[int] = None,
    format: Optional[str] = None,
    sparse_size: int = 4096,
    skip_equal: bool = False,
    order: Optional[int] = None,
    object_size: Optional[int] = None,
    old_format: bool = False,
    features: Optional[int] = None,
    stripe_unit: Optional[int] = None,
    stripe_count: Optional[int] = None,
    data_pool: Optional[str] = None,
    journal_order: Optional[int] = None,
    journal_splay_width: Optional[int] = None,
    journal_pool: Optional[str] = None,
    mirror_image_mode: Optional[int] = None,
    metadata: Optional[Mapping[str, str]] = None,
    expected: Optional[Tuple[str, str]] = None,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> Optional[str]: ...
async def merge_diff(
    first: _Source,
    second: _Source,
    dest: _Dest,
    *,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
    diff_format: int = 1,
    queue_depth: Optional[int] = None,
    fsync: bool = True,
    expected: Optional[Tuple[str, str]] = None,
    expected_first: Optional[Tuple[str, str]] = None,
    expected_second: Optional[Tuple[str, str]] = None,
) -> Optional[str]: ...
async def verify(
    source: _Source,
    *,
    expected: Optional[Tuple[str, str]] = None,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    checksum: Optional[str] = None,
) -> Optional[str]: ...
def stream_image(
    image: AsyncImage,
    *,
    export_format: int = 1,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> AsyncIterator[bytes]: ...
def stream_diff(
    image: AsyncImage,
    from_snapshot: Optional[str] = None,
    *,
    whole_object: bool = False,
    on_progress: Optional[ProgressFunction] = None,
    progress: bool = False,
    queue_depth: int = _pipeline.QUEUE_DEPTH,
) -> AsyncIterator[bytes]: ...
