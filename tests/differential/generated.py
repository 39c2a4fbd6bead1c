"""Steps generated from the table of the stock module's methods.

Each method is called by keyword, with too few and too many arguments, with a wrong value for each
parameter in turn, on a closed image, and on an image that another client has removed.
"""

import json
import pathlib

TABLE = json.loads(
    (pathlib.Path(__file__).resolve().parents[1] / "data" / "stock_api.json").read_text()
)["classes"]

SUBJECTS = {"RBD": "R", "Image": "w", "Group": "wg"}

# For each parameter's name, a good value and wrong ones. A wrong ioctx is never None, which makes
# the stock module end the process. A flag accepts anything.
NAME = ('"none"', ["5", "1.5", "[]", "object()"])
NUMBER = ("0", ['"0"', "None", "-1", "2 ** 64", "[]"])
OPTION = ("None", ['"0"', "-1", "[]"])
ENUM = ("0", ['"0"', "None", "[]"])
IOCTX = ("io", ["5", '"io"', "R", "object()"])
FLAG = ("False", [])
KINDS = {
    **dict.fromkeys(
        ["name", "src", "dest", "image_name", "image_id", "dest_name", "dest_image_name", "p_name"]
        + ["c_name", "snap_name", "srcname", "dstname", "old_snap_name", "key"]
        + [
            "new_snap_name",
            "cookie",
            "tag",
            "client",
            "lock_owner",
            "uuid",
            "value",
            "str_features",
        ]
        + ["site_name", "client_name", "cluster_name", "remote_namespace", "token", "source_spec"],
        NAME,
    ),
    **dict.fromkeys(["offset", "length", "size", "snap_id", "limit", "sparse_size"], NUMBER),
    **dict.fromkeys(["features", "order", "stripe_unit", "stripe_count"], OPTION),
    **dict.fromkeys(["lock_mode", "mirror_mode", "direction", "format", "delay", "mode"], ENUM),
    **dict.fromkeys(["flags", "fadvise_flags", "zero_flags", "mode_filter", "cipher_alg"], ENUM),
    **dict.fromkeys(["ioctx", "p_ioctx", "c_ioctx", "dest_ioctx", "image_ioctx"], IOCTX),
    **dict.fromkeys(["force", "old_format", "read_only", "allow_shrink"], FLAG),
    **dict.fromkeys(["include_parent", "whole_object", "enabled"], FLAG),
    "on_progress": ("None", []),
    "iterate_cb": ("lambda *_: None", []),
    "p_snapname": ('"none"', ["1.5", "[]", "object()"]),
    "data": ('b""', ['""', "5", "None", "[]"]),
    "data_pool": ("None", ["5", "[]"]),
    "from_snapshot": ("None", ["[]", "1.5"]),
    "snapshot": ("None", ["[]", "1.5"]),
    "expire_ts": ("None", ['"now"', "5"]),
    "threshold": ("-1", ['"0"', "[]"]),
    "passphrase": ('"none"', ["5", "None", "[]"]),
    "specs": ("[]", []),
    "attributes": ("{}", ["5", "[5]"]),
    "rados": ("cluster", ["5", '"cluster"', "io"]),
}
# Parameters that are newer than Ceph 16, or whose names have changed since then.
NEWER = {"clone_format", "flatten"}
OLD_NAMES = {"p_snapshot": "p_snapname"}
# If called by keyword, these would end the object that other steps need, or start calls that no
# step waits for.
APART = {"close", "aio_close", "__enter__", "__exit__", "__init__", "__iter__", "version"}
# Methods that are not called with good values: they act on a whole pool, they take a lock that
# later steps would wait for, or they crash the stock module if nothing is found.
UNDONE = {
    *("mirror_peer_bootstrap_create", "mirror_peer_bootstrap_import", "pool_init"),
    *("migration_prepare", "lock_exclusive", "lock_shared", "get_snap_timestamp"),
}


def parameters(signature):
    """Return the names of the parameters, and those without a default."""
    parts = [part for part in signature.strip()[1:-1].split(", ") if part]
    parts = [part for part in parts if part.split("=")[0] not in NEWER]
    parts = [OLD_NAMES.get(part, part) for part in parts]
    return [part.split("=")[0] for part in parts], [part for part in parts if "=" not in part]


def good_value(parameter, required):
    """Return a good value for a parameter. An option that must be passed is a number."""
    value = KINDS[parameter][0]
    return "0" if KINDS[parameter] is OPTION and parameter in required else value


def calls(subject, name, names, required):
    good = {one: good_value(one, required) for one in names}
    whole = ", ".join(f"{one}={good[one]}" for one in names)
    # The stock module's methods with one parameter take it by position only.
    by_keyword = len(names) != 1
    if name not in UNDONE:
        if by_keyword:
            yield f"{subject}.{name}({whole})"
        yield f"{subject}.{name}({', '.join(good[one] for one in names)})"
    if required:
        yield f"{subject}.{name}()"
    yield f"{subject}.{name}({', '.join([*(good[one] for one in names), '0', '0', '0'])})"
    yield f"{subject}.{name}({', '.join([whole, 'nonsense=0']).lstrip(', ')})"
    for wrong in names:
        for value in KINDS[wrong][1]:
            # The parameters after it keep their defaults.
            given = required + [one for one in names if one == wrong and one not in required]
            values = ((one, value if one == wrong else good[one]) for one in given)
            arguments = (f"{one}={what}" if by_keyword else what for one, what in values)
            yield f"{subject}.{name}({', '.join(arguments)})"


def everything():
    yield "exec R.create(io, 'wrong', 4 << 20)"
    yield "exec w = rbd.Image(io, 'wrong')"
    yield "exec R.create(io, 'shut', 4 << 20)"
    yield "exec shut = rbd.Image(io, 'shut')"
    yield "exec shut.close()"
    yield "exec R.create(io, 'gone', 4 << 20)"
    yield "exec gone = rbd.Image(io, 'gone', read_only=True)"
    yield "exec R.remove(io, 'gone')"
    yield "exec R.group_create(io, 'wrong')"
    yield "exec wg = rbd.Group(io, 'wrong')"
    yield "exec lost = rbd.Group(io, 'lost')"
    for cls, subject in SUBJECTS.items():
        for name, fact in sorted(TABLE[cls]["methods"].items()):
            # A failed asynchronous call corrupts the stock module's memory.
            if name in APART or name.startswith("aio_"):
                continue
            names, required = parameters(fact["signature"])
            yield from calls(subject, name, names, required)
            good = ", ".join(good_value(one, required) for one in required)
            if cls == "Image":
                yield f"shut.{name}({good})"
                if name not in UNDONE:
                    yield f"gone.{name}({good})"
            if cls == "Group" and name != "list_snaps":  # it would crash the stock module
                yield f"lost.{name}({good})"
    yield "exec w.close()"
    yield "exec R.group_remove(io, 'wrong')"


STEPS = list(dict.fromkeys(everything()))
