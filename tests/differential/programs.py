"""The calls of services on images, in their usual order.

The services are an image service, a volume driver, a hypervisor's driver, a container storage
plug-in and a backup tool.
"""

STEPS = r"""

exec def attempt(call, *a, **k):\n    try:\n        call(*a, **k)\n    except Exception as e:\n        return e
exec def shown(pairs): return sorted((k, v) for k, v in pairs)

exec features = int(rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF)
R.create(io, "glance-1", 0, 22, old_format=False, features=features)
exec image = rbd.Image(io, "glance-1")
image.resize(4 << 20)
image.write(b"\x07" * (1 << 20), 0)
image.write(b"\x08" * (3 << 20), 1 << 20)
image.resize(8 << 20)
image.write(b"\x09" * 1000, 4 << 20)
image.resize((4 << 20) + 1000)
image.flush()
image.size()
image.stat()["size"], image.stat()["num_objs"], image.stat()["order"]
image.create_snap("snap")
image.protect_snap("snap")
image.close()
type(attempt(R.remove, io, "glance-1")).__name__
exec image = rbd.Image(io, "glance-1", snapshot="snap", read_only=True)
[len(image.read(at, 1 << 20)) for at in range(0, image.size(), 1 << 20)]
image.write(b"x", 0)
image.close()
exec image = rbd.Image(io, "glance-1")
type(attempt(image.remove_snap, "snap")).__name__
image.is_protected_snap("snap")

R.clone(io, "glance-1", "snap", io, "volume-1", features=features, order=22)
exec volume = rbd.Image(io, "volume-1")
volume.parent_info()
volume.overlap()
volume.size()
volume.resize(8 << 20)
volume.read(0, 4)
volume.read((4 << 20) + 998, 4)
volume.write(b"own", 0)
volume.list_lockers()
volume.metadata_set("readonly", "False")
volume.metadata_get("readonly")
volume.create_snap("snapshot-1")
volume.protect_snap("snapshot-1")
volume.close()
R.clone(io, "volume-1", "snapshot-1", io, "volume-2", features=features)
exec second = rbd.Image(io, "volume-2")
second.parent_info()
exec second.set_snap(None)
second.list_children()
exec volume = rbd.Image(io, "volume-1")
volume.set_snap("snapshot-1")
list(volume.list_children())
volume.set_snap(None)
type(attempt(volume.unprotect_snap, "snapshot-1")).__name__
exec progress = []
second.flatten(on_progress=lambda done, total: progress.append(done <= total))
set(progress)
type(attempt(second.parent_info)).__name__
second.read(0, 5)
second.close()
volume.unprotect_snap("snapshot-1")
volume.rename_snap("snapshot-1", "snapshot-1.deleted")
volume.remove_snap("snapshot-1.deleted")
[s["name"] for s in volume.list_snaps()]
volume.close()
R.rename(io, "volume-1", "volume-1.deleted")
R.list(io)
R.trash_move(io, "volume-1.deleted", 0)
[(e["name"], e["source"]) for e in R.trash_list(io)]
R.trash_remove(io, next(iter(R.trash_list(io)))["id"])
R.remove(io, "volume-2")
image.unprotect_snap("snap")
image.remove_snap("snap")
image.close()
R.remove(io, "glance-1")
R.list(io)

R.create(io, "disk", 8 << 20, features=features)
exec disk = rbd.Image(io, "disk", read_only=False)
disk.lock_exclusive("host-1")
sorted(disk.list_lockers())
[len(locker) for locker in disk.list_lockers()["lockers"]], disk.list_lockers()["exclusive"]
exec again = rbd.Image(io, "disk", read_only=True)
type(attempt(again.lock_exclusive, "host-2")).__name__
type(attempt(again.lock_shared, "host-2", "tag")).__name__
disk.unlock("host-1")
disk.list_lockers()
disk.break_lock("client.1", "host-1")
again.close()
disk.write(b"\xff" * 4096, 1 << 20)
disk.discard(1 << 20, 4096)
disk.read(1 << 20, 4) in (b"\xff" * 4, bytes(4))
[w["cookie"] > 0 for w in disk.watchers_list()]
disk.close()
exec [disk_id] = [e["id"] for e in R.list2(io) if e["name"] == "disk"]
rbd.Image(io, image_id=disk_id).get_name()
R.trash_move(io, "disk", 1000000)
type(attempt(R.trash_remove, io, disk_id)).__name__
R.trash_get(io, disk_id)["name"]
R.trash_restore(io, disk_id, "")
type(attempt(R.trash_restore, io, disk_id, "disk")).__name__
R.list(io)

R.create(io, "csi-vol", 8 << 20, features=features)
exec vol = rbd.Image(io, "csi-vol")
vol.metadata_set("csi.storage.k8s.io/pvc/name", "claim")
vol.metadata_set("csi.storage.k8s.io/pv/name", "pv-é")
vol.metadata_set("long", "v" * 5000)
shown(vol.metadata_list()) if not hasattr(vol.metadata_list(), "items") else 0
vol.metadata_get("long") == "v" * 5000
vol.metadata_remove("long")
vol.metadata_remove("long")
R.namespace_create(io, "tenant")
exec nio = cluster.open_ioctx("rbd")
exec nio.set_namespace("tenant")
vol.deep_copy(nio, "csi-copy")
R.list(nio)
shown(rbd.Image(nio, "csi-copy").metadata_list())
type(attempt(R.namespace_remove, io, "tenant")).__name__
R.remove(nio, "csi-copy")
R.namespace_remove(io, "tenant")
nio.close()
vol.create_snap("csi-snap")
exec parent_id = vol.id()
exec snap_id = vol.snap_get_id("csi-snap")
vol.get_snap_limit() > 0
vol.set_snap_limit(1)
type(attempt(vol.create_snap, "more")).__name__
vol.remove_snap_limit()
R.group_create(io, "csi-group")
exec group = rbd.Group(io, "csi-group")
group.add_image(io, "csi-vol")
[(m["name"], m["state"]) for m in group.list_images()]
group.create_snap("at-once")
[(s["name"], s["state"]) for s in group.list_snaps()]
[(s["name"].startswith(".group"), s["namespace"]) for s in vol.list_snaps()]
type(attempt(R.remove, io, "csi-vol")).__name__
group.remove_snap("at-once")
group.remove_image(io, "csi-vol")
R.group_remove(io, "csi-group")
vol.remove_snap("csi-snap")

vol.write(b"one" * 1000, 0)
vol.create_snap("backup-1")
vol.write(b"two" * 1000, 4 << 20)
vol.discard(0, 65536)
vol.create_snap("backup-2")
vol.close()
exec vol = rbd.Image(io, "csi-vol", "backup-2", True)
exec extents = []
exec vol.diff_iterate(0, vol.size(), None, lambda o, l, e: extents.append((o, l, e)))
extents
exec extents.clear()
exec vol.diff_iterate(0, vol.size(), "backup-1", lambda o, l, e: extents.append((o, l, e)))
extents
exec extents.clear()
exec vol.diff_iterate(0, vol.size(), "backup-1", lambda o, l, e: extents.append((o, l, e)), True, True)
extents
exec extents.clear()
exec vol.diff_iterate(1 << 20, 4 << 20, from_snapshot="backup-1", iterate_cb=lambda o, l, e: extents.append((o, l, e)), whole_object=True)
extents
exec extents.clear()
exec vol.diff_iterate(offset=0, length=0, from_snapshot=None, iterate_cb=lambda o, l, e: extents.append((o, l, e)))
extents
vol.diff_iterate(0, vol.size() + 1, None, lambda o, l, e: None)
vol.diff_iterate(vol.size(), 1, None, lambda o, l, e: None)
vol.diff_iterate(0, vol.size(), "backup-1", lambda o, l, e: -1)
vol.diff_iterate(0, vol.size(), "backup-1", lambda o, l, e: -125)
vol.diff_iterate(0, vol.size(), "backup-2", lambda o, l, e: -125)
b"".join(vol.read(at, 1 << 20)[:3] for at in range(0, vol.size(), 1 << 20))
vol.close()
exec vol = rbd.Image(io, "csi-vol")
vol.rollback_to_snap("backup-1")
vol.read(0, 3), vol.read(4 << 20, 3)
exec answers = []
exec done = vol.aio_write(b"async", 0, lambda c: answers.append(c.get_return_value()))
done.wait_for_complete_and_cb()
answers, done.is_complete(), done.get_return_value()
exec done = vol.aio_read(0, 5, lambda c, data: answers.append(data))
done.wait_for_complete_and_cb()
answers, done.get_return_value()
exec done = vol.aio_read((8 << 20) - 2, 5, lambda c, data: answers.append(data))
done.wait_for_complete_and_cb()
answers[-1], done.get_return_value()
exec done = vol.aio_discard(0, 65536, lambda c: answers.append("discarded"))
done.wait_for_complete_and_cb()
exec done = vol.aio_write_zeroes(0, 4096, lambda c: answers.append("zeroed"))
done.wait_for_complete_and_cb()
exec done = vol.aio_flush(lambda c: answers.append("flushed"))
done.wait_for_complete_and_cb()
answers[-3:]
exec done = vol.aio_write(b"beyond", 9 << 20, lambda c: answers.append(c.get_return_value()))
done.wait_for_complete_and_cb()
answers[-1], done.get_return_value()
exec [vol.remove_snap(s["name"]) for s in list(vol.list_snaps())]
vol.close()
R.remove(io, "csi-vol", on_progress=lambda done, total: answers.append(done))
answers[-1]
R.list(io), list(R.trash_list(io)), R.group_list(io), R.namespace_list(io)

R.create(io, "naïve-ü-漢", 1 << 20)
R.create(io, "naïve-ü-漢".encode(), 1 << 20)
R.list(io)
R.create(io, b"\xff\xfe", 1 << 20)
[name for name in R.list(io) if name < "e" or name > "z"]
R.remove(io, b"\xff\xfe")
R.rename(io, "naïve-ü-漢", " with space ")
exec odd = rbd.Image(io, " with space ")
odd.get_name()
odd.create_snap("schnappschuß")
[s["name"] for s in odd.list_snaps()]
odd.snap_exists("schnappschuß"), odd.snap_exists("schnappschuß".encode())
odd.remove_snap("schnappschuß".encode())
odd.metadata_set("", "empty")
odd.metadata_get("")
odd.metadata_set("empty", "")
odd.metadata_get("empty")
exec [odd.metadata_remove(k) for k, v in list(odd.metadata_list())]
odd.read(0, 0), odd.read(1 << 20, 0)
odd.read((1 << 20) + 1, 0)
odd.read(2 ** 63, 1)
odd.read(2 ** 64 - 1, 1)
odd.write(b"", 1 << 20)
odd.write(b"", (1 << 20) + 1)
odd.write(b"x", 2 ** 63)
odd.discard(2 ** 63, 1)
odd.discard(0, 2 ** 63)
odd.write_zeroes(0, 0)
odd.write_zeroes(2 ** 63, 1)
odd.resize(0)
odd.size(), odd.stat()["num_objs"]
odd.read(0, 1)
odd.write(b"x", 0)
odd.resize(2 ** 62)
odd.resize(1 << 50)
odd.size()
odd.read((1 << 50) - 5, 10)
odd.resize(1 << 20)
odd.update_features(0, True)
odd.update_features(rbd.RBD_FEATURE_JOURNALING, True)
odd.features() & rbd.RBD_FEATURE_JOURNALING > 0
odd.update_features(rbd.RBD_FEATURE_JOURNALING, False)
odd.update_features(1 << 50, True)
odd.encryption_load(99, "x")
odd.encryption_format(99, "x")
odd.close()
R.remove(io, " with space ")
R.mirror_mode_get(io)
R.mirror_image_status_summary(io)
list(R.mirror_image_status_list(io)), list(R.mirror_image_info_list(io)), list(R.mirror_image_instance_id_list(io))
R.mirror_peer_bootstrap_create(io)
R.mirror_peer_bootstrap_import(io, rbd.RBD_MIRROR_PEER_DIRECTION_RX, "token")
R.mirror_peer_set_attributes(io, "none", {})
R.mirror_peer_get_attributes(io, "none")
R.mirror_mode_set(io, rbd.RBD_MIRROR_MODE_POOL)
R.create(io, "journaled", 1 << 20, features=125)
exec j = rbd.Image(io, "journaled")
j.mirror_image_get_mode()
sorted(j.mirror_image_get_info().items())[1:]
j.mirror_image_demote()
j.write(b"x", 0)
j.mirror_image_promote(True)
j.mirror_image_disable(True)
j.close()
R.remove(io, "journaled")
R.mirror_mode_set(io, rbd.RBD_MIRROR_MODE_DISABLED)
R.create(io, "old", 1 << 20, old_format=True)
exec old = rbd.Image(io, "old")
old.old_format(), old.features(), old.stripe_unit(), old.stripe_count()
old.id()
old.create_timestamp()
old.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
old.is_exclusive_lock_owner()
old.create_snap("s")
old.protect_snap("s")
old.set_snap_limit(5)
old.mirror_image_get_info()
old.remove_snap("s")
old.close()
R.trash_move(io, "old")
R.remove(io, "old")
R.list(io)
""".strip().splitlines()  # noqa: E501 - a step is a line
STEPS = [step.replace("\\n", "\n") for step in STEPS if step]
