#include <rbdxx/aio.hpp>
#include <rbdxx/constants.hpp>
#include <rbdxx/mirror_image.hpp>

#include <memory>
#include <string>
#include <utility>

#include "support/bindings.hpp"
#include "support/completion.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/mirrored.hpp"

namespace rbdxx::python {

namespace {

struct InfoCompletion final : Completion {
    explicit InfoCompletion(const abi::Functions& table) : functions(table) {}
    py::object answer() override {
        if (result() < 0) {
            return py::none();
        }
        return to_dict(mirrored::info_of(info));
    }
    void release() override {
        if (is_complete() && result() >= 0) {
            mirrored::free_info(functions, info);
        }
    }
    const abi::Functions& functions;
    abi::rbd_mirror_image_info_t info{};
};

struct StatusCompletion final : Completion {
    StatusCompletion(const abi::Functions& table, std::string image_id)
        : functions(table), id(std::move(image_id)) {}
    py::object answer() override {
        if (result() < 0) {
            return py::none();
        }
        return to_dict(mirrored::status_of(record), id);
    }
    void release() override {
        if (is_complete() && result() >= 0) {
            functions.rbd_mirror_image_global_status_cleanup(&record);
        }
    }
    const abi::Functions& functions;
    const std::string id;
    abi::rbd_mirror_image_global_status_t record{};
};

void define_asynchronous(ImageClass& image) {
    define(
        image, "aio_mirror_image_get_info",
        [](const py::object& self, const py::object& oncomplete) {
            const abi::Functions& functions = rbdxx::functions();
            return submit_on(std::make_unique<InfoCompletion>(functions), self, oncomplete,
                             [](InfoCompletion& made, engine::QueuePointer queue, const Image& on) {
                                 aio::mirror_image_get_info(made, std::move(queue), on, &made.info);
                             });
        },
        R"(Ask how the image is mirrored, without waiting.

Parameters
----------
oncomplete
    `oncomplete(completion, info)`, called in the thread of callbacks. The info is the dict of
    `mirror_image_get_info`, or None if the call failed.

Returns
-------
The completion of the call.

Implements: rbd_aio_mirror_image_get_info)",
        py::arg("oncomplete"));
    define_gated(
        image, "rbd_aio_mirror_image_get_mode", "aio_mirror_image_get_mode",
        [](const py::object& self, const py::object& oncomplete) {
            using Made = NumberCompletion<abi::rbd_mirror_image_mode_t>;
            return submit_on(std::make_unique<Made>(), self, oncomplete,
                             [](Made& made, engine::QueuePointer queue, const Image& on) {
                                 aio::mirror_image_get_mode(made, std::move(queue), on,
                                                            &made.number);
                             });
        },
        R"(Ask for the mirror mode of the image, without waiting.

Parameters
----------
oncomplete
    `oncomplete(completion, mode)`, called in the thread of callbacks. The mode is one of
    `RBD_MIRROR_IMAGE_MODE_*`, or None if the call failed.

Returns
-------
The completion of the call.

Implements: rbd_aio_mirror_image_get_mode)",
        py::arg("oncomplete"));
    define_gated(
        image, "rbd_aio_mirror_image_create_snapshot", "aio_mirror_image_create_snapshot",
        [](const py::object& self, const Flags& flags, const py::object& oncomplete) {
            using Made = NumberCompletion<uint64_t>;
            auto completion = std::make_unique<Made>();
            auto write = [&made = *completion, wanted = static_cast<uint32_t>(flags.value)](
                             engine::QueuePointer queue, const Image& on) {
                aio::mirror_image_create_snapshot(made, std::move(queue), on, wanted, &made.number);
            };
            return submit_write(std::move(completion), self, oncomplete, write);
        },
        R"(Take a mirror snapshot without waiting for it.

Data that is only in librbd's cache is saved first, which is waited for.

Parameters
----------
flags
    The sum of `RBD_SNAP_CREATE_*` bits.
oncomplete
    `oncomplete(completion, snap_id)`, called in the thread of callbacks. The id is None if the
    call failed.

Returns
-------
The completion of the call.

Implements: rbd_aio_mirror_image_create_snapshot)",
        py::arg("flags"), py::arg("oncomplete"));
    define_gated(
        image, "rbd_aio_mirror_image_get_global_status", "aio_mirror_image_get_status",
        [](const py::object& self, const py::object& oncomplete) {
            const Image& opened = self.cast<const PyImage&>().get();
            std::string id = without_gil([&] { return opened.id(); });
            return submit_on(
                std::make_unique<StatusCompletion>(rbdxx::functions(), std::move(id)), self,
                oncomplete,
                [](StatusCompletion& made, engine::QueuePointer queue, const Image& on) {
                    aio::mirror_image_get_status(made, std::move(queue), on, &made.record);
                });
        },
        R"(Ask for the state of the image's copies, without waiting.

Parameters
----------
oncomplete
    `oncomplete(completion, status)`, called in the thread of callbacks. The status is the dict
    of `mirror_image_get_status`, or None if the call failed.

Returns
-------
The completion of the call.

Implements: rbd_aio_mirror_image_get_global_status)",
        py::arg("oncomplete"));
    define(
        image, "aio_mirror_image_promote",
        [](const py::object& self, bool force, const py::object& oncomplete) {
            auto completion = std::make_unique<Completion>();
            auto write = [&made = *completion, force](engine::QueuePointer queue, const Image& on) {
                aio::mirror_image_promote(made, std::move(queue), on, force);
            };
            return submit_write(std::move(completion), self, oncomplete, write);
        },
        R"(Make this copy the primary without waiting, as `mirror_image_promote` does.

Parameters
----------
force
    Do it even if the former primary has not been demoted.
oncomplete
    `oncomplete(completion)`, called in the thread of callbacks. None means no callback.

Returns
-------
The completion of the call.

Implements: rbd_aio_mirror_image_promote)",
        py::arg("force"), py::arg("oncomplete"));
    define(
        image, "aio_mirror_image_demote",
        [](const py::object& self, const py::object& oncomplete) {
            auto completion = std::make_unique<Completion>();
            auto write = [&made = *completion](engine::QueuePointer queue, const Image& on) {
                aio::mirror_image_demote(made, std::move(queue), on);
            };
            return submit_write(std::move(completion), self, oncomplete, write);
        },
        R"(Make the primary a copy without waiting for it, as `mirror_image_demote` does.

Data that is only in librbd's cache is saved first, which is waited for.

Parameters
----------
oncomplete
    `oncomplete(completion)`, called in the thread of callbacks. None means no callback.

Returns
-------
The completion of the call.

Implements: rbd_aio_mirror_image_demote)",
        py::arg("oncomplete"));
}

void define_role(ImageClass& image) {
    define(
        image, "mirror_image_enable",
        [](const PyImage& self, const Flags& mode) {
            without_gil([&] { mirror_image::enable(self, mode); });
        },
        R"(Mirror the image from now on, as the primary.

Parameters
----------
mode
    `RBD_MIRROR_IMAGE_MODE_JOURNAL`, or `RBD_MIRROR_IMAGE_MODE_SNAPSHOT` (Ceph 16).

Raises
------
InvalidArgument
    The mirror mode of the pool is not `RBD_MIRROR_MODE_IMAGE`.

Implements: rbd_mirror_image_enable2, rbd_mirror_image_enable)",
        py::arg("mode") = static_cast<int>(constants::MIRROR_IMAGE_MODE_JOURNAL));
    define(
        image, "mirror_image_disable",
        [](const PyImage& self, bool force) {
            without_gil([&] { mirror_image::disable(self, force); });
        },
        R"(End the mirroring of the image. The daemons remove its copies.

Parameters
----------
force
    Do it even if this is not the primary.

Implements: rbd_mirror_image_disable)",
        py::arg("force"));
    define(
        image, "mirror_image_promote",
        [](const PyImage& self, bool force) {
            without_gil([&] { mirror_image::promote(self, force); });
        },
        R"(Make this copy the primary, which clients can write.

Parameters
----------
force
    Do it even if the former primary has not been demoted.

Raises
------
InvalidArgument
    It is the primary already.
ImageBusy
    The other one is the primary still.

Implements: rbd_mirror_image_promote)",
        py::arg("force"));
    define(
        image, "mirror_image_demote",
        [](const PyImage& self) { without_gil([&] { mirror_image::demote(self); }); },
        R"(Make the primary a copy, which clients cannot write.

Raises
------
InvalidArgument
    It is not the primary.

Implements: rbd_mirror_image_demote)");
    define(
        image, "mirror_image_resync",
        [](const PyImage& self) { without_gil([&] { mirror_image::resync(self); }); },
        R"(Ask the daemon to copy the image anew from the primary.

Raises
------
InvalidArgument
    It is the primary itself.

Implements: rbd_mirror_image_resync)");
    define_gated(
        image, "rbd_mirror_image_create_snapshot", "mirror_image_create_snapshot",
        [](const PyImage& self, const Flags& flags) {
            return without_gil([&] {
                return mirror_image::create_snapshot(self, static_cast<uint32_t>(flags.value));
            });
        },
        R"(Take the snapshot that the copies become next.

Parameters
----------
flags
    The sum of `RBD_SNAP_CREATE_*` bits.

Returns
-------
The id of the snapshot.

Raises
------
InvalidArgument
    The image is not the primary in snapshot mode.

Implements: rbd_mirror_image_create_snapshot2, rbd_mirror_image_create_snapshot)",
        py::arg("flags") = 0);
}

}  // namespace

void bind_mirror_image(ImageClass& image) {
    define_role(image);
    define_asynchronous(image);
    define(
        image, "mirror_image_get_info",
        [](const PyImage& self) {
            return to_dict(without_gil([&] { return mirror_image::info(self); }));
        },
        R"(Return how the image is mirrored.

Returns
-------
A dict of `global_id` ('' if it is not mirrored), `state` (`RBD_MIRROR_IMAGE_*`) and `primary`.

Implements: rbd_mirror_image_get_info)");
    define_gated(
        image, "rbd_mirror_image_get_mode", "mirror_image_get_mode",
        [](const PyImage& self) { return without_gil([&] { return mirror_image::mode(self); }); },
        R"(Return how the image is mirrored.

Returns
-------
One of `RBD_MIRROR_IMAGE_MODE_*`.

Implements: rbd_mirror_image_get_mode)");
    define(
        image, "mirror_image_get_status",
        [](const PyImage& self) {
            std::string id;
            auto status = without_gil([&] {
                id = self->id();
                return mirror_image::status(self);
            });
            return to_dict(status, id);
        },
        R"(Return the state of the image's copies.

Returns
-------
A dict of `name`, `id`, `info` (as `mirror_image_get_info` returns it), the local daemon's
`state` (`MIRROR_IMAGE_STATUS_STATE_*`), `description`, `last_update` (a datetime in UTC) and
`up`, and `remote_statuses`: a list of dicts of `mirror_uuid` and the same four of every other
site.

Implements: rbd_mirror_image_get_global_status, rbd_mirror_image_get_status)");
    define(
        image, "mirror_image_get_instance_id",
        [](const PyImage& self) {
            return text(without_gil([&] { return mirror_image::instance_id(self); }));
        },
        R"(Return the id of the daemon that replays the image.

Returns
-------
The id.

Raises
------
ImageNotFound
    No daemon replays it.
InvalidArgument
    The image is not mirrored.

Implements: rbd_mirror_image_get_instance_id)");
}

}  // namespace rbdxx::python
