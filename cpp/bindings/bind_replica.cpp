#include <rbdxx/constants.hpp>
#include <rbdxx/replica.hpp>

#include "bindings.hpp"
#include "define.hpp"
#include "gil.hpp"
#include "mirrored.hpp"

namespace rbdxx::python {

namespace {

void define_role(ImageClass& image) {
    define(
        image, "mirror_image_enable",
        [](const PyImage& self, const Flags& mode) {
            without_gil([&] { replica::enable(self, mode); });
        },
        "Mirrors the image from now on, as the primary.\n\n"
        "mode: RBD_MIRROR_IMAGE_MODE_JOURNAL, or _SNAPSHOT (Ceph 16). Raises InvalidArgument\n"
        "where the pool's mirror mode is not RBD_MIRROR_MODE_IMAGE.\n\n"
        "Implements: rbd_mirror_image_enable2, rbd_mirror_image_enable",
        py::arg("mode") = static_cast<int>(constants::MIRROR_IMAGE_MODE_JOURNAL));
    define(
        image, "mirror_image_disable",
        [](const PyImage& self, bool force) {
            without_gil([&] { replica::disable(self, force); });
        },
        "Ends the mirroring of the image; the copies are removed.\n\n"
        "force: also where this is not the primary.\n\nImplements: rbd_mirror_image_disable",
        py::arg("force"));
    define(
        image, "mirror_image_promote",
        [](const PyImage& self, bool force) {
            without_gil([&] { replica::promote(self, force); });
        },
        "Makes this copy the primary, which can be written.\n\n"
        "force: also while the former primary has not been demoted. Raises InvalidArgument where\n"
        "it is the primary already, ImageBusy while the other one still is.\n\n"
        "Implements: rbd_mirror_image_promote",
        py::arg("force"));
    define(
        image, "mirror_image_demote",
        [](const PyImage& self) { without_gil([&] { replica::demote(self); }); },
        "Makes the primary a copy, which cannot be written.\n\n"
        "Raises InvalidArgument where it is no primary.\n\nImplements: rbd_mirror_image_demote");
    define(
        image, "mirror_image_resync",
        [](const PyImage& self) { without_gil([&] { replica::resync(self); }); },
        "Asks the daemon to make this copy anew from the primary.\n\n"
        "Raises InvalidArgument for the primary itself.\n\nImplements: rbd_mirror_image_resync");
    define_gated(
        image, "rbd_mirror_image_create_snapshot", "mirror_image_create_snapshot",
        [](const PyImage& self, const Flags& flags) {
            return without_gil(
                [&] { return replica::create_snapshot(self, static_cast<uint32_t>(flags.value)); });
        },
        "Takes the snapshot that the copies become next; gives its id.\n\n"
        "flags: RBD_SNAP_CREATE_*. Raises InvalidArgument where the image is not the primary in\n"
        "snapshot mode.\n\n"
        "Implements: rbd_mirror_image_create_snapshot2, rbd_mirror_image_create_snapshot",
        py::arg("flags") = 0);
}

}  // namespace

void bind_replica(ImageClass& image) {
    define_role(image);
    define(
        image, "mirror_image_get_info",
        [](const PyImage& self) {
            return to_dict(without_gil([&] { return replica::info(self); }));
        },
        "A dict of global_id ('' where it is not mirrored), state (RBD_MIRROR_IMAGE_*) and\n"
        "primary.\n\nImplements: rbd_mirror_image_get_info");
    define_gated(
        image, "rbd_mirror_image_get_mode", "mirror_image_get_mode",
        [](const PyImage& self) { return without_gil([&] { return replica::mode(self); }); },
        "RBD_MIRROR_IMAGE_MODE_*.\n\nImplements: rbd_mirror_image_get_mode");
    define(
        image, "mirror_image_get_status",
        [](const PyImage& self) {
            std::string id;
            auto status = without_gil([&] {
                id = self->id();
                return replica::status(self);
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
            return text(without_gil([&] { return replica::instance_id(self); }));
        },
        "The id of the daemon that replays the image.\n\n"
        "Raises ImageNotFound where none does, InvalidArgument where it is not mirrored.\n\n"
        "Implements: rbd_mirror_image_get_instance_id");
}

}  // namespace rbdxx::python
