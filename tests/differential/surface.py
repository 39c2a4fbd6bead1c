"""Steps for each method and attribute of the module `rados` that no other step uses.

Each one is looked up in a variable, so that the runner can find its class.
"""

STEPS = r"""
exec u = cluster.open_ioctx("two"); u.set_namespace("surface"); u.write_full("u", b"0123456789"); u.set_xattr("u", "x", b"1")
exec def fails(call):\n    try:\n        return call()\n    except Exception as error:\n        return type(error).__name__, getattr(error, "errno", "none")
exec c = u.aio_write("u", b"x"); waited = c.wait_for_complete(), c.wait_for_safe(), c.wait_for_safe_and_cb(), c.wait_for_complete_and_cb(), c.is_safe(), c.is_complete()
waited
u.safe_completions, u.complete_completions
exec same = u.__enter__()
same is u
exec v = cluster.open_ioctx("two"); v.__exit__(None, None, None)
v.state, fails(lambda: v.read("u"))
exec with cluster.open_ioctx("two") as v: inside = v.state
inside, v.state
u.get_pool_name(), type(u.get_last_version()).__name__
type(u.lock).__name__
u.set_osdmap_full_try()
u.unset_osdmap_full_try()
u.lock_exclusive("locked", "l", "c", "about")
u.list_lockers("locked", "l")
u.break_lock("locked", "l", "client.1", "c")
u.break_lock("locked", "l", "client.%d" % cluster.get_instance_id(), "c")
u.list_lockers("locked", "l")
exec w = rados.WriteOp(); w.create(); u.set_omap(w, ("a", "b", "c"), (b"1", b"2", b"3")); u.operate_write_op(w, "u"); w.release()
exec w = rados.WriteOp().create(); u.remove_omap_range2(w, "a", "c"); u.operate_write_op(w, "u"); w.release()
exec r = rados.ReadOp(); r.create(); entries, _ = u.get_omap_vals(r, "", "", -1); r.set_flags(0); u.operate_read_op(r, "u"); r.release()
entries.ioctx is u, list(entries)
exec w = rados.WriteOp().create(); u.clear_omap(w); u.operate_write_op(w, "u"); w.release()
exec r = rados.ReadOp().create(); entries, _ = u.get_omap_vals(r, "", "", -1); u.operate_read_op(r, "u"); r.release()
list(entries)
exec rados.OmapIterator(5)
exec w = rados.WriteOpCtx(); same = w.__enter__(); w.zero(3, 3); u.operate_write_op(w, "u"); w.__exit__(None, None, None)
same is w
u.read("u")
exec one = rados.Object(u, "u", nspace="surface")
one.ioctx is u, re.sub("ioctx=.*?,key", "key", str(one))
one.set_xattr("y", b"2")
one.get_xattr("y")
one.rm_xattr("y")
one.rm_xattr("y")
exec listing = u.list_objects(); first = next(listing); rest = list(listing)
listing.ioctx is u, sorted([first.key] + [x.key for x in rest])
listing.__iter__() is listing
exec rados.ObjectIterator(u)
exec rados.ObjectIterator(5)
exec pairs = u.get_xattrs("u"); pair = next(pairs); rest = list(pairs)
pairs.ioctx is u, pairs.oid, pair, rest
exec rados.XattrIterator(u, "none")
rados.Rados.DEFAULT_CONF_FILES, rados.Rados.NO_CONF_FILE
exec k = rados.Rados(conffile=rados.Rados.NO_CONF_FILE); numbers = k.DEFAULT_CONF_FILES, k.NO_CONF_FILE
numbers
k.conf_parse_env("NO_SUCH_VARIABLE")
k.conf_parse_env()
k.conf_read_file("/no/such/file")
exec k.shutdown(); k = rados.Rados(conffile=cluster.conffile)
k.conf_read_file(cluster.conffile)
exec same = k.__enter__()
same is k, k.state
type(k.get_instance_id()).__name__, type(k.get_addrs()).__name__
k.blocklist_add("127.0.0.1:1/1", 1)
k.blocklist_add("not an address")
k.__exit__(None, None, None)
k.state
exec cluster.create_pool("listed"); s = cluster.open_ioctx("listed"); s.create_snap("s1"); snapshots = s.list_snaps(); snap = next(snapshots); rest = list(snapshots)
snapshots.ioctx is s, snapshots.__iter__() is snapshots, rest
snap.name, snap.snap_id, snap.ioctx is s, type(snap.get_timestamp()).__name__
re.sub("ioctx=.*?,name", "name", str(snap))
exec rados.SnapIterator(s)
exec own = rados.Snap(s, "own", 5)
own.name, own.snap_id
own.get_timestamp()
exec s.close(); cluster.delete_pool("listed")
exec number = rados.Version(1, 2, 3)
number.major, number.minor, number.extra, str(number)
exec def silent(*arguments):\n    return None
exec z = u.watch("u", silent)
type(z.check()).__name__, type(z.get_id()).__name__
z.close()
exec z = u.watch("u", silent)
exec with z: number = z.get_id()
z.get_id()
exec u.remove_object("u"); u.close()
""".strip().splitlines()  # noqa: E501 - a step is a line
STEPS = [step.replace("\\n", "\n") for step in STEPS if step]
