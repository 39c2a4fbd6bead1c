// The lists of a pool's mirrored images, which librbd returns in chunks.
#include <pybind11/stl.h>

#include <atomic>
#include <memory>
#include <mutex>

#include <rbdxx/mirrored.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/mirrored.hpp"

namespace rbdxx::python {

namespace {

// The number of images that one call of librbd returns.
constexpr std::size_t chunk_size = 1024;

// The entries read so far. An iterator that reaches their end reads the next chunk. Each iteration
// starts at the first entry. Threads may share it.
class Chunks {
public:
    explicit Chunks(IoCtxArgument ioctx) : ioctx_(std::move(ioctx)) {}
    virtual ~Chunks() = default;
    Chunks(const Chunks&) = delete;
    Chunks& operator=(const Chunks&) = delete;

    // Reads the next chunk, unless another thread has read one since there were `known` entries.
    void read(std::size_t known) {
        std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
        if (!lock) {
            // Throws in a forked process, in which nobody would unlock it.
            const auto use = ioctx().use();
            without_gil([&] { lock.lock(); });
        }
        if (complete_ || items_.size() > known) {
            return;
        }
        py::list entries;
        last_ = fetch(last_, entries);
        complete_ = entries.size() < chunk_size;
        for (py::handle entry : entries) {
            items_.append(entry);
        }
    }
    void read() { read(items_.size()); }
    py::object at(std::size_t index) {
        if (index >= items_.size()) {
            read(index);
        }
        if (index >= items_.size()) {
            throw py::stop_iteration();
        }
        return items_[index];
    }

protected:
    const IoCtx& ioctx() const { return ioctx_; }
    // Appends the entries after the image id `after`. Returns the last id, or `after`.
    virtual std::string fetch(const std::string& after, py::list& entries) = 0;

private:
    const IoCtxArgument ioctx_;
    std::mutex mutex_;
    py::list items_;
    std::string last_;
    bool complete_ = false;
};

struct ChunkIterator {
    explicit ChunkIterator(py::object all) : chunks(std::move(all)) {}

    py::object chunks;
    std::atomic<std::size_t> next{0};
};

class MirrorImageStatusIterator final : public Chunks {
public:
    using Chunks::Chunks;

protected:
    std::string fetch(const std::string& after, py::list& entries) override {
        auto found = without_gil([&] { return mirrored::statuses(ioctx(), after, chunk_size); });
        for (const auto& entry : found) {
            py::dict dict = to_dict(entry.status, entry.id);
            // The pool's list does not contain it: librbd would have to open every image.
            dict["info"].attr("pop")("primary");
            entries.append(dict);
        }
        return found.empty() ? after : found.back().id;
    }
};

class MirrorImageInstanceIdIterator final : public Chunks {
public:
    using Chunks::Chunks;

protected:
    std::string fetch(const std::string& after, py::list& entries) override {
        auto found = without_gil([&] { return mirrored::instances(ioctx(), after, chunk_size); });
        for (const auto& entry : found) {
            entries.append(py::make_tuple(text(entry.id), text(entry.instance_id)));
        }
        return found.empty() ? after : found.back().id;
    }
};

class MirrorImageInfoIterator final : public Chunks {
public:
    MirrorImageInfoIterator(IoCtxArgument ioctx, std::optional<int> mode)
        : Chunks(std::move(ioctx)), mode_(mode) {}

protected:
    std::string fetch(const std::string& after, py::list& entries) override {
        auto found =
            without_gil([&] { return mirrored::infos(ioctx(), mode_, after, chunk_size); });
        for (const auto& entry : found) {
            py::dict dict;
            dict["mode"] = entry.mode;
            for (const auto& [key, value] : to_dict(entry.info)) {
                dict[key] = value;
            }
            entries.append(py::make_tuple(text(entry.id), dict));
        }
        return found.empty() ? after : found.back().id;
    }

private:
    const std::optional<int> mode_;
};

// Returns a list whose first chunk has been read.
template <class Iterator, class... Arguments>
std::unique_ptr<Iterator> begun(const Arguments&... arguments) {
    auto iterator = std::make_unique<Iterator>(arguments...);
    iterator->read();
    return iterator;
}

template <class Iterator>
void define_iteration(py::class_<Iterator, Chunks>& cls) {
    define(
        cls, "__iter__",
        [](py::object self) { return std::make_unique<ChunkIterator>(std::move(self)); },
        "Iterate from the beginning. Read further chunks as needed.");
    define(
        cls, "get_next_chunk", [](Iterator& self) { self.read(); },
        "Read the next chunk. Iterating does this by itself.");
}

}  // namespace

void bind_mirrored(py::module_& m, RbdClass& rbd) {
    py::class_<ChunkIterator>(m, "_ChunkIterator", "Iterates over a list that is read in chunks.")
        .def("__iter__", [](py::object self) { return self; })
        .def("__next__",
             [](ChunkIterator& self) { return self.chunks.cast<Chunks&>().at(self.next++); });
    const py::class_<Chunks> base(m, "_Chunks", "A list that is read in chunks.");
    py::class_<MirrorImageStatusIterator, Chunks> statuses(
        m, "MirrorImageStatusIterator",
        "How the pool's mirrored images fare, each a dict as Image.mirror_image_get_status() "
        "gives it, but for primary.\n\nImplements: rbd_mirror_image_global_status_list, "
        "rbd_mirror_image_status_list");
    py::class_<MirrorImageInstanceIdIterator, Chunks> instances(
        m, "MirrorImageInstanceIdIterator",
        "Which daemon replays which image: pairs (image id, instance id).\n\nImplements: "
        "rbd_mirror_image_instance_id_list");
    py::class_<MirrorImageInfoIterator, Chunks> infos(
        m, "MirrorImageInfoIterator",
        "The pool's mirrored images: pairs (image id, dict of mode, global_id, state and "
        "primary).\n\n"
        "Implements: rbd_mirror_image_info_list");
    const char* reads = "Read the first chunk. Raises what the listing raises.";
    define_init(statuses, py::init([](const IoCtxArgument& ioctx) {
                    return begun<MirrorImageStatusIterator>(ioctx);
                }),
                reads, py::arg("ioctx"));
    define_init(instances, py::init([](const IoCtxArgument& ioctx) {
                    return begun<MirrorImageInstanceIdIterator>(ioctx);
                }),
                reads, py::arg("ioctx"));
    define_init(infos,
                py::init([](const IoCtxArgument& ioctx, const std::optional<Flags>& mode_filter) {
                    return begun<MirrorImageInfoIterator>(
                        ioctx, mode_filter ? std::optional<int>(mode_filter->value) : std::nullopt);
                }),
                reads, py::arg("ioctx"), py::arg("mode_filter"));
    define_iteration(statuses);
    define_iteration(instances);
    define_iteration(infos);

    define(
        rbd, "mirror_image_status_list",
        [m](const Rbd&, const py::object& ioctx) {
            return m.attr("MirrorImageStatusIterator")(ioctx);
        },
        R"(Iterate over the state of the pool's mirrored images.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
An iterator of dicts, as `Image.mirror_image_get_status` returns them; `info` is without
`primary`.

Implements: rbd_mirror_image_global_status_list, rbd_mirror_image_status_list)",
        py::arg("ioctx"));
    define(
        rbd, "mirror_image_status_summary",
        [](const Rbd&, const IoCtxArgument& ioctx) {
            auto counts = without_gil([&] { return mirrored::summary(ioctx); });
            py::list pairs;
            for (const auto& [state, count] : counts) {
                pairs.append(py::make_tuple(state, count));
            }
            return pairs;
        },
        R"(Return how many of the pool's images are in each state.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
A list of `(state, count)`; the state is one of `MIRROR_IMAGE_STATUS_STATE_*`.

Implements: rbd_mirror_image_status_summary)",
        py::arg("ioctx"));
    define(
        rbd, "mirror_image_instance_id_list",
        [m](const Rbd&, const py::object& ioctx) {
            return m.attr("MirrorImageInstanceIdIterator")(ioctx);
        },
        R"(Iterate over the daemons that replay the pool's images.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
An iterator of `(image id, instance id)`.

Implements: rbd_mirror_image_instance_id_list)",
        py::arg("ioctx"));
    define_gated(
        rbd, "rbd_mirror_image_info_list", "mirror_image_info_list",
        [m](const Rbd&, const py::object& ioctx, const py::object& mode_filter) {
            return m.attr("MirrorImageInfoIterator")(ioctx, mode_filter);
        },
        R"(Iterate over the pool's mirrored images.

Parameters
----------
ioctx
    The pool, with its namespace.
mode_filter
    Only images of this mode, one of `RBD_MIRROR_IMAGE_MODE_*`; None means all.

Returns
-------
An iterator of `(image id, info)`. The info is a dict of `global_id`, `state`, `primary` and
`mode`.

Implements: rbd_mirror_image_info_list)",
        py::arg("ioctx"), py::arg("mode_filter") = py::none());
}

}  // namespace rbdxx::python
