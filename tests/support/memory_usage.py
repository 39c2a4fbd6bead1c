"""How much memory this process holds, in KiB.

The kernel's account of the address space, and not getrusage: a child started by vfork takes over
its parent's ru_maxrss.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sysconfig
from pathlib import Path

# Without the interpreter's lock Python has an allocator for each thread, which keeps what others
# have freed; AddressSanitizer keeps it to find who uses it still.
_SANITIZED = "/libasan." in Path("/proc/self/maps").read_text()
_FREED_IS_KEPT = _SANITIZED or bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
#: What bounds are multiplied by.
LEEWAY = 4 if _FREED_IS_KEPT else 1


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert found, field
    return int(found.group(1))


def now() -> int:
    """What is resident, with what is free given back to the system."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def peak() -> int:
    """The most that was resident since the process began, or since the last `forget_peak`."""
    return _status("VmHWM")


def forget_peak() -> None:
    """Let the peak begin anew at what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
