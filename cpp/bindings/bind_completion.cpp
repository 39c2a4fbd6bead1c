#include <pybind11/stl.h>

#include <rbdxx/aio.hpp>

#include "bindings.hpp"
#include "buffer.hpp"
#include "completion.hpp"
#include "define.hpp"
#include "gil.hpp"
#include "mirrored.hpp"

namespace rbdxx::python {

namespace {

struct ReadCompletion final : Completion {
    explicit ReadCompletion(uint64_t size) : bytes(size) {}
    py::object answer() override {
        if (result() < 0) {
            return py::none();
        }
        return bytes.take(static_cast<uint64_t>(result()));
    }
    NewBytes bytes;
};

struct WriteCompletion final : Completion {
    explicit WriteCompletion(const py::object& data) : buffer(data, Buffer::Access::read) {}
    void release() override { buffer.release(); }
    Buffer buffer;
};

struct OpenCompletion final : Completion {
    explicit OpenCompletion(PyImage& target)
        : image(target), cluster(target.ioctx().ioctx->use().state().cluster) {}
    // The owner is the image.
    py::object answer() override {
        if (result() == 0) {
            image.adopt(raw, std::move(cluster));
        }
        return owner();
    }
    PyImage& image;
    std::shared_ptr<ClusterState> cluster;
    abi::rbd_image_t raw = nullptr;
};

struct InfoCompletion final : Completion {
    explicit InfoCompletion(const abi::Functions& table) : functions(table) {}
    py::object answer() override {
        if (result() < 0) {
            return py::none();
        }
        return to_dict(mirrored::info_of(info));
    }
    void release() override {
        if (settled() && result() >= 0) {
            mirrored::free_info(functions, info);
        }
    }
    const abi::Functions& functions;
    abi::rbd_mirror_image_info_t info{};
};

// A number that librbd writes, or None.
template <class Number>
struct NumberCompletion final : Completion {
    py::object answer() override {
        return result() < 0 ? py::object(py::none())
                            : py::object(py::int_(static_cast<uint64_t>(number)));
    }
    Number number{};
};

// `start(completion, queue, image)`, of a call on an open image.
template <class Made, class Start>
py::object launch_on(std::unique_ptr<Made> completion, const py::object& self,
                     const py::object& oncomplete, const Start& start) {
    const Image& image = self.cast<const PyImage&>().get();
    Made& made = *completion;
    return launch(std::move(completion), self, oncomplete, [&] {
        aio::QueuePointer queue = Callbacks::get().queue();
        without_gil([&] { start(made, std::move(queue), image); });
    });
}

template <class Start>
py::object launch_plain(const py::object& self, const py::object& oncomplete, const Start& start) {
    return launch_on(std::make_unique<Completion>(), self, oncomplete, start);
}

py::object aio_read(const py::object& self, const U64& offset, const U64& length,
                    const py::object& oncomplete, const Flags& flags) {
    uint64_t wanted = memory_for(self.cast<const PyImage&>().get(), offset, length);
    return launch_on(std::make_unique<ReadCompletion>(wanted), self, oncomplete,
                     [&](ReadCompletion& made, aio::QueuePointer queue, const Image& image) {
                         aio::read(made, std::move(queue), image, made.bytes.data(), offset, wanted,
                                   flags);
                     });
}

py::object aio_write(const py::object& self, const py::object& data, const U64& offset,
                     const py::object& oncomplete, const Flags& flags) {
    return launch_on(std::make_unique<WriteCompletion>(data), self, oncomplete,
                     [&](WriteCompletion& made, aio::QueuePointer queue, const Image& image) {
                         aio::write(made, std::move(queue), image, made.buffer.data(), offset,
                                    made.buffer.size(), flags);
                     });
}

py::object aio_close(const py::object& self, const py::object& oncomplete) {
    auto& image = self.cast<PyImage&>();
    if (image.abandon_if_disconnected()) {
        throw ClosedError("the connection of " + image->describe() + " is closed");
    }
    return launch_plain(self, oncomplete,
                        [](Completion& made, aio::QueuePointer queue, const Image& open) {
                            aio::close(made, std::move(queue), open);
                        });
}

}  // namespace

py::object open_later(const py::object& image, PyImage& target, const py::object& oncomplete) {
    auto completion = std::make_unique<OpenCompletion>(target);
    OpenCompletion& made = *completion;
    return launch(std::move(completion), image, oncomplete, [&] {
        // With the GIL: librbd only takes note, and no callback may see an object that Python has
        // not yet finished making.
        aio::open(made, Callbacks::get().queue(), target.ioctx(), target.options(), &made.raw);
    });
}

void bind_completion(py::module_& m, RbdClass& rbd, ImageClass& image) {
    m.def("_run_callbacks", [] { Callbacks::get().run(); });
    m.def("_stop_callbacks", [] { Callbacks::stop(); });

    py::class_<Completion> completion(
        m, "Completion", "An asynchronous call under way, as the aio_* methods give it.",
        py::custom_type_setup([](PyHeapTypeObject* heap_type) {
            PyTypeObject* type = &heap_type->ht_type;
            type->tp_flags |= Py_TPFLAGS_HAVE_GC;
            type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
                Py_VISIT(Py_TYPE(self));
                if (py::detail::is_holder_constructed(self)) {
                    return py::cast<Completion&>(py::handle(self)).traverse(visit, arg);
                }
                return 0;
            };
            type->tp_clear = [](PyObject* self) {
                if (py::detail::is_holder_constructed(self)) {
                    py::cast<Completion&>(py::handle(self)).clear();
                }
                return 0;
            };
        }));
    define(
        completion, "is_complete", [](const Completion& self) { return self.settled(); },
        "Whether the call is complete; its callback may still be running.");
    define(
        completion, "get_return_value", [](const Completion& self) { return self.return_value(); },
        "What the call gave: bytes read, 0, or a negative error number; 0 while it is under "
        "way.\n\n"
        "Implements: rbd_aio_get_return_value");
    define(
        completion, "wait_for_complete_and_cb", [](Completion& self) { self.wait(); },
        "Waits until the call is complete and its callback has run; raises what that raised.\n\n"
        "Inside a callback, runs the callbacks of other calls meanwhile.");

    define(image, "aio_read", aio_read,
           "Starts to read `length` bytes from `offset`; gives a Completion.\n\n"
           "oncomplete(completion, data) gets bytes, fewer at the end of the image, or None where\n"
           "the read failed; the completion's return value tells why.\n\n"
           "Implements: rbd_aio_read, rbd_aio_read2",
           py::arg("offset"), py::arg("length"), py::arg("oncomplete"),
           py::arg("fadvise_flags") = 0);
    define(
        image, "aio_write", aio_write,
        "Starts to write a C-contiguous buffer, which must not change until it is done; gives a\n"
        "Completion. oncomplete(completion).\n\n"
        "What goes across the end of the image is left out silently.\n\n"
        "Implements: rbd_aio_write, rbd_aio_write2",
        py::arg("data"), py::arg("offset"), py::arg("oncomplete"), py::arg("fadvise_flags") = 0);
    define(
        image, "aio_discard",
        [](const py::object& self, const U64& offset, const U64& length,
           const py::object& oncomplete) {
            return launch_plain(self, oncomplete,
                                [&](Completion& made, aio::QueuePointer queue, const Image& on) {
                                    aio::discard(made, std::move(queue), on, offset, length);
                                });
        },
        "Starts to free `length` bytes from `offset`; gives a Completion. "
        "oncomplete(completion).\n\nImplements: rbd_aio_discard",
        py::arg("offset"), py::arg("length"), py::arg("oncomplete"));
    define(
        image, "aio_write_zeroes",
        [](const py::object& self, const U64& offset, const U64& length,
           const py::object& oncomplete, const Flags& zero_flags) {
            return launch_plain(
                self, oncomplete, [&](Completion& made, aio::QueuePointer queue, const Image& on) {
                    aio::write_zeroes(made, std::move(queue), on, offset, length, zero_flags);
                });
        },
        "Starts to write zeroes over `length` bytes from `offset`; gives a Completion.\n\n"
        "oncomplete(completion). zero_flags: RBD_WRITE_ZEROES_FLAG_*.\n\n"
        "Implements: rbd_aio_write_zeroes",
        py::arg("offset"), py::arg("length"), py::arg("oncomplete"), py::arg("zero_flags") = 0);
    define(
        image, "aio_flush",
        [](const py::object& self, const py::object& oncomplete) {
            return launch_plain(self, oncomplete, aio::flush);
        },
        "Starts to make every completed write safe; gives a Completion. "
        "oncomplete(completion).\n\nImplements: rbd_aio_flush",
        py::arg("oncomplete"));
    define(image, "aio_close", aio_close,
           "Starts to close the image, once what is under way is done; gives a Completion.\n\n"
           "oncomplete(completion). Every later call raises InvalidArgument, from now on.\n\n"
           "Implements: rbd_aio_close",
           py::arg("oncomplete"));
    define(
        image, "aio_mirror_image_get_info",
        [](const py::object& self, const py::object& oncomplete) {
            const abi::Functions& functions = rbdxx::functions();
            return launch_on(std::make_unique<InfoCompletion>(functions), self, oncomplete,
                             [](InfoCompletion& made, aio::QueuePointer queue, const Image& on) {
                                 aio::mirror_image_get_info(made, std::move(queue), on, &made.info);
                             });
        },
        "Starts to ask how the image is mirrored; gives a Completion.\n\n"
        "oncomplete(completion, info) gets a dict of global_id, state, primary; or None.\n\n"
        "Implements: rbd_aio_mirror_image_get_info",
        py::arg("oncomplete"));
    define_gated(
        image, "rbd_aio_mirror_image_get_mode", "aio_mirror_image_get_mode",
        [](const py::object& self, const py::object& oncomplete) {
            using Made = NumberCompletion<abi::rbd_mirror_image_mode_t>;
            return launch_on(std::make_unique<Made>(), self, oncomplete,
                             [](Made& made, aio::QueuePointer queue, const Image& on) {
                                 aio::mirror_image_get_mode(made, std::move(queue), on,
                                                            &made.number);
                             });
        },
        "Starts to ask for the RBD_MIRROR_IMAGE_MODE_*; gives a Completion.\n\n"
        "oncomplete(completion, mode), where mode is None for a failure.\n\n"
        "Implements: rbd_aio_mirror_image_get_mode",
        py::arg("oncomplete"));
    define_gated(
        image, "rbd_aio_mirror_image_create_snapshot", "aio_mirror_image_create_snapshot",
        [](const py::object& self, const Flags& flags, const py::object& oncomplete) {
            using Made = NumberCompletion<uint64_t>;
            return launch_on(std::make_unique<Made>(), self, oncomplete,
                             [&](Made& made, aio::QueuePointer queue, const Image& on) {
                                 aio::mirror_image_create_snapshot(
                                     made, std::move(queue), on, static_cast<uint32_t>(flags.value),
                                     &made.number);
                             });
        },
        "Starts to take a mirror snapshot; gives a Completion.\n\n"
        "flags: RBD_SNAP_CREATE_*. oncomplete(completion, snap_id), None for a failure.\n\n"
        "Implements: rbd_aio_mirror_image_create_snapshot",
        py::arg("flags"), py::arg("oncomplete"));

    define(
        rbd, "aio_open_image",
        [](const Rbd&, const py::object& oncomplete, const IoCtxArgument& ioctx,
           const std::optional<Name>& name, const std::optional<Name>& snapshot, bool read_only,
           const std::optional<Name>& image_id) {
            OpenOptions options = open_options(name, snapshot, read_only, image_id);
            auto target = std::make_unique<PyImage>(PyImage::Later{}, ioctx, options);
            PyImage& opened = *target;
            return open_later(py::cast(std::move(target)), opened, oncomplete);
        },
        "Starts to open an image; gives a Completion.\n\n"
        "oncomplete(completion, image) gets an Image, which is closed where the opening failed; "
        "the\ncompletion's return value tells why. Raises InvalidArgument, TypeError.\n\n"
        "Implements: rbd_aio_open, rbd_aio_open_read_only, rbd_aio_open_by_id,\n"
        "rbd_aio_open_by_id_read_only",
        py::arg("oncomplete"), py::arg("ioctx"), py::arg("name") = py::none(),
        py::arg("snapshot") = py::none(), py::arg("read_only") = false,
        py::arg("image_id") = py::none());
}

}  // namespace rbdxx::python
