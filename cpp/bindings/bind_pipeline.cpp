#include <chrono>
#include <memory>
#include <vector>

#include <rbdxx/reader.hpp>
#include <rbdxx/writer.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/work.hpp"

namespace rbdxx::python {

namespace {

// A pipeline that can be closed, and the memory that it uses.
template <class Pipeline>
class Closable {
public:
    template <class... Numbers>
    Closable(const PyImage& image, const py::object& memory, const Numbers&... numbers) {
        std::vector<Buffer> buffers;
        const Buffer& ring = buffers.emplace_back(memory, Buffer::Access::write);
        char* const data = ring.data();
        const uint64_t capacity = ring.size();
        work_ = std::make_unique<OnBuffers<Pipeline>>(std::move(buffers), image.get(), data,
                                                      capacity, numbers..., Callbacks::owner());
    }

    Pipeline& get() {
        if (work_ == nullptr) {
            throw ArgumentError("the pipeline is closed");
        }
        return *work_;
    }

    // Closes. Raises what a signal handler raises during the wait for operations in flight, and
    // abandons them then.
    void close() {
        while (work_ != nullptr && !without_gil([&] { return work_->wait_for(signal_interval); })) {
            try {
                check_signals();
            } catch (py::error_already_set&) {
                abandon(std::move(work_));
                throw;
            }
        }
        work_.reset();
    }

private:
    std::unique_ptr<OnBuffers<Pipeline>> work_;
};

// Returns the longest time that one call waits, from the milliseconds that Python passes.
pipeline::Wait wait_of(unsigned milliseconds) {
    return std::chrono::milliseconds(milliseconds);
}

using Reader = Closable<pipeline::Reader>;
using Writer = Closable<pipeline::Writer>;

py::list pop(Reader& self, unsigned milliseconds) {
    check_signals();
    auto chunks = without_gil([&] { return self.get().pop(wait_of(milliseconds)); });
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
        "Add an extent. Return False if there is no room yet.", py::arg("offset"),
        py::arg("length"), py::arg("exists"));
    define(reader, "pop", pop,
           "Return a list of (offset, length, start in the memory or -1 for zeroes, bytes read).",
           py::arg("milliseconds"));
    define(
        reader, "idle", [](Reader& self) { return self.get().idle(); },
        "Return whether everything was popped.");
    define(reader, "close", &Reader::close, "Wait for the calls in flight.");

    py::class_<Writer> writer(m, "_WritePipeline", "Extents of an image, written behind.");
    writer.def(py::init(
        [](const PyImage& image, const py::object& memory, uint64_t depth, uint64_t sparse,
           bool fresh) { return std::make_unique<Writer>(image, memory, depth, sparse, fresh); }));
    define(
        writer, "reserve",
        [](Writer& self, uint64_t length, unsigned milliseconds) {
            check_signals();
            return without_gil([&] { return self.get().reserve(length, wait_of(milliseconds)); });
        },
        "Reserve memory and return its offset, or -1 if there is no room yet.", py::arg("length"),
        py::arg("milliseconds"));
    define(
        writer, "write",
        [](Writer& self, const U64& offset, uint64_t length) {
            if (self.get().overlaps(offset)) {
                return -1;
            }
            return without_gil([&] { return self.get().write(offset, length); }) ? 1 : 0;
        },
        "Write the memory that was reserved last. Return 0 for zeroes alone, 1 for other data, "
        "and\n"
        "-1, without writing, if the extent may overlap one added since the last drain().",
        py::arg("offset"), py::arg("length"));
    define(
        writer, "zero",
        [](Writer& self, const U64& offset, const U64& length, unsigned milliseconds) {
            check_signals();
            return without_gil(
                [&] { return self.get().zero(offset, length, wait_of(milliseconds)); });
        },
        "Make an extent zero. Return False if there is no room yet.", py::arg("offset"),
        py::arg("length"), py::arg("milliseconds"));
    define(
        writer, "take",
        [](Writer& self, const py::object& view, int version, const U64& limit,
           unsigned milliseconds) {
            const Buffer stream(view, Buffer::Access::read);
            return without_gil([&] {
                return self.get().take(stream.data(), stream.size(), version, limit,
                                       wait_of(milliseconds));
            });
        },
        "Write the whole records at the beginning of a piece of a difference. Return their length.",
        py::arg("view"), py::arg("version"), py::arg("limit"), py::arg("milliseconds"));
    define(
        writer, "overlaps",
        [](Writer& self, const U64& offset) { return self.get().overlaps(offset); },
        "Return whether an extent from there may overlap one added since the last drain().",
        py::arg("offset"));
    define(
        writer, "drain",
        [](Writer& self, unsigned milliseconds) {
            check_signals();
            return without_gil([&] { return self.get().drain(wait_of(milliseconds)); });
        },
        "Return whether everything is written.", py::arg("milliseconds"));
    define(writer, "close", &Writer::close, "Wait for the calls in flight.");

    m.def(
        "_call_back",
        [](const py::object& function, const py::args& arguments) {
            // The function may close the image of the transfer that calls it.
            CallbackScope scope;
            return function(*arguments);
        },
        "Call a function of the user's during a transfer.");
}

}  // namespace rbdxx::python
