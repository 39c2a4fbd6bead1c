// What rbd.aio is made of: each call takes an asyncio future, and resolves it when the loop drains
// the queue.
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <rbdxx/aio.hpp>
#include <rbdxx/batch.hpp>
#include <rbdxx/io.hpp>

#include "bindings.hpp"
#include "buffer.hpp"
#include "gil.hpp"
#include "loop_queue.hpp"

namespace rbdxx::python {

namespace {

using Queue = std::shared_ptr<aio::Queue>;

// One stretch of the image, from or to one stretch of memory.
struct Transfer final : LoopOperation {
    void start(const Queue& queue) {
        uint64_t size = std::min(length - done, io::piece);
        without_gil([&] {
            if (writes) {
                aio::write(*this, queue, *image, data + done, offset + done, size, flags);
            } else {
                aio::read(*this, queue, *image, data + done, offset + done, size, flags);
            }
        });
    }
    bool again(const Queue& queue) override {
        if (result() < 0) {
            throw Error(static_cast<int>(-result()), region());
        }
        uint64_t asked = std::min(length - done, io::piece);
        uint64_t got = writes ? asked : static_cast<uint64_t>(result());
        done += got;
        if (got < asked || done == length) {
            return false;
        }
        finish();
        start(queue);
        return true;
    }
    py::object value() override {
        if (bytes) {
            return bytes->take(done);
        }
        // librbd cuts an asynchronous write at the end of the image without a word.
        if (writes && offset < image_size && image_size - offset < length) {
            throw IncompleteWrite(region() + ": only " + std::to_string(image_size - offset) +
                                  " bytes were written");
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
};

// One stretch of the image, from or to many pieces of memory.
struct VectorTransfer final : LoopOperation {
    void start(const Queue& queue) {
        const ImageState& state = *image->state();
        of_image(state);
        LoopOperation::start(
            queue, image->state(), *state.functions,
            [&](abi::rbd_completion_t made) {
                return without_gil(
                    [&] { return plan->submit(*state.functions, state.raw, index, made); });
            },
            [&] { return region(); });
    }
    bool again(const Queue& queue) override {
        int code = plan->settle(index, result());
        if (code == batch::incomplete) {
            throw IncompleteWrite(region() + ": it goes across the end of the image");
        }
        if (code < 0) {
            throw Error(-code, region());
        }
        if (++index == plan->count()) {
            return false;
        }
        finish();
        start(queue);
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
};

// A call that answers with nothing but success; the future gets `answer`.
struct Plain final : LoopOperation {
    py::object value() override {
        if (result() == -EILSEQ && difference) {
            mismatch = difference->place(mismatch);
            throw CompareMismatch(mismatch,
                                  message + ": other data from " + std::to_string(mismatch));
        }
        if (result() < 0) {
            throw Error(static_cast<int>(-result()), message);
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

const Image& image_of(const py::object& image) {
    return image.cast<const PyImage&>().get();
}

void launch(LoopQueue& self, std::unique_ptr<Transfer> transfer, const py::object& future,
            const py::object& image) {
    self.launch(std::move(transfer), future, image,
                [](Transfer& made, const Queue& queue) { made.start(queue); });
}

std::unique_ptr<Transfer> transfer(LoopQueue& self, const Image& image, uint64_t offset,
                                   uint64_t length, int flags, bool writes) {
    auto made = self.reused<Transfer>();
    if (!made) {
        made = std::make_unique<Transfer>();
    }
    made->image = &image;
    made->offset = offset;
    made->length = length;
    made->flags = flags;
    made->writes = writes;
    return made;
}

void read(LoopQueue& self, const py::object& future, const py::object& image, const U64& offset,
          const U64& length, const Flags& flags) {
    const Image& from = image_of(image);
    uint64_t wanted = memory_for(from, offset, length);
    auto made = transfer(self, from, offset, wanted, flags, false);
    made->bytes.emplace(wanted);
    made->data = made->bytes->data();
    launch(self, std::move(made), future, image);
}

void readinto(LoopQueue& self, const py::object& future, const py::object& image,
              const py::object& target, const U64& offset, const Flags& flags) {
    const Image& from = image_of(image);
    Buffer buffer(target, Buffer::Access::write);
    auto made = transfer(self, from, offset, buffer.size(), flags, false);
    made->data = buffer.data();
    made->buffer = std::move(buffer);
    launch(self, std::move(made), future, image);
}

void write(LoopQueue& self, const py::object& future, const py::object& image,
           const py::object& data, const U64& offset, const Flags& flags) {
    const Image& to = image_of(image);
    Buffer buffer(data, Buffer::Access::read);
    auto made = transfer(self, to, offset, buffer.size(), flags, true);
    made->image_size = to.size();
    made->data = buffer.data();
    made->buffer = std::move(buffer);
    launch(self, std::move(made), future, image);
}

void vectored(LoopQueue& self, const py::object& future, const py::object& image,
              const py::object& buffers, uint64_t offset, bool writes) {
    const Image& on = image_of(image);
    auto made = std::make_unique<VectorTransfer>();
    made->image = &on;
    made->buffers = all_buffers(buffers, writes ? Buffer::Access::read : Buffer::Access::write);
    auto vectors = vectors_of(made->buffers);
    made->plan = writes ? std::make_shared<batch::Vectors>(on, std::move(vectors), offset)
                        : std::make_shared<batch::Vectors>(std::move(vectors), offset);
    made->plan->require(on.use().functions());
    if (made->plan->count() == 0) {
        self.resolve(future, py::int_(0));
        return;
    }
    self.launch(std::move(made), future, image,
                [](VectorTransfer& operation, const Queue& queue) { operation.start(queue); });
}

// `start(operation, queue, image)` of a call that answers with nothing but success.
template <class Start>
void plain(LoopQueue& self, const py::object& future, const py::object& image,
           std::unique_ptr<Plain> made, const Start& start) {
    const Image& on = image_of(image);
    self.launch(std::move(made), future, image, [&](Plain& operation, const Queue& queue) {
        without_gil([&] { start(operation, queue, on); });
    });
}

std::unique_ptr<Plain> on_region(const char* verb, const py::object& image, uint64_t offset,
                                 uint64_t length) {
    auto made = std::make_unique<Plain>();
    made->message = io::region(verb, image_of(image), offset, length);
    made->answer = py::int_(length);
    return made;
}

void write_same(LoopQueue& self, const py::object& future, const py::object& image,
                const py::object& data, const U64& offset, const U64& length, const Flags& flags) {
    auto made = on_region("writing", image, offset, length);
    made->first = Buffer(data, Buffer::Access::read);
    plain(self, future, image, std::move(made),
          [&](Plain& operation, const Queue& queue, const Image& on) {
              aio::write_same(operation, queue, on, operation.first.data(), operation.first.size(),
                              offset, length, flags);
          });
}

void compare_and_write(LoopQueue& self, const py::object& future, const py::object& image,
                       const py::object& compare, const py::object& data, const U64& offset,
                       const Flags& flags) {
    Buffer expected(compare, Buffer::Access::read);
    Buffer buffer(data, Buffer::Access::read);
    if (expected.size() != buffer.size()) {
        throw py::value_error("compare and data must be of one size");
    }
    auto made = on_region("comparing and writing", image, offset, buffer.size());
    made->first = std::move(expected);
    made->second = std::move(buffer);
    plain(self, future, image, std::move(made),
          [&](Plain& operation, const Queue& queue, const Image& on) {
              operation.difference.emplace(on, offset, operation.second.size());
              aio::compare_and_write(operation, queue, on, operation.first.data(),
                                     operation.second.data(), offset, operation.second.size(),
                                     &operation.mismatch, flags);
          });
}

void close(LoopQueue& self, const py::object& future, const py::object& image) {
    auto& target = image.cast<PyImage&>();
    if (target.closed() || target.abandon_if_disconnected()) {
        target.close();
        self.resolve(future, py::none());
        return;
    }
    auto made = std::make_unique<Plain>();
    made->message = "error closing " + target->describe();
    plain(self, future, image, std::move(made), aio::close);
}

void open(LoopQueue& self, const py::object& future, const IoCtxArgument& ioctx,
          const std::optional<Name>& name, const std::optional<Name>& snapshot, bool read_only,
          const std::optional<Name>& image_id) {
    OpenOptions options = open_options(name, snapshot, read_only, image_id);
    auto target = std::make_unique<PyImage>(PyImage::Later{}, ioctx, options);
    PyImage& opened = *target;
    py::object image = py::cast(std::move(target));
    self.launch(std::make_unique<Opening>(opened), future, image,
                [&](Opening& operation, const Queue& queue) {
                    without_gil([&] {
                        aio::open(operation, queue, *opened.ioctx().ioctx, opened.options(),
                                  &operation.raw);
                    });
                });
}

}  // namespace

void bind_aio(py::module_& m) {
    // For rbd.aio alone: it checks nothing that the functions above do not, and documents all.
    py::class_<LoopQueue> type(m, "_LoopQueue", "The completions of one event loop.");
    type.def(py::init<>());
    type.def("fileno", &LoopQueue::descriptor);
    type.def("drain", &LoopQueue::drain);
    type.def_property_readonly("in_flight", &LoopQueue::in_flight);
    type.def("read", read);
    type.def("readinto", readinto);
    type.def("write", write);
    type.def("readv", [](LoopQueue& self, const py::object& future, const py::object& image,
                         const py::object& buffers, const U64& offset) {
        vectored(self, future, image, buffers, offset, false);
    });
    type.def("writev", [](LoopQueue& self, const py::object& future, const py::object& image,
                          const py::object& buffers, const U64& offset) {
        vectored(self, future, image, buffers, offset, true);
    });
    type.def("discard", [](LoopQueue& self, const py::object& future, const py::object& image,
                           const U64& offset, const U64& length) {
        plain(self, future, image, on_region("discarding", image, offset, length),
              [&](Plain& operation, const Queue& queue, const Image& on) {
                  aio::discard(operation, queue, on, offset, length);
              });
    });
    type.def("write_zeroes", [](LoopQueue& self, const py::object& future, const py::object& image,
                                const U64& offset, const U64& length, const Flags& zero_flags) {
        plain(self, future, image, on_region("zeroing", image, offset, length),
              [&](Plain& operation, const Queue& queue, const Image& on) {
                  aio::write_zeroes(operation, queue, on, offset, length, zero_flags);
              });
    });
    type.def("write_same", write_same);
    type.def("compare_and_write", compare_and_write);
    type.def("flush", [](LoopQueue& self, const py::object& future, const py::object& image) {
        auto made = std::make_unique<Plain>();
        made->message = "error flushing " + image_of(image).describe();
        plain(self, future, image, std::move(made), aio::flush);
    });
    type.def("open", open);
    type.def("close", close);
}

}  // namespace rbdxx::python
