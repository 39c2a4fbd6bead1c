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
    define(rbd, "migration_prepare", prepare,
           R"(Begin to move an image to another place, name or layout.

From now on clients open the image at the destination, and the source is hidden in the trash.
Nobody may have the image open. Then come `migration_execute` and `migration_commit`, or
`migration_abort`.

Parameters
----------
ioctx
    The image's pool, with its namespace.
image_name
    The name of the image.
dest_ioctx
    The pool to move it to, with its namespace.
dest_image_name
    The name that it gets.
features
    As in `RBD.create`; None means the image's.
order
    As in `RBD.create`; None means the image's.
stripe_unit
    As in `RBD.create`; None means the image's.
stripe_count
    As in `RBD.create`; None means the image's.
data_pool
    As in `RBD.create`; None means the image's.
clone_format
    As in `RBD.clone`.
flatten
    Copy what a clone reads from its parent, so that it leaves its parent. Ceph 14 would lose
    that data, so with Ceph 14 this is FunctionNotSupported.

Raises
------
ImageNotFound
    There is no such image.
ImageExists
    There is an image `dest_image_name`.
ImageBusy
    A client has the image open.
InvalidArgument
    The options do not fit together, or the image cannot be moved.

Implements: rbd_migration_prepare)",
           py::arg("ioctx"), py::arg("image_name"), py::arg("dest_ioctx"),
           py::arg("dest_image_name"), py::arg("features") = py::none(),
           py::arg("order") = py::none(), py::arg("stripe_unit") = py::none(),
           py::arg("stripe_count") = py::none(), py::arg("data_pool") = py::none(),
           py::arg("clone_format") = py::none(), py::arg("flatten") = false);
    define_gated(rbd, "rbd_migration_prepare_import", "migration_prepare_import", prepare_import,
                 R"(Begin to move an image from outside this cluster into it.

From now on clients open the image here, and read from its source what has not been copied yet.
Then come `migration_execute` and `migration_commit`, or `migration_abort`.

Parameters
----------
source_spec
    The source: JSON text, as Ceph's manual describes it for live migration.
dest_ioctx
    The pool, with its namespace.
dest_image_name
    The name of the image.
features
    As in `RBD.create`.
order
    As in `RBD.create`.
stripe_unit
    As in `RBD.create`.
stripe_count
    As in `RBD.create`.
data_pool
    As in `RBD.create`.

Raises
------
ImageExists
    There is an image `dest_image_name`.
InvalidArgument
    `source_spec` is not such JSON, or an option makes no sense.

Implements: rbd_migration_prepare_import)",
                 py::arg("source_spec"), py::arg("dest_ioctx"), py::arg("dest_image_name"),
                 py::arg("features") = py::none(), py::arg("order") = py::none(),
                 py::arg("stripe_unit") = py::none(), py::arg("stripe_count") = py::none(),
                 py::arg("data_pool") = py::none());
    define_step(rbd, "migration_execute", migration::execute,
                R"(Copy the data of an image in migration. Clients may use the image meanwhile.

Parameters
----------
ioctx
    The destination's pool, with its namespace.
image_name
    The name at the destination.
on_progress
    `on_progress(done, total)` is called on the way. The answer cannot stop it.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageNotFound
    There is no such image.
InvalidArgument
    The image is not in migration.
Timeout
    `timeout` has passed.

Implements: rbd_migration_execute_with_progress)");
    define_step(rbd, "migration_commit", migration::commit,
                R"(End a migration whose data has been copied: librbd removes the source.

Parameters
----------
ioctx
    The destination's pool, with its namespace.
image_name
    The name at the destination.
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop, but
    should not: the image is whole, yet what is left of the source stays in the trash, and
    librbd never removes it.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageNotFound
    There is no such image.
InvalidArgument
    The image is not in migration, or not all of it has been copied.
ImageBusy
    A client has the image open.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Implements: rbd_migration_commit_with_progress)");
    define_step(rbd, "migration_abort", migration::abort,
                R"(Undo a migration: librbd removes the destination, and the source is there again.

Parameters
----------
ioctx
    The destination's pool, with its namespace.
image_name
    The name at the destination.
on_progress
    `on_progress(done, total)` is called on the way. It may return `-rbd.ECANCELED` to stop;
    another call goes on.
timeout
    How many seconds to wait; None means as long as it takes. librbd goes on with a call that
    was not waited for.

Raises
------
ImageNotFound
    There is no such image.
InvalidArgument
    The image is not in migration.
ImageBusy
    A client has the image open.
OperationCanceled
    `on_progress` stopped it.
Timeout
    `timeout` has passed.

Implements: rbd_migration_abort_with_progress)");
    define(rbd, "migration_status", status,
           R"(Return how far the migration of an image is.

Parameters
----------
ioctx
    The pool, with its namespace.
image_name
    The name of the image.

Returns
-------
A dict of `state` (`RBD_IMAGE_MIGRATION_STATE_*`), `state_description`, and `pool_id`,
`pool_namespace`, `image_name` and `image_id`, each with `source_` and with `dest_` before it.
An imported source has -1 and ''.

Raises
------
ImageNotFound
    There is no such image.
InvalidArgument
    The image is not in migration.

Implements: rbd_migration_status)",
           py::arg("ioctx"), py::arg("image_name"));
    define_gated(
        image, "rbd_get_migration_source_spec", "migration_source_spec",
        [](const PyImage& self) {
            auto json = without_gil([&] { return migration::source(self); });
            return py::module_::import("json").attr("loads")(text(json));
        },
        R"(Return where an image in migration comes from.

Returns
-------
The dict that the JSON text of the source stands for.

Raises
------
InvalidArgument
    The image is not in migration.

Implements: rbd_get_migration_source_spec)");
}

}  // namespace rbdxx::python
