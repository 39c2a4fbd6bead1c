/* librbd with its data path stubbed out: what is left of a call's time is the binding's own.
 *
 * Everything else is the real librbd, which this is linked with. Ours loads it by RBD_LIBRARY; the
 * stock module gets it by LD_PRELOAD. See build.py.
 *
 * RBD_SHIM_EXTENTS: how many extents a diff reports (a million by default), each 4096 bytes long,
 * 8192 apart, every fourth one gone.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

typedef void *rbd_image_t;
typedef int (*extent_callback)(uint64_t, size_t, int, void *);

enum { extent_length = 4096, extent_distance = 8192 };

#define SHIM __attribute__((visibility("default")))

SHIM ssize_t rbd_read(rbd_image_t image, uint64_t offset, size_t length, char *data) {
    (void)image, (void)offset, (void)data;
    return (ssize_t)length;
}

SHIM ssize_t rbd_read2(rbd_image_t image, uint64_t offset, size_t length, char *data, int flags) {
    (void)image, (void)offset, (void)data, (void)flags;
    return (ssize_t)length;
}

SHIM ssize_t rbd_write(rbd_image_t image, uint64_t offset, size_t length, const char *data) {
    (void)image, (void)offset, (void)data;
    return (ssize_t)length;
}

SHIM ssize_t rbd_write2(rbd_image_t image, uint64_t offset, size_t length, const char *data,
                        int flags) {
    (void)image, (void)offset, (void)data, (void)flags;
    return (ssize_t)length;
}

SHIM int rbd_get_size(rbd_image_t image, uint64_t *size) {
    (void)image;
    *size = UINT64_C(1) << 44;
    return 0;
}

static int report(extent_callback callback, void *argument) {
    const char *wanted = getenv("RBD_SHIM_EXTENTS");
    uint64_t count = wanted != NULL ? strtoull(wanted, NULL, 10) : 1000000;
    for (uint64_t i = 0; i < count; ++i) {
        int result = callback(i * extent_distance, extent_length, i % 4 != 3, argument);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

SHIM int rbd_diff_iterate(rbd_image_t image, const char *from, uint64_t offset, uint64_t length,
                          extent_callback callback, void *argument) {
    (void)image, (void)from, (void)offset, (void)length;
    return report(callback, argument);
}

SHIM int rbd_diff_iterate2(rbd_image_t image, const char *from, uint64_t offset, uint64_t length,
                           uint8_t include_parent, uint8_t whole_object, extent_callback callback,
                           void *argument) {
    (void)image, (void)from, (void)offset, (void)length, (void)include_parent, (void)whole_object;
    return report(callback, argument);
}

SHIM int rbd_diff_iterate3(rbd_image_t image, uint64_t from, uint64_t offset, uint64_t length,
                           uint32_t flags, extent_callback callback, void *argument) {
    (void)image, (void)from, (void)offset, (void)length, (void)flags;
    return report(callback, argument);
}
