#include <rbdxx/config.hpp>
#include <rbdxx/metadata.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/listing.hpp"
#include "support/metadata.hpp"

namespace rbdxx::python {

namespace {

struct ConfigImageIterator : Listing {};
struct ConfigPoolIterator : Listing {};

template <class Owner>
py::list list_options(const Owner& owner) {
    auto options = without_gil([&] { return config::list(owner); });
    py::list dicts;
    for (const auto& option : options) {
        py::dict dict;
        dict["name"] = text(option.name);
        dict["value"] = text(option.value);
        dict["source"] = option.source;
        dicts.append(dict);
    }
    return dicts;
}

// Returns "image 'vm1'" or "pool rbd", for messages.
std::string owner_name(const Image& image) {
    return image.describe();
}

std::string owner_name(const IoCtx& ioctx) {
    return "pool " + ioctx.pool_name();
}

std::string of(const Image& image) {
    return " of " + image.describe();
}

std::string of(const IoCtx& ioctx) {
    return ioctx.place();
}

template <class Owner>
py::str get(const Owner& owner, const std::string& key) {
    std::string name = without_gil([&] { return owner_name(owner); });
    return text(key_or_error("no config " + key + " for " + name,
                             [&] { return metadata::get(owner, config::metadata_key(key)); }));
}

template <class Owner>
void set(const Owner& owner, const std::string& key, const std::string& value) {
    without_gil([&] {
        try {
            metadata::set(owner, config::metadata_key(key), value);
        } catch (const ClosedError&) {
            throw;
        } catch (const ForkedError&) {
            throw;
        } catch (const Error& error) {
            throw Error(error.code(), "error setting option " + quoted(key) + of(owner));
        }
    });
}

template <class Owner>
void remove(const Owner& owner, const std::string& key) {
    std::string name = without_gil([&] { return owner_name(owner); });
    key_or_error("no config " + key + " for " + name,
                 [&] { metadata::remove(owner, config::metadata_key(key)); });
}

void bind_image_config(ImageClass& image, const py::module_& m) {
    define(
        image, "config_list",
        [m](const py::object& self) { return m.attr("ConfigImageIterator")(self); },
        R"(Iterate over librbd's options as they hold for the image.

Returns
-------
An iterator of dicts of `name`, `value` and `source` (`RBD_CONFIG_SOURCE_*`).

Implements: rbd_config_image_list)");
    define(
        image, "config_get",
        [](const PyImage& self, const Name& key) { return get<Image>(self, key); },
        R"(Return the value that the image itself sets for an option of librbd.

Parameters
----------
key
    The option, such as 'rbd_cache'.

Returns
-------
The value.

Raises
------
KeyError
    The image does not set this option.

Implements: rbd_metadata_get)",
        py::arg("key"));
    define(
        image, "config_set",
        [](const PyImage& self, const Name& key, const Name& value) {
            set<Image>(self, key, value);
        },
        R"(Set an option of librbd for the image.

Parameters
----------
key
    The option, such as 'rbd_cache'.
value
    Its value, as text.

Raises
------
InvalidArgument
    librbd has no such option, or the option cannot have this value.

Implements: rbd_metadata_set)",
        py::arg("key"), py::arg("value"));
    define(
        image, "config_remove",
        [](const PyImage& self, const Name& key) { remove<Image>(self, key); },
        R"(Remove the image's value of an option.

Parameters
----------
key
    The option.

Raises
------
KeyError
    The image does not set this option.

Implements: rbd_metadata_remove)",
        py::arg("key"));
}

}  // namespace

void bind_config(py::module_& m, RbdClass& rbd, ImageClass& image) {
    bind_listing<ConfigImageIterator, const PyImage&>(
        m, "ConfigImageIterator", [](const PyImage& self) { return list_options<Image>(self); },
        "librbd's options for an image, each a dict of name, value and source "
        "(RBD_CONFIG_SOURCE_*).\n\nImplements: rbd_config_image_list",
        py::arg("image"));
    bind_listing<ConfigPoolIterator, const IoCtxArgument&>(
        m, "ConfigPoolIterator",
        [](const IoCtxArgument& ioctx) { return list_options<IoCtx>(ioctx); },
        "librbd's options for a pool, each a dict of name, value and source "
        "(RBD_CONFIG_SOURCE_*).\n\nImplements: rbd_config_pool_list",
        py::arg("ioctx"));
    bind_image_config(image, m);
    define(
        rbd, "config_list",
        [m](const Rbd&, const py::object& ioctx) { return m.attr("ConfigPoolIterator")(ioctx); },
        R"(Iterate over librbd's options as they hold for the pool.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
An iterator of dicts of `name`, `value` and `source` (`RBD_CONFIG_SOURCE_*`).

Implements: rbd_config_pool_list)",
        py::arg("ioctx"));
    define(
        rbd, "config_get",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& key) {
            return get<IoCtx>(ioctx, key);
        },
        R"(Return the value that the pool itself sets for an option of librbd.

Parameters
----------
ioctx
    The pool, with its namespace.
key
    The option, such as 'rbd_cache'.

Returns
-------
The value.

Raises
------
KeyError
    The pool does not set this option.

Implements: rbd_pool_metadata_get)",
        py::arg("ioctx"), py::arg("key"));
    define(
        rbd, "config_set",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& key, const Name& value) {
            set<IoCtx>(ioctx, key, value);
        },
        R"(Set an option of librbd for all images of the pool.

Parameters
----------
ioctx
    The pool, with its namespace.
key
    The option, such as 'rbd_cache'.
value
    Its value, as text.

Raises
------
InvalidArgument
    librbd has no such option, or the option cannot have this value.

Implements: rbd_pool_metadata_set)",
        py::arg("ioctx"), py::arg("key"), py::arg("value"));
    define(
        rbd, "config_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& key) { remove<IoCtx>(ioctx, key); },
        R"(Remove the pool's value of an option.

Parameters
----------
ioctx
    The pool, with its namespace.
key
    The option.

Raises
------
KeyError
    The pool does not set this option.

Implements: rbd_pool_metadata_remove)",
        py::arg("ioctx"), py::arg("key"));
}

}  // namespace rbdxx::python
