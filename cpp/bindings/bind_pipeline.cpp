#include <memory>

#include <rbdxx/reader.hpp>
#include <rbdxx/writer.hpp>

#include "support/bindings.hpp"
#include "support/buffer.hpp"
#include "support/callbacks.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

// A pipeline, with the memory and the image that it works on.
template <class Pipeline>
class Held {
public:
    template <class... Numbers>
    Held(const PyImage& image, const py::object& memory, const Numbers&... numbers)
        : work_(std::make_unique<Work>(image, memory, numbers...)) {}
    ~Held() {
        if (work_) {
            close_now();
        }
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    Pipeline& get() {
        if (!work_) {
            throw ArgumentError("the pipeline is closed");
        }
        return work_->pipeline;
    }

    // Raises what a signal handler raises while it waits for what is under way, which the callback
    // thread then lets go of.
    void close() {
        if (!work_) {
            return;
        }
        while (!without_gil([&] { return get().settle_within(signal_interval); })) {
            try {
                check_signals();
            } catch (py::error_already_set&) {
                leave_behind();
                throw;
            }
        }
        close_now();
    }

private:
    struct Work final : PyOperation {
        template <class... Numbers>
        Work(const PyImage& image, const py::object& memory, const Numbers&... numbers)
            : buffer(memory, Buffer::Access::write),
              pipeline(image.get(), buffer.data(), buffer.size(), numbers...) {}
        void deliver() noexcept override {
            // The last use of an image may close it.
            without_gil([this] { pipeline.close(); });
            delete this;
        }
        Buffer buffer;
        Pipeline pipeline;
    };

    void close_now() {
        without_gil([&] { work_->pipeline.close(); });
    }

    void leave_behind() {
        Work* const work = work_.get();
        auto settled = [work, queue = Callbacks::heir()] { queue->push(work); };
        if (work->pipeline.leave_to(settled)) {
            work_.release();  // NOLINT(bugprone-unused-return-value): it is its own owner now
        }
    }

    std::unique_ptr<Work> work_;
};

using Reader = Held<pipeline::Reader>;
using Writer = Held<pipeline::Writer>;

py::list pop(Reader& self, unsigned milliseconds) {
    auto chunks = without_gil([&] { return self.get().pop(milliseconds); });
    py::list list(chunks.size());
    for (std::size_t i = 0; i < chunks.size(); ++i) {
        const pipeline::Chunk& chunk = chunks[i];
        list[i] = py::make_tuple(chunk.offset, chunk.length, chunk.start, chunk.done);
    }
    return list;
}

}  // namespace

void bind_pipeline(py::module_& m) {
    py::class_<Reader> reader(m, "_ReadPipeline", "Extents of an image, read ahead in order.");
    reader.def(py::init([](const PyImage& image, const py::object& memory, uint64_t depth,
                           uint64_t piece, uint64_t grain, uint64_t gap) {
        return std::make_unique<Reader>(image, memory, depth, piece, grain, gap);
    }));
    define(
        reader, "push",
        [](Reader& self, const U64& offset, const U64& length, bool exists) {
            return without_gil([&] { return self.get().push(offset, length, exists); });
        },
        "Takes an extent, or gives False while there is no room.", py::arg("offset"),
        py::arg("length"), py::arg("exists"));
    define(reader, "pop", pop,
           "A list of (offset, length, start in the memory or -1 for zeroes, bytes read).",
           py::arg("milliseconds"));
    define(
        reader, "idle", [](Reader& self) { return self.get().idle(); },
        "Whether everything was popped.");
    define(reader, "close", &Reader::close, "Waits for what is under way.");

    py::class_<Writer> writer(m, "_WritePipeline", "Extents of an image, written behind.");
    writer.def(py::init([](const PyImage& image, const py::object& memory, uint64_t depth,
                           uint64_t sparse, bool zeroes_runs) {
        return std::make_unique<Writer>(image, memory, depth, sparse, zeroes_runs);
    }));
    define(
        writer, "reserve",
        [](Writer& self, uint64_t length, unsigned milliseconds) {
            return without_gil([&] { return self.get().reserve(length, milliseconds); });
        },
        "Where in the memory there is room; -1 while there is none.", py::arg("length"),
        py::arg("milliseconds"));
    define(
        writer, "write",
        [](Writer& self, const U64& offset, uint64_t length) {
            without_gil([&] { self.get().write(offset, length); });
        },
        "Writes what was reserved last.", py::arg("offset"), py::arg("length"));
    define(
        writer, "zero",
        [](Writer& self, const U64& offset, const U64& length, unsigned milliseconds) {
            return without_gil([&] { return self.get().zero(offset, length, milliseconds); });
        },
        "Makes an extent zero, or gives False while there is no room.", py::arg("offset"),
        py::arg("length"), py::arg("milliseconds"));
    define(
        writer, "drain",
        [](Writer& self, unsigned milliseconds) {
            return without_gil([&] { return self.get().drain(milliseconds); });
        },
        "Whether everything is written.", py::arg("milliseconds"));
    define(writer, "close", &Writer::close, "Waits for what is under way.");

    m.def(
        "_call_back",
        [](const py::object& function, const py::args& arguments) {
            // The function may close the image of the transfer that calls it.
            CallbackScope scope;
            return function(*arguments);
        },
        "Calls a function of the user's from within a transfer.");
}

}  // namespace rbdxx::python
