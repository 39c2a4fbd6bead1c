#include "aio.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/aio.hpp>
#include <rbdxx/batch.hpp>
#include <rbdxx/detail/image_io.hpp>
#include <rbdxx/io.hpp>

#include "buffer.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "recovery.hpp"

namespace rbdxx::python {

namespace {

using Queue = engine::QueuePointer;

// One stretch of the image, from or to one stretch of memory.
struct Transfer final : LoopOperation {
    void submit(const Queue& queue) {
        uint64_t size = std::min(length - done, io::piece);
        without_gil([&] {
            if (writes) {
                if (done == 0) {
                    // librbd may ask the cluster for it.
                    image_size = image->size();
                }
                aio::write(*this, queue, *image, data + done, offset + done, size, flags);
            } else {
                aio::read(*this, queue, *image, data + done, offset + done, size, flags);
            }
        });
    }
    bool again(const Queue& queue) override {
        if (writes && recovery.again(*this, queue, *image, [&] { submit(queue); })) {
            return true;
        }
        const ssize_t answer = recovery.result(*this);
        if (answer < 0) {
            throw Error(static_cast<int>(-answer), region());
        }
        uint64_t asked = std::min(length - done, io::piece);
        uint64_t got = writes ? asked : static_cast<uint64_t>(answer);
        done += got;
        if (got < asked || done == length) {
            return false;
        }
        finish();
        submit(queue);
        return true;
    }
    py::object value() override {
        if (bytes) {
            return bytes->take(done);
        }
        // librbd cuts an asynchronous write at the end of the image without a word.
        if (writes && offset < image_size && image_size - offset < length) {
            throw IncompleteWrite(region() + io::wrote_only(image_size - offset, length));
        }
        return py::int_(done);
    }
    void reset() override {
        bytes.reset();
        buffer.release();
        done = 0;
        image_size = 0;
        LoopOperation::reset();
    }
    bool reusable() const override { return true; }
    std::string region() const {
        return io::region(writes ? "writing" : "reading", *image, offset, length);
    }

    const Image* image = nullptr;  // the owner's
    std::optional<NewBytes> bytes;
    Buffer buffer;
    char* data = nullptr;
    uint64_t offset = 0;
    uint64_t length = 0;
    uint64_t done = 0;
    uint64_t image_size = 0;
    int flags = 0;
    bool writes = false;
    Recovery recovery;
};

// One stretch of the image, from or to many pieces of memory.
struct VectorTransfer final : LoopOperation {
    void submit(const Queue& queue) {
        const ImageState& state = *image->state();
        without_gil([&] {
            LoopOperation::submit<detail::ImageIo>(
                queue, image->state(), state,
                [&](abi::rbd_completion_t made) {
                    return plan->submit(*state.functions, state.raw, index, made);
                },
                [&] { return region(); });
        });
    }
    bool again(const Queue& queue) override {
        if (plan->writes() && recovery.again(*this, queue, *image, [&] { submit(queue); })) {
            return true;
        }
        int code = plan->complete(index, recovery.result(*this));
        if (code == batch::incomplete) {
            throw IncompleteWrite(region() +
                                  io::wrote_only(plan->written(index), plan->length(index)));
        }
        if (code < 0) {
            throw Error(-code, region());
        }
        if (++index == plan->count()) {
            return false;
        }
        finish();
        submit(queue);
        return true;
    }
    py::object value() override { return py::int_(plan->done()); }
    void reset() override {
        buffers.clear();
        LoopOperation::reset();
    }
    std::string region() const {
        uint64_t at = std::min(index, plan->count() - 1);
        return io::region(plan->verb(), *image, plan->offset(at), plan->length(at));
    }

    const Image* image = nullptr;
    std::vector<Buffer> buffers;
    std::shared_ptr<batch::Vectors> plan;
    uint64_t index = 0;
    Recovery recovery;
};

// A call that answers with nothing but success; the future gets `answer`.
struct Plain final : LoopOperation {
    void submit(const Queue& queue) {
        without_gil([&] { call(*this, queue, *image); });
    }
    bool again(const Queue& queue) override {
        return writes && recovery.again(*this, queue, *image, [&] { submit(queue); });
    }
    py::object value() override {
        const ssize_t code = recovery.result(*this);
        if (code == -EILSEQ && difference) {
            mismatch = difference->place(mismatch);
            throw CompareMismatch(mismatch, message + io::differs_from(mismatch));
        }
        if (code < 0) {
            throw Error(static_cast<int>(-code), message);
        }
        return answer;
    }
    void reset() override {
        first.release();
        second.release();
        // The connection may go with the last share of it.
        without_gil([&] { finish(); });
        LoopOperation::reset();
    }

    const Image* image = nullptr;  // the owner's
    std::function<void(Plain& operation, const Queue& queue, const Image& on)> call;
    bool writes = false;
    Recovery recovery;
    Buffer first;
    Buffer second;
    py::object answer = py::none();
    std::string message;
    uint64_t mismatch = 0;
    std::optional<io::Difference> difference;  // of a comparison
};

struct Opening final : LoopOperation {
    explicit Opening(PyImage& image)
        : target(image), cluster(image.ioctx().ioctx->use().state().cluster) {}
    py::object value() override {
        if (result() < 0) {
            throw Error(static_cast<int>(-result()),
                        "error opening " + target.options().describe());
        }
        target.adopt(raw, std::move(cluster));
        return owner;
    }
    void unwanted() override {
        if (result() < 0) {
            return;
        }
        try {
            if (target.closed()) {
                target.adopt(raw, std::move(cluster));
            }
            // Closing waits for the cluster, which a loop must not.
            owner.attr("aio_close")(py::none());
        } catch (py::error_already_set& error) {
            error.discard_as_unraisable("closing an image that nobody waited for");
        }
    }
    void reset() override {
        without_gil([&] {
            finish();
            cluster.reset();
        });
        LoopOperation::reset();
    }

    PyImage& target;
    std::shared_ptr<ClusterState> cluster;
    abi::rbd_image_t raw = nullptr;
};

std::unique_ptr<Transfer> transfer(LoopQueue& queue, const Image& image, uint64_t offset,
                                   uint64_t length, int flags, bool writes) {
    auto made = queue.reused<Transfer>();
    if (!made) {
        made = std::make_unique<Transfer>();
    }
    made->image = &image;
    made->offset = offset;
    made->length = length;
    made->flags = flags;
    made->writes = writes;
    made->recovery.prepare(image);
    return made;
}

// Submits an operation that knows by itself what it is to do.
constexpr auto itself = [](auto& operation, const Queue& queue) { operation.submit(queue); };

std::unique_ptr<Plain> on_region(const char* verb, const Image& image, uint64_t offset,
                                 uint64_t length) {
    auto made = std::make_unique<Plain>();
    made->message = io::region(verb, image, offset, length);
    made->answer = py::int_(length);
    made->writes = true;
    made->recovery.prepare(image);
    return made;
}

PyImage& image_of(const py::object& image) {
    if (!py::isinstance<PyImage>(image)) {
        throw py::type_error("image must be an rbd.Image");
    }
    return image.cast<PyImage&>();
}

}  // namespace

AsyncCalls::AsyncCalls(py::object image, py::object queue_of)
    : image_(std::move(image)), target_(&image_of(image_)), current_(std::move(queue_of)) {}

AsyncCalls::Here AsyncCalls::here() {
    Handle& handle = *target_->get().state();
    if (handle.forked()) {
        // Throws, before a lock that another thread may have held when this process was forked off.
        handle.enter();
    }
    return current_.here();
}

template <class Made, class Call>
py::object AsyncCalls::submit(const Here& here, std::unique_ptr<Made> operation, const Call& call) {
    return current_.submit(here, std::move(operation), image_, call);
}

template <class Made, class Call>
py::object AsyncCalls::plain(std::unique_ptr<Made> operation, Call call) {
    operation->image = &target_->get();
    operation->call = std::move(call);
    return submit(here(), std::move(operation), itself);
}

py::object AsyncCalls::done(const py::object& value) {
    py::object future = current_.future_of(here());
    future.attr("set_result")(value);
    return future;
}

py::object AsyncCalls::read(uint64_t offset, uint64_t length, int flags) {
    const Image& from = target_->get();
    length = memory_for(from, offset, length);
    Here at = here();
    auto made = transfer(*at.queue, from, offset, length, flags, false);
    made->bytes.emplace(length);
    made->data = made->bytes->data();
    return submit(at, std::move(made), itself);
}

py::object AsyncCalls::buffered(py::handle memory, uint64_t offset, int flags, bool writes) {
    const Image& on = target_->get();
    Buffer buffer(memory, writes ? Buffer::Access::read : Buffer::Access::write);
    Here at = here();
    auto made = transfer(*at.queue, on, offset, buffer.size(), flags, writes);
    made->data = buffer.data();
    made->buffer = std::move(buffer);
    return submit(at, std::move(made), itself);
}

py::object AsyncCalls::vectored(const py::object& buffers, uint64_t offset, bool writes) {
    const Image& on = target_->get();
    auto made = std::make_unique<VectorTransfer>();
    made->image = &on;
    made->recovery.prepare(on);
    made->buffers = all_buffers(buffers, writes ? Buffer::Access::read : Buffer::Access::write);
    auto vectors = vectors_of(made->buffers);
    without_gil([&] {
        made->plan = writes ? std::make_shared<batch::Vectors>(on, std::move(vectors), offset)
                            : std::make_shared<batch::Vectors>(std::move(vectors), offset);
        made->plan->require(on.use().functions());
    });
    if (made->plan->count() == 0) {
        return done(py::int_(0));
    }
    return submit(here(), std::move(made), itself);
}

py::object AsyncCalls::discard(uint64_t offset, uint64_t length) {
    return plain(on_region("discarding", target_->get(), offset, length),
                 [=](Plain& operation, const Queue& queue, const Image& on) {
                     aio::discard(operation, queue, on, offset, length);
                 });
}

py::object AsyncCalls::write_zeroes(uint64_t offset, uint64_t length, int zero_flags) {
    return plain(on_region("zeroing", target_->get(), offset, length),
                 [=](Plain& operation, const Queue& queue, const Image& on) {
                     aio::write_zeroes(operation, queue, on, offset, length, zero_flags);
                 });
}

py::object AsyncCalls::write_same(py::handle data, uint64_t offset, uint64_t length, int flags) {
    auto made = on_region("writing", target_->get(), offset, length);
    made->first = Buffer(data, Buffer::Access::read);
    return plain(std::move(made), [=](Plain& operation, const Queue& queue, const Image& on) {
        aio::write_same(operation, queue, on, operation.first.data(), operation.first.size(),
                        offset, length, flags);
    });
}

py::object AsyncCalls::compare_and_write(py::handle compare, py::handle data, uint64_t offset,
                                         int flags) {
    Buffer expected(compare, Buffer::Access::read);
    Buffer buffer(data, Buffer::Access::read);
    if (expected.size() != buffer.size()) {
        throw py::value_error("compare and data must be of one size");
    }
    auto made = on_region("comparing and writing", target_->get(), offset, buffer.size());
    made->first = std::move(expected);
    made->second = std::move(buffer);
    return plain(std::move(made), [=](Plain& operation, const Queue& queue, const Image& on) {
        operation.difference.emplace(on, offset, operation.second.size());
        aio::compare_and_write(operation, queue, on, operation.first.data(),
                               operation.second.data(), offset, operation.second.size(),
                               &operation.mismatch, flags);
    });
}

py::object AsyncCalls::flush() {
    auto made = std::make_unique<Plain>();
    made->message = "error flushing " + target_->get().describe();
    made->writes = true;
    made->recovery.prepare(target_->get());
    return plain(std::move(made), aio::flush);
}

py::object AsyncCalls::close() {
    if (target_->closed() || target_->abandon_if_disconnected()) {
        target_->close();
        return done(py::none());
    }
    auto made = std::make_unique<Plain>();
    made->message = "error closing " + target_->get().describe();
    // Several tasks may wait for it: an asyncio future, which asyncio.shield() takes.
    const Image& on = target_->get();
    const Here at = here();
    py::object future = current_.future_of(at);
    at.queue->submit(std::move(made), future, image_, [&](Plain& operation, const Queue& queue) {
        without_gil([&] { aio::close(operation, queue, on); });
    });
    return future;
}

void open_in_loop(LoopQueue& queue, const py::object& future, const IoCtxArgument& ioctx,
                  const OpenOptions& options) {
    auto target = std::make_unique<PyImage>(PyImage::Later{}, ioctx, options);
    PyImage& opened = *target;
    py::object image = py::cast(std::move(target));
    queue.submit(
        std::make_unique<Opening>(opened), future, image, [&](Opening& operation, const Queue& at) {
            without_gil([&] {
                aio::open(operation, at, *opened.ioctx().ioctx, opened.options(), &operation.raw);
            });
        });
}

}  // namespace rbdxx::python
