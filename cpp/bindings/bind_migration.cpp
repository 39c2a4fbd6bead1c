#include <pybind11/stl.h>

#include <rbdxx/migration.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"
#include "support/long_call.hpp"
#include "support/options.hpp"

namespace rbdxx::python {

namespace {

void prepare(const Rbd&, const IoCtxArgument& ioctx, const Name& image_name,
             const IoCtxArgument& dest_ioctx, const Name& dest_image_name,
             const std::optional<U64>& features, const std::optional<U64>& order,
             const std::optional<U64>& stripe_unit, const std::optional<U64>& stripe_count,
             const std::optional<Name>& data_pool, const std::optional<U64>& clone_format,
             bool flatten) {
    auto options = layout_options(features, order, stripe_unit, stripe_count, data_pool);
    options.clone_format = clone_format_option(clone_format);
    options.flatten = flatten ? 1 : 0;
    without_gil(
        [&] { migration::prepare(ioctx, image_name, dest_ioctx, dest_image_name, options); });
}

void prepare_import(const Rbd&, const Name& source_spec, const IoCtxArgument& dest_ioctx,
                    const Name& dest_image_name, const std::optional<U64>& features,
                    const std::optional<U64>& order, const std::optional<U64>& stripe_unit,
                    const std::optional<U64>& stripe_count, const std::optional<Name>& data_pool) {
    auto options = layout_options(features, order, stripe_unit, stripe_count, data_pool);
    without_gil(
        [&] { migration::prepare_import(source_spec, dest_ioctx, dest_image_name, options); });
}

py::dict status(const Rbd&, const IoCtxArgument& ioctx, const Name& image_name) {
    auto found = without_gil([&] { return migration::status(ioctx, image_name); });
    py::dict dict;
    auto end = [&](const std::string& prefix, const migration::End& value) {
        dict[text(prefix + "_pool_id")] = value.pool_id;
        dict[text(prefix + "_pool_namespace")] = text(value.pool_namespace);
        dict[text(prefix + "_image_name")] = text(value.image_name);
        dict[text(prefix + "_image_id")] = text(value.image_id);
    };
    end("source", found.source);
    end("dest", found.destination);
    dict["state"] = found.state;
    dict["state_description"] = text(found.description);
    return dict;
}

using Step = void (*)(const IoCtx&, const std::string&, const Progress&);

void define_step(RbdClass& rbd, const char* name, Step step, const char* doc) {
    define(
        rbd, name,
        [step](const Rbd&, const IoCtxArgument& ioctx, const Name& image_name,
               const py::object& on_progress, const py::object& timeout) {
            long_call(on_progress, timeout, step, ioctx, image_name);
        },
        doc, py::arg("ioctx"), py::arg("image_name"), py::arg("on_progress") = py::none(),
        py::kw_only(), py::arg("timeout") = py::none());
}

}  // namespace

void bind_migration(RbdClass& rbd, ImageClass& image) {
    define(
        rbd, "migration_prepare", prepare,
        "Starts to move an image to another place, name or layout: from now on it is opened at the "
        "destination,\nand the source is hidden in the trash.\n\n"
        "The options are as in create() and clone(); None: as the image's. Nobody may have the "
        "image open.\nflatten: a clone copies what it reads from its parent and leaves it; Ceph 14 "
        "would lose that, hence FunctionNotSupported there.\nRaises ImageNotFound, ImageExists, "
        "ImageBusy, InvalidArgument.\n\n"
        "Implements: rbd_migration_prepare",
        py::arg("ioctx"), py::arg("image_name"), py::arg("dest_ioctx"), py::arg("dest_image_name"),
        py::arg("features") = py::none(), py::arg("order") = py::none(),
        py::arg("stripe_unit") = py::none(), py::arg("stripe_count") = py::none(),
        py::arg("data_pool") = py::none(), py::arg("clone_format") = py::none(),
        py::arg("flatten") = false);
    define_gated(rbd, "rbd_migration_prepare_import", "migration_prepare_import", prepare_import,
                 "Starts to import an image from the source that the JSON text source_spec tells "
                 "(its keys are in\nCeph's documentation of live migration); it can be read at "
                 "once.\n\nRaises InvalidArgument, ImageExists.\n\n"
                 "Implements: rbd_migration_prepare_import",
                 py::arg("source_spec"), py::arg("dest_ioctx"), py::arg("dest_image_name"),
                 py::arg("features") = py::none(), py::arg("order") = py::none(),
                 py::arg("stripe_unit") = py::none(), py::arg("stripe_count") = py::none(),
                 py::arg("data_pool") = py::none());
    define_step(rbd, "migration_execute", migration::execute,
                "Copies the data of an image in migration; it may be in use.\n\n"
                "on_progress(done, total) cannot stop it. Raises ImageNotFound, InvalidArgument "
                "where it is not in\nmigration.\n\n"
                "Implements: rbd_migration_execute_with_progress");
    define_step(
        rbd, "migration_commit", migration::commit,
        "Ends a migration whose data is copied: the source is removed.\n\n"
        "on_progress(done, total) may return -rbd.ECANCELED to stop, but should not: the image "
        "is whole, yet\nwhat is left of the source stays in the trash, and librbd never "
        "removes it.\n\n"
        "Raises ImageNotFound, InvalidArgument, ImageBusy, OperationCanceled.\n\n"
        "Implements: rbd_migration_commit_with_progress");
    define_step(
        rbd, "migration_abort", migration::abort,
        "Takes a migration back: the destination is removed, the source is there again.\n\n"
        "on_progress(done, total) may return -rbd.ECANCELED to stop; another call goes on.\n\n"
        "Raises ImageNotFound, InvalidArgument, ImageBusy, OperationCanceled.\n\n"
        "Implements: rbd_migration_abort_with_progress");
    define(
        rbd, "migration_status", status,
        "How far the migration of an image is: a dict of state (RBD_IMAGE_MIGRATION_STATE_*),\n"
        "state_description, and pool_id, pool_namespace, image_name and image_id with source_ and "
        "dest_\nbefore them. A source that is imported has -1 and ''.\n\n"
        "Raises ImageNotFound, InvalidArgument where it is not in migration.\n\n"
        "Implements: rbd_migration_status",
        py::arg("ioctx"), py::arg("image_name"));
    define_gated(
        image, "rbd_get_migration_source_spec", "migration_source_spec",
        [](const PyImage& self) {
            auto json = without_gil([&] { return migration::source(self); });
            return py::module_::import("json").attr("loads")(text(json));
        },
        "Where an image in migration comes from, as the dict that the source's JSON text stands "
        "for.\n\n"
        "Raises InvalidArgument where it is not in migration.\n\n"
        "Implements: rbd_get_migration_source_spec");
}

}  // namespace rbdxx::python
