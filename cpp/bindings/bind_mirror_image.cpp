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
        "Starts to ask how the image is mirrored; gives a Completion.\n\n"
        "oncomplete(completion, info) gets a dict of global_id, state, primary; or None.\n\n"
        "Implements: rbd_aio_mirror_image_get_info",
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
        "Starts to ask for the RBD_MIRROR_IMAGE_MODE_*; gives a Completion.\n\n"
        "oncomplete(completion, mode), where mode is None for a failure.\n\n"
        "Implements: rbd_aio_mirror_image_get_mode",
        py::arg("oncomplete"));
    define_gated(
        image, "rbd_aio_mirror_image_create_snapshot", "aio_mirror_image_create_snapshot",
        [](const py::object& self, const Flags& flags, const py::object& oncomplete) {
            using Made = NumberCompletion<uint64_t>;
            return submit_on(std::make_unique<Made>(), self, oncomplete,
                             [&](Made& made, engine::QueuePointer queue, const Image& on) {
                                 aio::mirror_image_create_snapshot(
                                     made, std::move(queue), on, static_cast<uint32_t>(flags.value),
                                     &made.number);
                             });
        },
        "Starts to take a mirror snapshot; gives a Completion.\n\n"
        "flags: RBD_SNAP_CREATE_*. oncomplete(completion, snap_id), None for a failure.\n\n"
        "Implements: rbd_aio_mirror_image_create_snapshot",
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
        "Starts to ask how the image's copies fare; gives a Completion.\n\n"
        "oncomplete(completion, status) gets what mirror_image_get_status() gives; or None.\n\n"
        "Implements: rbd_aio_mirror_image_get_global_status",
        py::arg("oncomplete"));
    define(
        image, "aio_mirror_image_promote",
        [](const py::object& self, bool force, const py::object& oncomplete) {
            return submit_plain(self, oncomplete,
                                [&](Completion& made, engine::QueuePointer queue, const Image& on) {
                                    aio::mirror_image_promote(made, std::move(queue), on, force);
                                });
        },
        "Starts to make this copy the primary, as mirror_image_promote(); gives a Completion.\n\n"
        "oncomplete(completion).\n\nImplements: rbd_aio_mirror_image_promote",
        py::arg("force"), py::arg("oncomplete"));
    define(
        image, "aio_mirror_image_demote",
        [](const py::object& self, const py::object& oncomplete) {
            return submit_plain(self, oncomplete, aio::mirror_image_demote);
        },
        "Starts to make the primary a copy, as mirror_image_demote(); gives a Completion.\n\n"
        "oncomplete(completion).\n\nImplements: rbd_aio_mirror_image_demote",
        py::arg("oncomplete"));
}

void define_role(ImageClass& image) {
    define(
        image, "mirror_image_enable",
        [](const PyImage& self, const Flags& mode) {
            without_gil([&] { mirror_image::enable(self, mode); });
        },
        "Mirrors the image from now on, as the primary.\n\n"
        "mode: RBD_MIRROR_IMAGE_MODE_JOURNAL, or _SNAPSHOT (Ceph 16). Raises InvalidArgument\n"
        "where the pool's mirror mode is not RBD_MIRROR_MODE_IMAGE.\n\n"
        "Implements: rbd_mirror_image_enable2, rbd_mirror_image_enable",
        py::arg("mode") = static_cast<int>(constants::MIRROR_IMAGE_MODE_JOURNAL));
    define(
        image, "mirror_image_disable",
        [](const PyImage& self, bool force) {
            without_gil([&] { mirror_image::disable(self, force); });
        },
        "Ends the mirroring of the image; the copies are removed.\n\n"
        "force: also where this is not the primary.\n\nImplements: rbd_mirror_image_disable",
        py::arg("force"));
    define(
        image, "mirror_image_promote",
        [](const PyImage& self, bool force) {
            without_gil([&] { mirror_image::promote(self, force); });
        },
        "Makes this copy the primary, which can be written.\n\n"
        "force: also while the former primary has not been demoted. Raises InvalidArgument where\n"
        "it is the primary already, ImageBusy while the other one still is.\n\n"
        "Implements: rbd_mirror_image_promote",
        py::arg("force"));
    define(
        image, "mirror_image_demote",
        [](const PyImage& self) { without_gil([&] { mirror_image::demote(self); }); },
        "Makes the primary a copy, which cannot be written.\n\n"
        "Raises InvalidArgument where it is no primary.\n\nImplements: rbd_mirror_image_demote");
    define(
        image, "mirror_image_resync",
        [](const PyImage& self) { without_gil([&] { mirror_image::resync(self); }); },
        "Asks the daemon to make this copy anew from the primary.\n\n"
        "Raises InvalidArgument for the primary itself.\n\nImplements: rbd_mirror_image_resync");
    define_gated(
        image, "rbd_mirror_image_create_snapshot", "mirror_image_create_snapshot",
        [](const PyImage& self, const Flags& flags) {
            return without_gil([&] {
                return mirror_image::create_snapshot(self, static_cast<uint32_t>(flags.value));
            });
        },
        "Takes the snapshot that the copies become next; gives its id.\n\n"
        "flags: RBD_SNAP_CREATE_*. Raises InvalidArgument where the image is not the primary in\n"
        "snapshot mode.\n\n"
        "Implements: rbd_mirror_image_create_snapshot2, rbd_mirror_image_create_snapshot",
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
        "A dict of global_id ('' where it is not mirrored), state (RBD_MIRROR_IMAGE_*) and\n"
        "primary.\n\nImplements: rbd_mirror_image_get_info");
    define_gated(
        image, "rbd_mirror_image_get_mode", "mirror_image_get_mode",
        [](const PyImage& self) { return without_gil([&] { return mirror_image::mode(self); }); },
        "RBD_MIRROR_IMAGE_MODE_*.\n\nImplements: rbd_mirror_image_get_mode");
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
        "How the image's copies fare: a dict of name, id, info (as mirror_image_get_info()), the\n"
        "local daemon's state (MIRROR_IMAGE_STATUS_STATE_*), description, last_update (a\n"
        "datetime in UTC) and up, and remote_statuses, a list of dicts of mirror_uuid and the "
        "same\n"
        "four of every other site.\n\n"
        "Implements: rbd_mirror_image_get_global_status, rbd_mirror_image_get_status");
    define(
        image, "mirror_image_get_instance_id",
        [](const PyImage& self) {
            return text(without_gil([&] { return mirror_image::instance_id(self); }));
        },
        "The id of the daemon that replays the image.\n\n"
        "Raises ImageNotFound where none does, InvalidArgument where it is not mirrored.\n\n"
        "Implements: rbd_mirror_image_get_instance_id");
}

}  // namespace rbdxx::python
