"""The types of what goes in and comes out, for annotations: nothing here is needed to run.

The dicts that methods give have the keys of the stock module; each is a TypedDict here. Sizes,
offsets and lengths are bytes; times are datetimes in UTC, naive before Ceph 20.
"""

from __future__ import annotations

import datetime
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Optional,
    Protocol,
    Tuple,
    TypedDict,
    Union,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer as Buffer

    from ._core import Completion, Image
    from .rados import Ioctx
else:
    # For those who evaluate annotations: what a buffer is shows when it is asked for one.
    Buffer = Any

#: A name or other text: str is encoded as UTF-8 with surrogateescape.
Text = Union[str, bytes]
#: Where a snapshot goes: its name or its number.
Snapshot = Union[str, bytes, int]
#: on_progress(done, total). A negative int stops what can be stopped, as in -rbd.ECANCELED.
OnProgress = Callable[[int, int], Optional[int]]
#: iterate_cb(offset, length, exists). A negative int ends the iteration as an error of that number.
OnExtent = Callable[[int, int, bool], Optional[int]]
#: oncomplete(completion) of asynchronous calls that give nothing.
OnComplete = Callable[["Completion"], object]
#: oncomplete(completion, data): None where the read failed.
OnRead = Callable[["Completion", Optional[bytes]], object]
#: oncomplete(completion, number): None where the call failed.
OnNumber = Callable[["Completion", Optional[int]], object]
#: oncomplete(completion, image): the image is closed where opening failed.
OnOpen = Callable[["Completion", "Image"], object]
#: oncomplete(completion, info): None where the call failed.
OnMirrorInfo = Callable[["Completion", Optional["MirrorInfo"]], object]


class StockIoctx(Protocol):
    """An open ioctx of the `rados` module that Ceph ships."""

    def get_last_version(self) -> int: ...
    def set_namespace(self, nspace: Any) -> None: ...
    def close(self) -> None: ...


class CtypesIoctx(Protocol):
    """An object that holds the C library's ioctx, as a ctypes pointer."""

    io: Any


class _NumpyArray(Protocol):
    # numpy says that its arrays are buffers to a type checker for Python 3.12 and newer only.
    @property
    def __array_interface__(self) -> Dict[str, Any]: ...


#: Whatever is taken for memory: bytes, bytearray, memoryview, array, mmap, a numpy array ...
AnyBuffer = Union[Buffer, _NumpyArray]
#: Whatever is taken for an I/O context.
AnyIoctx = Union["Ioctx", StockIoctx, CtypesIoctx]


# Images


class ImageEntry(TypedDict):
    """One image of RBD.list2()."""

    id: str
    name: str


class ImageStat(TypedDict):
    """Image.stat()."""

    size: int
    obj_size: int
    num_objs: int
    order: int
    block_name_prefix: str
    parent_pool: int
    parent_name: str


class _ParentSpec(TypedDict):
    pool_name: str
    pool_namespace: str
    image_name: str
    snap_name: str


class ParentSpec(_ParentSpec, total=False):
    """Image.get_parent_image_spec(); more than names since Ceph 20."""

    pool_id: int
    image_id: str
    trash: bool
    snap_id: int
    snap_namespace_type: int


class ChildEntry(TypedDict):
    """One clone of Image.list_children2() and list_descendants()."""

    pool: str
    pool_namespace: str
    image: str
    id: str
    trash: bool


class ConfigEntry(TypedDict):
    """One option of config_list(); source is RBD_CONFIG_SOURCE_*."""

    name: str
    value: str
    source: int


# Snapshots


class GroupOrigin(TypedDict):
    """Image.snap_get_group_namespace(): the group snapshot that a snapshot is part of."""

    pool: int
    name: str
    snap_name: str


class _TrashOrigin(TypedDict):
    original_name: str


class TrashOrigin(_TrashOrigin, total=False):
    """Image.snap_get_trash_namespace(); the type is known since Ceph 20."""

    original_namespace_type: int


class MirrorOrigin(TypedDict):
    """Image.snap_get_mirror_namespace(); state is RBD_SNAP_MIRROR_STATE_*."""

    state: int
    mirror_peer_uuids: List[str]
    complete: bool
    primary_mirror_uuid: str
    primary_snap_id: int
    last_copied_object_number: int


class _SnapshotEntry(TypedDict):
    id: int
    size: int
    name: str
    namespace: int


class SnapshotEntry(_SnapshotEntry, total=False):
    """One snapshot of Image.list_snaps(); namespace is RBD_SNAP_NAMESPACE_TYPE_*.

    Of group, trash and mirror there is the one of that type; None where it went meanwhile.
    """

    group: Optional[GroupOrigin]
    trash: Optional[TrashOrigin]
    mirror: Optional[MirrorOrigin]


class TrashEntry(TypedDict):
    """RBD.trash_get(), and one image of trash_list()."""

    id: str
    name: str
    source: str
    deletion_time: datetime.datetime
    deferment_end_time: datetime.datetime


class MigrationStatus(TypedDict):
    """RBD.migration_status(); state is RBD_IMAGE_MIGRATION_STATE_*."""

    source_pool_id: int
    source_pool_namespace: str
    source_image_name: str
    source_image_id: str
    dest_pool_id: int
    dest_pool_namespace: str
    dest_image_name: str
    dest_image_id: str
    state: int
    state_description: str


# Locks, watchers


class LockerList(TypedDict):
    """Image.list_lockers() where somebody holds a lock: (client, cookie, address) of each."""

    tag: str
    exclusive: bool
    lockers: List[Tuple[str, str, str]]


class LockOwner(TypedDict):
    """One holder of Image.lock_get_owners(); mode is RBD_LOCK_MODE_*."""

    mode: int
    owner: str


class Watcher(TypedDict):
    """One client of Image.watchers_list()."""

    addr: str
    id: int
    cookie: int


# Groups


class ImageGroup(TypedDict):
    """Image.group()."""

    pool: int
    name: str


class GroupImageEntry(TypedDict):
    """One image of Group.list_images(); state is RBD_GROUP_IMAGE_STATE_*."""

    name: str
    pool: int
    state: int


class GroupSnapshotMember(TypedDict):
    """One image's part of a group snapshot."""

    pool_id: int
    snap_id: int
    image_name: str


class _GroupSnapshotEntry(TypedDict):
    name: str
    state: int


class GroupSnapshotEntry(_GroupSnapshotEntry, total=False):
    """One snapshot of Group.list_snaps(); more than name and state since Ceph 20."""

    id: str
    namespace_type: int
    image_snap_name: str
    image_snaps: List[GroupSnapshotMember]


class GroupSnapshot(TypedDict):
    """Group.get_snap_info(); state is RBD_GROUP_SNAP_STATE_*."""

    id: str
    name: str
    state: int
    namespace_type: int
    image_snap_name: str
    image_snaps: List[GroupSnapshotMember]


# Pools


class PoolStats(TypedDict):
    """RBD.pool_stats_get()."""

    image_count: int
    image_provisioned_bytes: int
    image_max_provisioned_bytes: int
    image_snap_count: int
    trash_count: int
    trash_provisioned_bytes: int
    trash_max_provisioned_bytes: int
    trash_snap_count: int


class IoctxStats(TypedDict):
    """rbd.rados.Ioctx.get_stats()."""

    num_bytes: int
    num_kb: int
    num_objects: int
    num_object_clones: int
    num_object_copies: int
    num_objects_missing_on_primary: int
    num_objects_unfound: int
    num_objects_degraded: int
    num_rd: int
    num_rd_kb: int
    num_wr: int
    num_wr_kb: int


class ObjectLockers(TypedDict):
    """rbd.rados.Ioctx.list_lockers(): client, cookie and address of each."""

    tag: str
    exclusive: bool
    lockers: List[Tuple[str, str, str]]


class ClusterStats(TypedDict):
    """rbd.rados.Rados.get_cluster_stats()."""

    kb: int
    kb_used: int
    kb_avail: int
    num_objects: int


# Mirroring


class MirrorPeer(TypedDict):
    """One peer of RBD.mirror_peer_list(); direction is RBD_MIRROR_PEER_DIRECTION_*."""

    uuid: str
    direction: int
    site_name: str
    cluster_name: str
    mirror_uuid: str
    client_name: str


class MirrorInfo(TypedDict):
    """Image.mirror_image_get_info(); state is RBD_MIRROR_IMAGE_*."""

    global_id: str
    state: int
    primary: bool


class MirrorInfoEntry(MirrorInfo):
    """The second of each pair of RBD.mirror_image_info_list(); mode is RBD_MIRROR_IMAGE_MODE_*."""

    mode: int


class MirrorSite(TypedDict):
    """What another site's daemon says of an image; state is MIRROR_IMAGE_STATUS_STATE_*."""

    mirror_uuid: str
    state: int
    description: str
    last_update: datetime.datetime
    up: bool


class _MirrorStatus(TypedDict):
    name: str
    id: str
    state: int
    description: str
    last_update: datetime.datetime
    up: bool
    remote_statuses: List[MirrorSite]


class MirrorStatus(_MirrorStatus):
    """Image.mirror_image_get_status()."""

    info: MirrorInfo


class ListedMirrorInfo(TypedDict):
    """MirrorInfo without what a pool's list does not know."""

    global_id: str
    state: int


class ListedMirrorStatus(_MirrorStatus):
    """One image of RBD.mirror_image_status_list()."""

    info: ListedMirrorInfo
