"""Check an installed wheel on a machine without Ceph: it imports, and says what to install."""

import rbd

if not hasattr(rbd.Image, "read") or rbd.RBD_FEATURE_LAYERING != 1:
    raise SystemExit("without Ceph, the module is not whole")
try:
    rbd.RBD().version()
except rbd.LibraryNotFound as error:
    print(f"without Ceph: {error}")
    if "librbd" not in str(error):
        raise SystemExit("the error does not say what is missing") from error
else:
    raise SystemExit("there is a librbd on this machine")
