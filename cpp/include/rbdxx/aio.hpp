// Asynchronous calls on an image. Offsets and lengths are bytes; memory belongs to the caller until
// its operation has completed.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <optional>

#include <rbdxx/detail/known_size.hpp>
#include <rbdxx/engine.hpp>
#include <rbdxx/image.hpp>

namespace rbdxx::aio {

using engine::Operation;
using engine::QueuePointer;

// Each submits `operation` on the image; it reaches `queue` once complete. They return at once, but
// for librbd's own limits, and may be called from any thread. Offsets and lengths are bytes.
//
// The caller keeps the operation, the buffers and what results point to until the operation has
// completed: librbd's threads read and write them. Nothing needs to be kept of the image. Throws
// ClosedError, MissingFunction, or Error where librbd refuses; the operation then never completes.

// Implements: rbd_aio_read, rbd_aio_read2. Completes with the bytes read.
void read(Operation& operation, QueuePointer queue, const Image& image, char* data, uint64_t offset,
          uint64_t length, int flags = 0);
// Implements: rbd_aio_write, rbd_aio_write2. librbd cuts what goes across the end, and says
// nothing.
void write(Operation& operation, QueuePointer queue, const Image& image, const char* data,
           uint64_t offset, uint64_t length, int flags = 0);
// Implements: rbd_aio_readv. The vector itself may go when this returns.
void readv(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
           int count, uint64_t offset);
// As readv(), for writing. Implements: rbd_aio_writev
void writev(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
            int count, uint64_t offset);
// Implements: rbd_aio_discard
void discard(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
             uint64_t length);
// `zero_flags`: WRITE_ZEROES_FLAG_*. Implements: rbd_aio_write_zeroes
void write_zeroes(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
                  uint64_t length, int zero_flags);
// Repeats `data` (size bytes) over `length` bytes, a multiple of size. Implements:
// rbd_aio_writesame
void write_same(Operation& operation, QueuePointer queue, const Image& image, const char* data,
                uint64_t size, uint64_t offset, uint64_t length, int flags = 0);
// `mismatch` gets the offset of the first difference where it completes with -EILSEQ.
// Implements: rbd_aio_compare_and_write
void compare_and_write(Operation& operation, QueuePointer queue, const Image& image,
                       const char* expected, const char* data, uint64_t offset, uint64_t length,
                       uint64_t* mismatch, int flags = 0);
// As both, from and against many pieces of memory. Implements: rbd_aio_compare_and_writev
void compare_and_writev(Operation& operation, QueuePointer queue, const Image& image,
                        const iovec* expected, int expected_count, const iovec* vectors, int count,
                        uint64_t offset, uint64_t* mismatch, int flags = 0);
// The image's size without I/O. Nothing if librbd might have to ask the cluster for it, or if the
// image ends before `end`: it may have grown a moment ago.
std::optional<detail::Size> known_size(const Image& image, uint64_t end) noexcept;
// Asks for the size in another thread, one for each image. That thread calls `then(0)` once `*size`
// is set, or `then()` with a negative errno. The caller keeps the image in use until then. Throws
// Error if no thread can be started. Implements: rbd_get_size
void ask_size(const Image& image, detail::Size* size, std::function<void(int code)> then);
// Whether the image may have changed since ask_size() or known_size() gave that.
bool changed_since(const Image& image, const detail::Size& size) noexcept;
// Calls `work()` in a thread of its own; completes with 0, or the negative errno of the Error that
// it throws.
void in_thread(Operation& operation, QueuePointer queue, const Image& image,
               std::function<void()> work);
// An operation that needs the exclusive lock and was refused: as lock::release_left_behind(), in
// another thread, one for each image. Completes with 1 if the operation is to be submitted once
// more, else with 0.
void release_left_behind(Operation& operation, QueuePointer queue, const Image& image,
                         unsigned before);
// `crc`: of the data, CRC-32C begun with all bits set, which saves the OSDs from reckoning it.
// Implements: rbd_aio_write_with_crc32c
void write_with_crc32c(Operation& operation, QueuePointer queue, const Image& image,
                       const char* data, uint64_t offset, uint64_t length, uint32_t crc,
                       int flags = 0);
// Completes when what was written before it is safe. Implements: rbd_aio_flush
void flush(Operation& operation, QueuePointer queue, const Image& image);

// Opens; `raw` gets the handle for Image::adopt once complete with 0. Implements: rbd_aio_open,
// rbd_aio_open_read_only, rbd_aio_open_by_id, rbd_aio_open_by_id_read_only. Where the options say
// so, open_image() does it in a thread of its own.
void open(Operation& operation, QueuePointer queue, const IoCtx& ioctx, const OpenOptions& options,
          abi::rbd_image_t* raw);
// Refuses further calls at once, and closes when those under way are done.
// Throws ClosedError where it was closed already. Implements: rbd_aio_close
void close(Operation& operation, QueuePointer queue, const Image& image);

// Mirroring of the image; what a result holds on the C heap is the caller's, to be freed as librbd
// says (mirrored::free_info, rbd_mirror_image_global_status_cleanup).

// Implements: rbd_aio_mirror_image_get_info
void mirror_image_get_info(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_info_t* info);
// Completes with `*mode`, MIRROR_IMAGE_MODE_*. Implements: rbd_aio_mirror_image_get_mode
void mirror_image_get_mode(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_mode_t* mode);
// `flags`: SNAP_CREATE_*. Completes with the new snapshot's id in `*snapshot_id`.
// Implements: rbd_aio_mirror_image_create_snapshot
void mirror_image_create_snapshot(Operation& operation, QueuePointer queue, const Image& image,
                                  uint32_t flags, uint64_t* snapshot_id);
// Implements: rbd_aio_mirror_image_promote
void mirror_image_promote(Operation& operation, QueuePointer queue, const Image& image, bool force);
// Implements: rbd_aio_mirror_image_demote
void mirror_image_demote(Operation& operation, QueuePointer queue, const Image& image);
// Implements: rbd_aio_mirror_image_get_global_status
void mirror_image_get_status(Operation& operation, QueuePointer queue, const Image& image,
                             abi::rbd_mirror_image_global_status_t* status);

// Has librbd signal `descriptor` (EVENT_TYPE_EVENTFD or _PIPE) for each asynchronous I/O call of
// the image that completes. The descriptor stays the caller's, and must outlive the image's use.
// Implements: rbd_set_image_notification
void set_notification(const Image& image, int descriptor, int type);
// How many such calls have completed and were not yet told of here; at most `most`.
// Implements: rbd_poll_io_events
int poll_events(const Image& image, int most);

}  // namespace rbdxx::aio
