"""Run the steps with the `rbd` module that the interpreter finds, and print the outcomes as JSON.

usage: runner.py MODULES CONFFILE ENDED. MODULES is "stock" or "ours". ENDED is a JSON list of the
numbers of steps to leave out, because they end the process. The program works with Python 3.9 and
either module, because it runs in the distribution's interpreter too.
"""

import ast
import datetime
import json
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import calls
import edges
import generated
import objects
import programs
import steps
import surface

import rbd

if sys.argv[1] == "stock":
    import rados
else:
    from rbd import rados

# Text that differs from run to run: ids, addresses, times, keys.
CHANGING = [
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\brbd_data\.[0-9a-f.]+\b"), "<prefix>"),
    (re.compile(r"\b127\.0\.0\.1:\d+/\d+\b"), "<address>"),
    (re.compile(r"\bclient\.\d+\b"), "<client>"),
    # Four digits of the client and up to eight random ones. A small number has fewer.
    (re.compile(r"\b[0-9a-f]{8,}\b"), "<id>"),
    (re.compile(r"\bauto \d+\b"), "<auto>"),
]
# Numbers that increase with each run, by their key.
COUNTING = {
    *("id", "snap_id", "cookie", "pool", "group_pool", "primary_snap_id", "last_update"),
    *("source_pool_id", "dest_pool_id"),
}
# Methods that return such a number. A monitor may use one more when it handles a request again.
COUNTING_METHODS = {"snap_get_id", "create_self_managed_snap", "mirror_image_create_snapshot"}


def plain(value, key=None):
    """Return the value in a form that is equal for equal behaviour."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, datetime.datetime):
        return "<datetime naive>" if value.tzinfo is None else "<datetime aware>"
    if isinstance(value, int):
        return "<int>" if key in COUNTING else value
    if isinstance(value, str):
        if key in ("id", "source_image_id", "dest_image_id"):
            return "<id>" if value else ""
        for pattern, name in CHANGING:
            value = pattern.sub(name, value)
        return value
    if isinstance(value, bytes):
        return "bytes:" + plain(value.decode("latin-1"))
    if isinstance(value, dict):
        return {
            str(k): plain(v, k) for k, v in sorted(value.items(), key=lambda item: str(item[0]))
        }
    if isinstance(value, (list, tuple)):
        return [type(value).__name__] + [plain(item) for item in value]
    if hasattr(value, "__iter__"):
        return ["iterator " + type(value).__name__] + [plain(item) for item in value]
    return "<" + type(value).__name__ + ">"


def message(error):
    """Return the text without the wording, and with names in one form: b'x' there, 'x' here."""
    return re.match(r"(\[errno \d+\] )?(RBD [^(]*|RADOS [^(]*)?", str(error)).group(0).strip()


# The names of the module `rados` that the steps use, as "Class.name".
USED = set()
ITERATING = {"iter": ("__iter__",), "next": ("__next__",), "str": ("__str__",)}
ITERATING.update(dict.fromkeys(("list", "sorted"), ("__iter__", "__next__")))


def looked_up(base, name, scope):
    """Return the classes whose attribute an expression reads, if their names are known."""
    value = scope.get(base)
    if value is rados:
        cls = getattr(rados, name, None)
        return [cls.__name__ + ".__init__"] if isinstance(cls, type) else []
    return [cls.__name__ + "." + name for cls in type(value).__mro__]


def note_use(step, scope):
    """Add to USED what a step looks up in variables, and calls as iterator or context manager."""
    try:
        tree = ast.parse(step[5:] if step.startswith("exec ") else step)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            USED.update(looked_up(node.value.id, node.attr, scope))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            for name in ITERATING.get(node.func.id, ()):
                if node.args and isinstance(node.args[0], ast.Name):
                    USED.update(looked_up(node.args[0].id, name, scope))
        elif isinstance(node, ast.With):
            for item in node.items:
                if isinstance(item.context_expr, ast.Name):
                    for name in ("__enter__", "__exit__"):
                        USED.update(looked_up(item.context_expr.id, name, scope))


def key_of(step):
    """Return the key for `plain` of what a step returns, by the method that it calls last."""
    called = getattr(ast.parse(step, mode="eval").body, "func", None)
    return "id" if getattr(called, "attr", None) in COUNTING_METHODS else None


def run(step, scope):
    try:
        if step.startswith("exec "):
            exec(step[5:], scope)
            return {"value": None}
        return {"value": plain(eval(step, scope), key_of(step))}
    except Exception as error:
        return {
            "error": type(error).__name__,
            "text": str(error),
            "also": [base.__name__ for base in type(error).__mro__],
            "errno": getattr(error, "errno", "none"),
            "message": message(error)
            if type(error).__module__.startswith(("rbd", "rados"))
            else "",
        }


def main():
    cluster = rados.Rados(conffile=sys.argv[2])
    cluster.connect()
    scope = {"re": re, "rbd": rbd, "rados": rados, "cluster": cluster, "R": rbd.RBD()}
    scope["io"] = cluster.open_ioctx("rbd")
    scope["io2"] = cluster.open_ioctx("two")
    chosen = [*steps.STEPS, *edges.STEPS, *objects.STEPS]
    # These were written for Ceph 16. Other calls end a stock module's process in other releases.
    if scope["R"].version()[:2] == (1, 16):
        chosen += [*programs.STEPS, *generated.STEPS, *calls.STEPS, *surface.STEPS]
    # One line after each step, so that a crash shows its step.
    ended = json.loads(sys.argv[3])
    for number, step in enumerate(chosen):
        note_use(step, scope)
        outcome = {"error": "end of the process"} if number in ended else run(step, scope)
        note_use(step, scope)
        print(json.dumps([step, outcome]), flush=True)
    print(json.dumps({"used": sorted(USED)}), flush=True)


if __name__ == "__main__":
    main()
    # The stock module may crash while the interpreter destroys what the steps have left. That is no
    # outcome of a step.
    if sys.argv[1] == "stock":
        os._exit(0)
