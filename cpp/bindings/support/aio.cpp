#include "aio.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/aio.hpp>
#include <rbdxx/detail/image_io.hpp>
#include <rbdxx/io.hpp>

#include "awaited_batch.hpp"
#include "buffer.hpp"
#include "errors.hpp"
#include "gil.hpp"
#include "recovery.hpp"

namespace rbdxx::python {

namespace {

using Queue = engine::QueuePointer;

// Moves one region of the image from or to one region of memory.
//
// A write needs the image's size, because librbd truncates an asynchronous write at the end of the
// image without reporting it. So does a large read: if another client has grown the image, librbd
// truncates the read at the former end. librbd may have to ask the cluster for the size, without a
// limit of time, so a separate thread asks.
struct Transfer final : LoopOperation {
    void submit(const Queue& queue) {
        // Writes would not gain by being held.
        if (!writes && done == 0 && length <= large_read && queue->holds()) {
            const ImageState& state = *image->state();
            require(*state.functions);
            begin<detail::ImageIo>(queue, image->state(), state);
            if (!queue->hold(this)) {
                without_gil([&] { queue->submit_held(); });
            }
            return;
        }
        without_gil([&] {
            if (done == 0 && (writes || length > large_read)) {
                const uint64_t end = offset + std::min(length, UINT64_MAX - offset);
                if (const auto known = aio::known_size(*image, end)) {
                    image_size = *known;
                } else {
                    submit_later(queue);
                    return;
                }
            }
            const uint64_t part = std::min(length - done, io::piece);
            if (writes) {
                aio::write(*this, queue, *image, data + done, offset + done, part, flags);
            } else {
                aio::read(*this, queue, *image, data + done, offset + done, part, flags);
            }
        });
    }
    void submit_held() noexcept override {
        const auto& state = static_cast<const ImageState&>(*handle());
        submit_begun<detail::ImageIo>(
            state, [&](abi::rbd_completion_t made) { return call(state, made); });
    }
    // Submits a read whose length may not fit into memory, if the image has less data than that.
    void submit_huge(const Queue& queue) {
        step = Step::measuring;
        without_gil([&] { ask_size(queue); });
    }
    bool again(const Queue& queue) override {
        switch (step) {
            case Step::measuring:
                measured(queue);
                return true;
            case Step::verifying:
                return false;
            case Step::moving:
                break;
        }
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
            return writes && verify(queue);
        }
        finish();
        submit(queue);
        return true;
    }
    py::object value() override {
        if (bytes) {
            return bytes->take(done);
        }
        const uint64_t end = image_size.bytes;
        if (writes && offset < end && end - offset < length) {
            throw IncompleteWrite(region() + io::wrote_only(end - offset, length));
        }
        return py::int_(done);
    }
    void reset() override {
        bytes.reset();
        buffer.release();
        done = 0;
        image_size = {};
        step = Step::moving;
        LoopOperation::reset();
    }
    bool reusable() const override { return true; }
    std::string region() const {
        return io::region(writes ? "writing" : "reading", *image, offset, length);
    }

    const Image* image = nullptr;  // belongs to the owner
    std::optional<NewBytes> bytes;
    Buffer buffer;
    char* data = nullptr;
    uint64_t offset = 0;
    uint64_t length = 0;
    uint64_t done = 0;
    int flags = 0;
    bool writes = false;
    Recovery recovery;

private:
    static constexpr uint64_t large_read = uint64_t{1} << 20;
    enum class Step { moving, measuring, verifying };

    // Submits the first piece, in one C call.
    ssize_t call(const ImageState& on, abi::rbd_completion_t made) noexcept {
        const abi::Functions& c = *on.functions;
        const uint64_t part = std::min(length, io::piece);
        if (writes) {
            return flags == 0 ? c.rbd_aio_write(on.raw, offset, part, data, made)
                              : c.rbd_aio_write2(on.raw, offset, part, data, made, flags);
        }
        return flags == 0 ? c.rbd_aio_read(on.raw, offset, part, data, made)
                          : c.rbd_aio_read2(on.raw, offset, part, data, made, flags);
    }
    void require(const abi::Functions& functions) const {
        if (writes) {
            flags == 0 ? functions.rbd_aio_write.require() : functions.rbd_aio_write2.require();
        } else {
            flags == 0 ? functions.rbd_aio_read.require() : functions.rbd_aio_read2.require();
        }
    }
    // Submits the first piece from the thread that asks for the size.
    void submit_later(const Queue& queue) {
        const ImageState& state = *image->state();
        require(*state.functions);
        writes ? begin<detail::ImageWrite>(queue, image->state(), state)
               : begin<detail::ImageIo>(queue, image->state(), state);
        try {
            aio::ask_size(*image, &image_size, [this, &state](int code) {
                submit_begun<detail::ImageIo>(state, [&](abi::rbd_completion_t made) {
                    return code < 0 ? code : call(state, made);
                });
            });
        } catch (...) {
            withdraw<detail::ImageIo>(state);
            throw;
        }
    }
    void ask_size(const Queue& queue) {
        begin(queue, image->state());
        try {
            aio::ask_size(*image, &image_size, [this](int code) { complete(code); });
        } catch (...) {
            withdraw();
            throw;
        }
    }
    void measured(const Queue& queue) {
        if (result() < 0) {
            throw Error(static_cast<int>(-result()), region());
        }
        finish();
        step = Step::moving;
        // For a length of 0, librbd would not report an offset beyond the end.
        const uint64_t end = image_size.bytes;
        length = std::max(offset >= end ? 0 : std::min(length, end - offset), uint64_t{1});
        data = bytes.emplace(length).data();
        submit(queue);
    }
    // The image may have become smaller before the last piece was written.
    bool verify(const Queue& queue) noexcept {
        if (!aio::changed_since(*image, image_size)) {
            return false;
        }
        try {
            without_gil([&] {
                finish();
                ask_size(queue);
            });
        } catch (const std::exception&) {
            return false;  // closed meanwhile, or no thread can be started
        }
        step = Step::verifying;
        return true;
    }

    detail::Size image_size;
    Step step = Step::moving;
};

// A call whose only result is success; the future gets `answer`.
struct Plain final : LoopOperation {
    void submit(const Queue& queue) {
        without_gil([&] { call(*this, queue, *image); });
    }
    bool again(const Queue& queue) override {
        if (placing) {
            return false;
        }
        if (writes && recovery.again(*this, queue, *image, [&] { submit(queue); })) {
            return true;
        }
        if (compared == 0 || recovery.result(*this) != -EILSEQ) {
            return false;
        }
        // The place of the difference depends on the image's layout. librbd may have to ask the
        // cluster for that.
        without_gil([&] {
            finish();
            aio::in_thread(*this, queue, *image, [this] {
                mismatch = io::Difference(*image, offset, compared).place(mismatch);
            });
        });
        placing = true;
        return true;
    }
    py::object value() override {
        const ssize_t code = placing ? result() : recovery.result(*this);
        if (placing && code >= 0) {
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
        // The last share of the connection may end it.
        without_gil([&] { finish(); });
        LoopOperation::reset();
    }

    const Image* image = nullptr;  // belongs to the owner
    std::function<void(Plain& operation, const Queue& queue, const Image& on)> call;
    bool writes = false;
    Recovery recovery;
    Buffer first;
    Buffer second;
    py::object answer = py::none();
    std::string message;
    uint64_t offset = 0;
    uint64_t compared = 0;  // bytes
    uint64_t mismatch = 0;
    bool placing = false;  // looks for the place where a comparison found a difference
};

struct Closing final : LoopOperation {
    explicit Closing(const Image& image) : image(image) {}
    py::object value() override {
        image.check_closed(static_cast<int>(result()));
        return py::none();
    }

    const Image& image;  // belongs to the owner
};

struct Opening final : LoopOperation {
    explicit Opening(PyImage& image)
        : target(image), cluster(image.ioctx().ioctx->use().state().cluster) {
        never_wait();
    }
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
            // Closing waits for the cluster, and a loop must not wait.
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

// Submits an operation that knows what to do.
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
    return current_.here(*target_->get().state());
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
    constexpr uint64_t huge_read = uint64_t{64} << 20;
    const Image& from = target_->get();
    Here at = here();
    auto made = transfer(*at.queue, from, offset, length, flags, false);
    if (length > huge_read) {
        return submit(at, std::move(made), [](Transfer& operation, const Queue& queue) {
            operation.submit_huge(queue);
        });
    }
    made->data = made->bytes.emplace(length).data();
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

py::tuple AsyncCalls::batch(BatchRequest request) {
    const Here at = here();
    auto made = std::make_unique<AwaitedBatch>(target_->get(), std::move(request));
    std::shared_ptr<AwaitedBatch::Stop> stop = made->stop();
    py::object awaited = submit(at, std::move(made), [](AwaitedBatch& operation, const Queue& to) {
        without_gil([&] { operation.submit(to); });
    });
    return py::make_tuple(std::move(awaited), py::cpp_function([stop] { (*stop)(); }));
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
        throw py::value_error("compare and data must have the same size");
    }
    auto made = on_region("comparing and writing", target_->get(), offset, buffer.size());
    made->first = std::move(expected);
    made->second = std::move(buffer);
    made->offset = offset;
    made->compared = made->second.size();
    return plain(std::move(made), [=](Plain& operation, const Queue& queue, const Image& on) {
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
    // Several tasks may wait for it, so this is an asyncio future, which asyncio.shield() accepts.
    const Image& on = target_->get();
    const Here at = here();
    py::object future = current_.future_of(at);
    at.queue->submit(std::make_unique<Closing>(on), future, image_,
                     [&](Closing& operation, const Queue& queue) {
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
