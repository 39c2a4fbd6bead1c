// The lists of a pool's mirrored images, which librbd returns in chunks.
#include <pybind11/stl.h>

#include <memory>

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
// starts at the first entry.
class Chunks {
public:
    virtual ~Chunks() = default;

    // Reads the next chunk. Returns false if there was none.
    bool read() {
        if (complete_) {
            return false;
        }
        py::list entries;
        std::string last = fetch(last_, entries);
        complete_ = entries.size() < chunk_size;
        for (py::handle entry : entries) {
            items_.append(entry);
        }
        if (entries.empty()) {
            return false;
        }
        last_ = last;
        return true;
    }
    py::object at(std::size_t index) {
        if (index >= items_.size() && !read()) {
            throw py::stop_iteration();
        }
        return items_[index];
    }

protected:
    // Appends the entries after the image id `after`. Returns the last id.
    virtual std::string fetch(const std::string& after, py::list& entries) = 0;

private:
    py::list items_;
    std::string last_;
    bool complete_ = false;
};

struct ChunkIterator {
    py::object chunks;
    std::size_t next = 0;
};

class MirrorImageStatusIterator final : public Chunks {
public:
    explicit MirrorImageStatusIterator(IoCtxArgument ioctx) : ioctx_(std::move(ioctx)) {}

protected:
    std::string fetch(const std::string& after, py::list& entries) override {
        auto found = without_gil([&] { return mirrored::statuses(ioctx_, after, chunk_size); });
        for (const auto& entry : found) {
            py::dict dict = to_dict(entry.status, entry.id);
            // The pool's list does not contain it: librbd would have to open every image.
            dict["info"].attr("pop")("primary");
            entries.append(dict);
        }
        return found.empty() ? after : found.back().id;
    }

private:
    IoCtxArgument ioctx_;
};

class MirrorImageInstanceIdIterator final : public Chunks {
public:
    explicit MirrorImageInstanceIdIterator(IoCtxArgument ioctx) : ioctx_(std::move(ioctx)) {}

protected:
    std::string fetch(const std::string& after, py::list& entries) override {
        auto found = without_gil([&] { return mirrored::instances(ioctx_, after, chunk_size); });
        for (const auto& entry : found) {
            entries.append(py::make_tuple(text(entry.id), text(entry.instance_id)));
        }
        return found.empty() ? after : found.back().id;
    }

private:
    IoCtxArgument ioctx_;
};

class MirrorImageInfoIterator final : public Chunks {
public:
    MirrorImageInfoIterator(IoCtxArgument ioctx, std::optional<int> mode)
        : ioctx_(std::move(ioctx)), mode_(mode) {}

protected:
    std::string fetch(const std::string& after, py::list& entries) override {
        auto found = without_gil([&] { return mirrored::infos(ioctx_, mode_, after, chunk_size); });
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
    IoCtxArgument ioctx_;
    std::optional<int> mode_;
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
        [](py::object self) {
            return ChunkIterator{std::move(self), 0};
        },
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
