"""The steps for commands, asynchronous calls, watches and the log of both modules `rados`.

Calls that hang or end the process with the stock module are left out: it frees memory that librados
has not set if the name of an OSD or a placement group is invalid. A step waits for its calls in
flight, because the other module's callbacks run in librados's threads.
"""

STEPS = r"""
exec a = cluster.open_ioctx("two"); a.set_namespace("calls"); a.write_full("a", b"0123456789")
exec import json, threading, time
exec heard = []\ndef hear(*arguments):\n    heard.append([x for x in arguments if not isinstance(x, rados.Completion)])
exec def wait(completion):\n    result = [completion.wait_for_complete(), completion.wait_for_complete_and_cb(), completion.wait_for_safe(), completion.wait_for_safe_and_cb()]\n    del heard[:-9]\n    told, heard[:] = list(heard), []\n    return result, completion.get_return_value(), completion.is_complete(), completion.is_safe(), [plain_time(x) for x in told]
exec def plain_time(told):\n    return [type(x).__name__ if isinstance(x, time.struct_time) else x for x in told]

cluster.mon_command(json.dumps({"prefix": "osd ls", "format": "json"}), b"")
cluster.mon_command(json.dumps({"prefix": "osd ls"}), b"", 5)
cluster.mon_command(json.dumps({"prefix": "no such thing"}), b"")
cluster.mon_command("not json", b"")
cluster.mon_command(json.dumps({"prefix": "mon_status"}), b"", target="a")[0]
cluster.mon_command(json.dumps({"prefix": "mon_status"}), b"", target="nobody")
cluster.mon_command(["x"], b"")
cluster.mon_command("{}", "text")
cluster.mon_command("{}", None)
cluster.osd_command(0, json.dumps({"prefix": "version"}), b"")[0]
cluster.osd_command(99, json.dumps({"prefix": "version"}), b"")
cluster.osd_command("0", json.dumps({"prefix": "version"}), b"")
cluster.pg_command("%d.0" % a.get_pool_id(), json.dumps({"prefix": "query", "pgid": "%d.0" % a.get_pool_id(), "cmd": "query"}), b"")[0]
cluster.pg_command("99999.0", "{}", b"")
rados.Rados().mon_command("{}", b"")
cluster.service_daemon_register("archive", "one", {"host": "here"})
cluster.service_daemon_register("archive", "one", {"host": "here"})
cluster.service_daemon_register(5, "one", {"host": "here"})
cluster.service_daemon_register("archive", "one", {"host": 5})
cluster.service_daemon_update({"state": "busy"})
cluster.service_daemon_update({})

wait(a.aio_write("one", b"hello", 0, hear, hear))
wait(a.aio_write("one", b"hello"))
wait(a.aio_write_full("one", b"hello world", hear))
wait(a.aio_append("one", b"!!", hear))
wait(a.aio_read("one", 5, 0, hear))
wait(a.aio_read("one", 100, 0, hear))
wait(a.aio_read("one", 5, 2, oncomplete=hear))
wait(a.aio_read("none", 5, 0, hear))
a.aio_read("one", -1, 0, hear)
a.aio_read("one", 5, -1, hear)
a.aio_read("one", 5, 2 ** 64, hear)
a.aio_write("one", "text")
a.aio_write("one", b"x", -1)
a.aio_write(5, b"x")
wait(a.aio_stat("one", hear))
wait(a.aio_stat("none", hear))
wait(a.aio_cmpext("one", b"hello", 0, hear))
wait(a.aio_cmpext("one", b"hexlo", 0, hear))
wait(a.aio_cmpext("none", b"x", 0, hear))
wait(a.aio_writesame("one", b"xy", 6, 0, hear))
a.aio_writesame("one", b"xy", 5, 0, hear)
a.aio_writesame("one", b"", 4)
wait(a.aio_setxattr("one", "name", b"value", hear))
wait(a.aio_rmxattr("one", "name", hear))
wait(a.aio_rmxattr("one", "name", hear))
wait(a.aio_rmxattr("none", "name", hear))
wait(a.aio_execute("one", "hello", "say_hello", b"bob", 8192, hear, hear))
wait(a.aio_execute("one", "hello", "say_hello", b"bob"))
wait(a.aio_execute("one", "no_such_class", "x", b"", 8192, hear))
wait(a.aio_remove("one", hear, hear))
wait(a.aio_remove("one", hear))
a.aio_flush()
exec op = rados.WriteOpCtx().__enter__(); a.set_omap(op, ("k",), (b"v",))
wait(a.operate_aio_write_op(op, "om", hear, hear))
exec op.__exit__(None, None, None); op = rados.ReadOpCtx().__enter__(); found, _ = a.get_omap_vals(op, "", "", -1)
wait(a.operate_aio_read_op(op, "om", hear, hear))
list(found)
exec op.__exit__(None, None, None); op = rados.ReadOpCtx().__enter__(); found, _ = a.get_omap_vals(op, "", "", -1)
wait(a.operate_aio_read_op(op, "none", hear))
exec op.__exit__(None, None, None)
exec completion = a.aio_write("a", b"x", 0, hear); wait(completion)
completion.ioctx is a, completion.oncomplete is hear, completion.onsafe
a.complete_completions

a.watch("none", hear)
exec watches = [a.watch("a", lambda *told: hear(*told) or "reply", hear, 30)]
type(watches[0].check()).__name__, watches[0].get_id() > 0
a.notify("a", "hello", 20000), [told[3] for told in heard], heard.clear()
a.notify("a"), [told[3] for told in heard], heard.clear()
a.notify("none", "x", 1000)
a.notify("a", 5)
a.notify("a", "x", -1)
exec answers = []; a.aio_notify("a", lambda completion, *told: answers.append(told), "x", 20000).wait_for_complete_and_cb()
[(told[0], [ack[2] for ack in told[1]], told[2]) for told in answers]
exec answers = []; a.aio_notify("none", lambda completion, *told: answers.append(told)).wait_for_complete_and_cb()
answers
exec with a.watch("a", lambda *told: None) as other: answers = []; a.aio_notify("a", lambda completion, *told: answers.append(told), "x", 20000).wait_for_complete_and_cb()
[(told[0], sorted(str(ack[2]) for ack in told[1]), told[2]) for told in answers]
watches[0].close()
watches[0].close()
watches[0].get_id()
watches[0].check()
exec heard.clear(); watches = [a.watch("a", hear, hear)]; number = watches[0].get_id(); a.remove_object("a")
exec for _ in range(3000): heard or time.sleep(0.01)
[(told[0] == number, told[1]) for told in heard]
watches[0].check()
watches[0].close()

cluster.monitor_log("loud", hear, 1)
cluster.monitor_log("info", 5, 1)
cluster.monitor_log(b"info", hear)
cluster.monitor_log("info", hear, "argument")
cluster.monitor_callback == (hear, "argument"), cluster.monitor_callback2
cluster.monitor_log2("info", hear)
cluster.monitor_callback, cluster.monitor_callback2 == (hear, None)
cluster.monitor_log("info")
cluster.monitor_callback, cluster.monitor_callback2
exec entries = []; cluster.monitor_log2("info", lambda *told: entries.append(told), 7)
exec for _ in range(300): any(told[-1] == b"words" for told in entries) or (cluster.mon_command(json.dumps({"prefix": "log", "logtext": ["words"]}), b""), time.sleep(0.1))
[(told[0], told[2], told[3], [type(x).__name__ for x in told[4:8]], told[8:]) for told in entries if told[-1] == b"words"][0]
cluster.monitor_log2("info")
exec logs = rados.MonitorLog(cluster, "debug", hear, "x")
logs.level, logs.arg, logs.callback is hear, logs.cluster is cluster
rados.MonitorLog(cluster, "loud", hear, "x")
cluster.monitor_log("debug")

exec a.close()
a.watch("a", hear)
a.notify("a")
a.aio_notify("a", hear)
""".strip().splitlines()  # noqa: E501 - a step is a line
STEPS = [step.replace("\\n", "\n") for step in STEPS if step]
