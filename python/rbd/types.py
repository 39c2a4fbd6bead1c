"""The types of arguments and results, for annotations. No program needs them to run.

The dicts that methods return have the keys of the stock module. Each is a TypedDict here. Sizes,
offsets and lengths are bytes. Times are datetimes in UTC, naive before Ceph 20.
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
    # For programs that evaluate annotations: whether an object is a buffer is only known when its
    # memory is requested.
    Buffer = Any

#: A name or other text: str is encoded as UTF-8 with surrogateescape.
Text = Union[str, bytes]
#: A snapshot: its name or its id.
Snapshot = Union[str, bytes, int]
#: on_progress(done, total). A negative int, such as -rbd.ECANCELED, stops what can be stopped.
OnProgress = Callable[[int, int], Optional[int]]
#: iterate_cb(offset, length, exists). A negative int ends the iteration as an error of that number.
OnExtent = Callable[[int, int, bool], Optional[int]]
#: oncomplete(completion) of asynchronous calls without a result.
OnComplete = Callable[["Completion"], object]
#: oncomplete(completion, data): None if the read failed.
OnRead = Callable[["Completion", Optional[bytes]], object]
#: oncomplete(completion, number): None if the call failed.
OnNumber = Callable[["Completion", Optional[int]], object]
#: oncomplete(completion, image): the image is closed if opening failed.
OnOpen = Callable[["Completion", "Image"], object]
#: oncomplete(completion, info): None if the call failed.
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
    # numpy declares its arrays as buffers only for type checkers of Python 3.12 and newer.
    @property
    def __array_interface__(self) -> Dict[str, Any]: ...


#: Memory: bytes, bytearray, memoryview, array, mmap, a numpy array ...
AnyBuffer = Union[Buffer, _NumpyArray]
#: An I/O context: ours, the stock module's, or a ctypes one.
AnyIoctx = Union["Ioctx", StockIoctx, CtypesIoctx]


# Images


class ImageEntry(TypedDict):
    """One image of `RBD.list2`."""

    id: str  # the image's id
    name: str  # the image's name


class ImageStat(TypedDict):
    """What `Image.stat` returns."""

    size: int  # bytes
    obj_size: int  # the size of an object in bytes
    num_objs: int  # how many objects the size takes
    order: int  # obj_size as a power of two
    block_name_prefix: str  # what the names of the objects begin with
    parent_pool: int  # always -1
    parent_name: str  # always ''


class _ParentSpec(TypedDict):
    pool_name: str  # the parent's pool
    pool_namespace: str  # its namespace; '' for none
    image_name: str  # the parent image
    snap_name: str  # the parent's snapshot


class ParentSpec(_ParentSpec, total=False):
    """What `Image.get_parent_image_spec` returns; more than names from Ceph 20 on."""

    pool_id: int  # the id of the pool
    image_id: str  # the id of the image
    trash: bool  # whether the parent is in the trash
    snap_id: int  # the id of the snapshot
    snap_namespace_type: int  # RBD_SNAP_NAMESPACE_TYPE_*


class ChildEntry(TypedDict):
    """One clone of `Image.list_children2` and `Image.list_descendants`."""

    pool: str  # the clone's pool
    pool_namespace: str  # its namespace; '' for none
    image: str  # the clone's name
    id: str  # the clone's id
    trash: bool  # whether the clone is in the trash


class ConfigEntry(TypedDict):
    """One option of `Image.config_list` and `RBD.config_list`."""

    name: str  # the option
    value: str  # its value, as text
    source: int  # RBD_CONFIG_SOURCE_*: where the value comes from


# Snapshots


class GroupSnapshotNamespace(TypedDict):
    """The group snapshot that a snapshot is part of: `Image.snap_get_group_namespace`."""

    pool: int  # the id of the group's pool
    name: str  # the group's name
    snap_name: str  # the group's snapshot


class _TrashSnapshotNamespace(TypedDict):
    original_name: str  # the name before the removal


class TrashSnapshotNamespace(_TrashSnapshotNamespace, total=False):
    """What a removed snapshot was: `Image.snap_get_trash_namespace`."""

    original_namespace_type: int  # RBD_SNAP_NAMESPACE_TYPE_*; from Ceph 20 on


class MirrorSnapshotNamespace(TypedDict):
    """What a snapshot of mirroring is: `Image.snap_get_mirror_namespace`."""

    state: int  # RBD_SNAP_MIRROR_STATE_*
    mirror_peer_uuids: List[str]  # the peers that still need it
    complete: bool  # whether all of it has been copied
    primary_mirror_uuid: str  # the site it was copied from; '' on the primary
    primary_snap_id: int  # the id of the snapshot there
    last_copied_object_number: int  # how far the copy is


class _SnapshotEntry(TypedDict):
    id: int  # the snapshot's id
    size: int  # the image's size then, in bytes
    name: str  # the snapshot's name
    namespace: int  # RBD_SNAP_NAMESPACE_TYPE_*


class SnapshotEntry(_SnapshotEntry, total=False):
    """One snapshot of `Image.list_snaps`.

    Of group, trash and mirror, the dict has the one of the snapshot's type. It is None if the
    snapshot was removed meanwhile.
    """

    group: Optional[GroupSnapshotNamespace]  # if the snapshot is of a group
    trash: Optional[TrashSnapshotNamespace]  # if it was removed while clones needed it
    mirror: Optional[MirrorSnapshotNamespace]  # if it is of mirroring


class TrashEntry(TypedDict):
    """What `RBD.trash_get` returns, and one image of `RBD.trash_list`."""

    id: str  # the image's id
    name: str  # the name it had
    source: str  # 'USER', 'MIRRORING', 'MIGRATION', 'REMOVING' or 'USER_PARENT'
    deletion_time: datetime.datetime  # when it was moved to the trash
    deferment_end_time: datetime.datetime  # until when the trash keeps it


class MigrationStatus(TypedDict):
    """What `RBD.migration_status` returns."""

    source_pool_id: int  # -1 if it is imported
    source_pool_namespace: str  # '' for none
    source_image_name: str  # '' if it is imported
    source_image_id: str  # '' if it is imported
    dest_pool_id: int  # the id of the destination's pool
    dest_pool_namespace: str  # '' for none
    dest_image_name: str  # the name at the destination
    dest_image_id: str  # the id at the destination
    state: int  # RBD_IMAGE_MIGRATION_STATE_*
    state_description: str  # more about the state, such as an error


# Locks, watchers


class LockerList(TypedDict):
    """What `Image.list_lockers` returns if somebody holds a lock."""

    tag: str  # what the holders of a shared lock agree on
    exclusive: bool  # whether nobody else can share it
    lockers: List[Tuple[str, str, str]]  # client, cookie and address of each holder


class LockOwner(TypedDict):
    """One holder of `Image.lock_get_owners`."""

    mode: int  # RBD_LOCK_MODE_*
    owner: str  # the client, as lock_break takes it


class Watcher(TypedDict):
    """One client of `Image.watchers_list`."""

    addr: str  # the client's address
    id: int  # the client's number
    cookie: int  # the number of its watch


# Groups


class ImageGroup(TypedDict):
    """What `Image.group` returns."""

    pool: int  # the id of the group's pool; -1 for none
    name: str  # the group's name; '' for none


class GroupImageEntry(TypedDict):
    """One image of `Group.list_images`."""

    name: str  # the image's name
    pool: int  # the id of its pool
    state: int  # RBD_GROUP_IMAGE_STATE_*


class GroupSnapshotMember(TypedDict):
    """One image's part of a group snapshot."""

    pool_id: int  # the id of the image's pool
    snap_id: int  # the id of the image's snapshot
    image_name: str  # the image's name


class _GroupSnapshotEntry(TypedDict):
    name: str  # the snapshot's name
    state: int  # RBD_GROUP_SNAP_STATE_*


class GroupSnapshotEntry(_GroupSnapshotEntry, total=False):
    """One snapshot of `Group.list_snaps`; more than name and state from Ceph 20 on."""

    id: str  # the snapshot's id
    namespace_type: int  # RBD_GROUP_SNAP_NAMESPACE_TYPE_*
    image_snap_name: str  # the name of the images' snapshots
    image_snaps: List[GroupSnapshotMember]  # each image's part


class GroupSnapshot(TypedDict):
    """What `Group.get_snap_info` returns."""

    id: str  # the snapshot's id
    name: str  # the snapshot's name
    state: int  # RBD_GROUP_SNAP_STATE_*
    namespace_type: int  # RBD_GROUP_SNAP_NAMESPACE_TYPE_*
    image_snap_name: str  # the name of the images' snapshots
    image_snaps: List[GroupSnapshotMember]  # each image's part


# Pools


class PoolStats(TypedDict):
    """What `RBD.pool_stats_get` returns."""

    image_count: int  # how many images
    image_provisioned_bytes: int  # the sum of their sizes
    image_max_provisioned_bytes: int  # the same with the largest size among each one's snapshots
    image_snap_count: int  # how many snapshots they have
    trash_count: int  # how many images are in the trash
    trash_provisioned_bytes: int  # the sum of their sizes
    trash_max_provisioned_bytes: int  # the same with the largest size among each one's snapshots
    trash_snap_count: int  # how many snapshots they have


class IoctxStats(TypedDict):
    """What `rbd.rados.Ioctx.get_stats` returns."""

    num_bytes: int  # bytes that the objects take
    num_kb: int  # the same in KiB
    num_objects: int  # objects
    num_object_clones: int  # older versions of objects, for snapshots
    num_object_copies: int  # objects times replicas
    num_objects_missing_on_primary: int  # objects that their first OSD lacks
    num_objects_unfound: int  # objects that no OSD has
    num_objects_degraded: int  # objects with too few replicas
    num_rd: int  # reads since the pool was created
    num_rd_kb: int  # KiB read since then
    num_wr: int  # writes since then
    num_wr_kb: int  # KiB written since then


class ObjectLockers(TypedDict):
    """What `rbd.rados.Ioctx.list_lockers` returns."""

    tag: str  # what the holders of a shared lock agree on
    exclusive: bool  # whether nobody else can share it
    lockers: List[Tuple[str, str, str]]  # client, cookie and address of each holder


class ClusterStats(TypedDict):
    """What `rbd.rados.Rados.get_cluster_stats` returns."""

    kb: int  # KiB that the OSDs have
    kb_used: int  # KiB that are in use
    kb_avail: int  # KiB that are free
    num_objects: int  # objects of all pools


# Mirroring


class MirrorPeer(TypedDict):
    """One peer of `RBD.mirror_peer_list`."""

    uuid: str  # the peer's uuid
    direction: int  # RBD_MIRROR_PEER_DIRECTION_*
    site_name: str  # the name of its cluster
    cluster_name: str  # the same, under its older name
    mirror_uuid: str  # what the peer calls itself
    client_name: str  # the client to connect as


class MirrorInfo(TypedDict):
    """What `Image.mirror_image_get_info` returns."""

    global_id: str  # the same on every site; '' if it is not mirrored
    state: int  # RBD_MIRROR_IMAGE_*
    primary: bool  # whether clients can write it here


class MirrorInfoEntry(MirrorInfo):
    """The second of each pair of `RBD.mirror_image_info_list`."""

    mode: int  # RBD_MIRROR_IMAGE_MODE_*


class MirrorSite(TypedDict):
    """What another site's daemon reports of an image."""

    mirror_uuid: str  # the site
    state: int  # MIRROR_IMAGE_STATUS_STATE_*
    description: str  # more about the state
    last_update: datetime.datetime  # when the daemon reported it
    up: bool  # whether the daemon runs


class _MirrorStatus(TypedDict):
    name: str  # the image's name
    id: str  # the image's id
    state: int  # MIRROR_IMAGE_STATUS_STATE_*
    description: str  # more about the state
    last_update: datetime.datetime  # when the local daemon reported it
    up: bool  # whether the daemon runs
    remote_statuses: List[MirrorSite]  # the same of every other site


class MirrorStatus(_MirrorStatus):
    """What `Image.mirror_image_get_status` returns."""

    info: MirrorInfo  # as mirror_image_get_info() returns it


class ListedMirrorInfo(TypedDict):
    """`MirrorInfo` without what a pool's list does not know."""

    global_id: str  # the same on every site
    state: int  # RBD_MIRROR_IMAGE_*


class ListedMirrorStatus(_MirrorStatus):
    """One image of `RBD.mirror_image_status_list`."""

    info: ListedMirrorInfo  # without what the list does not know
