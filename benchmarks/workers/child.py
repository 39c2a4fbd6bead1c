"""Runs a program and writes what it used, as JSON, to a file: the first argument.

The kernel's account of a process's memory includes that of its starter, so this one is small.
"""

import json
import os
import sys
import time

start = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - start
with open(sys.argv[1], "w") as answer:
    json.dump(
        {
            "code": os.waitstatus_to_exitcode(status) if status else 0,
            "seconds": seconds,
            "processor": usage.ru_utime + usage.ru_stime,
            "peak": usage.ru_maxrss * 1024,
        },
        answer,
    )
