// Asynchronous calls on an image: each submits an operation, which reports to a queue once librbd
// has completed it.
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

// Each call submits `operation` on the image; the operation reaches `queue` once it has completed.
// The calls return at once, unless librbd makes them wait for its own limits. Any thread may call
// them. Offsets and lengths are bytes. Without another word, an operation completes with 0, or with
// a negative errno if it failed.
//
// The caller keeps the operation, the buffers and the results until the operation has completed,
// because librbd's threads use them. The Image need not be kept. Each call throws ClosedError,
// MissingFunction, or Error if librbd refuses it; then the operation never completes.

// Reads. Completes with the number of bytes read, fewer than `length` at the end of the image.
// Implements: rbd_aio_read, rbd_aio_read2
void read(Operation& operation, QueuePointer queue, const Image& image, char* data, uint64_t offset,
          uint64_t length, int flags = 0);
// Writes. librbd does not write what is past the end of the image, and does not report it.
// Implements: rbd_aio_write, rbd_aio_write2
void write(Operation& operation, QueuePointer queue, const Image& image, const char* data,
           uint64_t offset, uint64_t length, int flags = 0);
// Reads into `count` pieces of memory, one after the other. The array `vectors` itself need not
// outlive this call. Completes as read(). Implements: rbd_aio_readv
void readv(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
           int count, uint64_t offset);
// Writes from `count` pieces of memory; as readv() and write(). Implements: rbd_aio_writev
void writev(Operation& operation, QueuePointer queue, const Image& image, const iovec* vectors,
            int count, uint64_t offset);
// Frees the space of a region; as io::discard(). Implements: rbd_aio_discard
void discard(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
             uint64_t length);
// Writes zeroes; as io::write_zeroes(). Implements: rbd_aio_write_zeroes
void write_zeroes(Operation& operation, QueuePointer queue, const Image& image, uint64_t offset,
                  uint64_t length, int zero_flags);
// Writes `data` (`size` bytes) again and again over `length` bytes, a multiple of `size`.
// Implements: rbd_aio_writesame
void write_same(Operation& operation, QueuePointer queue, const Image& image, const char* data,
                uint64_t size, uint64_t offset, uint64_t length, int flags = 0);
// Writes `data` if the image holds `expected` there. Completes with -EILSEQ if it holds other data;
// `*mismatch` is then what librbd reports of the place, for io::Difference.
// Implements: rbd_aio_compare_and_write
void compare_and_write(Operation& operation, QueuePointer queue, const Image& image,
                       const char* expected, const char* data, uint64_t offset, uint64_t length,
                       uint64_t* mismatch, int flags = 0);
// As compare_and_write(), with the data in several pieces of memory.
// Implements: rbd_aio_compare_and_writev
void compare_and_writev(Operation& operation, QueuePointer queue, const Image& image,
                        const iovec* expected, int expected_count, const iovec* vectors, int count,
                        uint64_t offset, uint64_t* mismatch, int flags = 0);
// Returns the image's size if it is known without I/O. Returns nothing if librbd might have to ask
// the cluster, or if the image seems to end before byte `end`, because it may have grown since.
std::optional<detail::Size> known_size(const Image& image, uint64_t end) noexcept;
// Asks for the size in another thread, one for each image. That thread sets `*size` and calls
// `then(0)`, or calls `then()` with a negative errno. The caller keeps the image in use until then.
// Throws Error if no thread can be started. Implements: rbd_get_size
void ask_size(const Image& image, detail::Size* size, std::function<void(int code)> then);
// Returns whether the image may have changed since ask_size() or known_size() returned `size`.
bool changed_since(const Image& image, const detail::Size& size) noexcept;
// Calls `work()` in a thread of its own. Completes with 0, or with the negative errno of the Error
// that `work` throws. Throws Error if no thread can be started.
void in_thread(Operation& operation, QueuePointer queue, const Image& image,
               std::function<void()> work);
// Calls lock::release_left_behind() in another thread, one for each image, after an operation was
// refused for lack of the exclusive lock, with `result`. Completes with 1 if that operation is to
// be submitted again, otherwise with 0.
void release_left_behind(Operation& operation, QueuePointer queue, const Image& image,
                         unsigned before, ssize_t result);
// Writes data whose CRC-32C is known, so that the OSDs need not compute it. `crc` is computed from
// a start value with all bits set. Implements: rbd_aio_write_with_crc32c
void write_with_crc32c(Operation& operation, QueuePointer queue, const Image& image,
                       const char* data, uint64_t offset, uint64_t length, uint32_t crc,
                       int flags = 0);
// Completes once everything written before is safe in the cluster. Implements: rbd_aio_flush
void flush(Operation& operation, QueuePointer queue, const Image& image);

// Opens an image. Once the operation has completed with 0, `*raw` is the handle for Image::adopt().
// If OpenOptions::in_two_steps(), a thread of its own calls open_image(). Implements: rbd_aio_open,
// rbd_aio_open_read_only, rbd_aio_open_by_id, rbd_aio_open_by_id_read_only
void open(Operation& operation, QueuePointer queue, const IoCtx& ioctx, const OpenOptions& options,
          abi::rbd_image_t* raw);
// Refuses further calls at once, and closes the image once the calls under way have completed. The
// operation fails if the cache cannot be written back; the image is closed all the same. Throws
// ClosedError if the image is closed already. Implements: rbd_aio_close
void close(Operation& operation, QueuePointer queue, const Image& image);

// Calls on the mirroring of the image, as those of mirror_image.hpp. The caller frees the memory
// that a result points to: with mirrored::free_info() and rbd_mirror_image_global_status_cleanup.

// Fills `*info`. Implements: rbd_aio_mirror_image_get_info
void mirror_image_get_info(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_info_t* info);
// Sets `*mode`, constants::MIRROR_IMAGE_MODE_*. Implements: rbd_aio_mirror_image_get_mode
void mirror_image_get_mode(Operation& operation, QueuePointer queue, const Image& image,
                           abi::rbd_mirror_image_mode_t* mode);
// Saves first what was written, and waits for that. Then takes a mirror snapshot and sets
// `*snapshot_id`. `flags`: constants::SNAP_CREATE_*.
// Implements: rbd_aio_mirror_image_create_snapshot
void mirror_image_create_snapshot(Operation& operation, QueuePointer queue, const Image& image,
                                  uint32_t flags, uint64_t* snapshot_id);
// Makes this copy the primary one; as mirror_image::promote().
// Implements: rbd_aio_mirror_image_promote
void mirror_image_promote(Operation& operation, QueuePointer queue, const Image& image, bool force);
// Saves first what was written, and waits for that. Then makes the primary image a copy.
// Implements: rbd_aio_mirror_image_demote
void mirror_image_demote(Operation& operation, QueuePointer queue, const Image& image);
// Fills `*status`. Implements: rbd_aio_mirror_image_get_global_status
void mirror_image_get_status(Operation& operation, QueuePointer queue, const Image& image,
                             abi::rbd_mirror_image_global_status_t* status);

// Makes librbd signal `descriptor` for each asynchronous I/O call on the image that completes.
// `type`: constants::EVENT_TYPE_EVENTFD or EVENT_TYPE_PIPE. The caller keeps the descriptor open
// until the image is closed. Throws Error. Implements: rbd_set_image_notification
void set_notification(const Image& image, int descriptor, int type);
// Returns the number of such calls that have completed since the last poll, at most `most`. Throws
// Error. Implements: rbd_poll_io_events
int poll_events(const Image& image, int most);

}  // namespace rbdxx::aio
