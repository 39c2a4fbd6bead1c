#include <algorithm>

#include <rbdxx/metadata.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/listing.hpp"
#include "support/metadata.hpp"

namespace rbdxx::python {

namespace {

// The number of entries that the stock iterators read in one call.
constexpr std::size_t stock_chunk = 32;

struct ChunkedListing : Listing {
    std::size_t start = 0;
};
struct MetadataIterator : ChunkedListing {};
struct PoolMetadataIterator : ChunkedListing {};

template <class Owner>
py::list list_pairs(const Owner& owner) {
    auto pairs = without_gil([&] { return metadata::list(owner); });
    py::list tuples;
    for (const auto& [key, value] : pairs) {
        tuples.append(py::make_tuple(text(key), text(value)));
    }
    return tuples;
}

// bind_listing(), with the chunks of the stock iterators.
template <class Iterator, class Argument, class List>
void bind_chunked(py::module_& m, const char* name, List list, const char* doc,
                  const char* argument) {
    auto cls = bind_listing<Iterator, Argument>(m, name, list, doc, py::arg(argument));
    define(
        cls, "get_next_chunk",
        [](Iterator& self) { self.start = std::min(self.start + stock_chunk, self.items.size()); },
        "Move 32 entries on. The next iteration starts with the entries after those.");
    // Replaces the listing's own method: iterates from the present chunk on.
    cls.attr("__iter__") = py::cpp_function(
        [](const Iterator& self) {
            return py::iter(self.items[py::slice(static_cast<py::ssize_t>(self.start),
                                                 static_cast<py::ssize_t>(self.items.size()), 1)]);
        },
        py::name("__iter__"), py::is_method(cls),
        "__iter__(self)\n--\n\nIterate from the present chunk on.");
}

std::string missing(const std::string& key) {
    return "no metadata " + quoted(key);
}

std::string missing(const std::string& key, const PyImage& image) {
    return missing(key) + " for " + image->describe();
}

void bind_image_metadata(ImageClass& image, const py::module_& m) {
    define(
        image, "metadata_get",
        [](const PyImage& self, const Name& key) {
            return text(
                key_or_error(missing(key, self), [&] { return metadata::get(self.get(), key); }));
        },
        R"(Return the value of a metadata key.

Parameters
----------
key
    The key.

Returns
-------
The value.

Raises
------
KeyError
    The image has no such key.

Examples
--------
>>> image.metadata_set("owner", "alice")
>>> image.metadata_get("owner")
'alice'

Implements: rbd_metadata_get)",
        py::arg("key"));
    define(
        image, "metadata_set",
        [](const PyImage& self, const Name& key, const Name& value) {
            without_gil([&] { metadata::set(self.get(), key, value); });
        },
        R"(Set a metadata key.

Parameters
----------
key
    The key.
value
    Its value.

Raises
------
ReadOnlyImage
    The image is open for reading alone.

Examples
--------
>>> image.metadata_set("owner", "alice")

Implements: rbd_metadata_set)",
        py::arg("key"), py::arg("value"));
    define(
        image, "metadata_remove",
        [](const PyImage& self, const Name& key) {
            key_or_error(missing(key, self), [&] { metadata::remove(self.get(), key); });
        },
        R"(Remove a metadata key.

Parameters
----------
key
    The key.

Raises
------
KeyError
    The image has no such key.

Implements: rbd_metadata_remove)",
        py::arg("key"));
    define(
        image, "metadata_list",
        [m](const py::object& self) { return m.attr("MetadataIterator")(self); },
        R"(Iterate over the image's metadata.

Returns
-------
An iterator of `(key, value)`, ordered by key.

Examples
--------
>>> image.metadata_set("owner", "alice")
>>> dict(image.metadata_list())
{'owner': 'alice'}

Implements: rbd_metadata_list)");
}

}  // namespace

void bind_metadata(py::module_& m, RbdClass& rbd, ImageClass& image) {
    bind_chunked<MetadataIterator, const PyImage&>(
        m, "MetadataIterator", [](const PyImage& self) { return list_pairs<Image>(self); },
        "An image's metadata, each a tuple of key and value.\n\nImplements: rbd_metadata_list",
        "image");
    bind_chunked<PoolMetadataIterator, const IoCtxArgument&>(
        m, "PoolMetadataIterator",
        [](const IoCtxArgument& ioctx) { return list_pairs<IoCtx>(ioctx); },
        "A pool's metadata, each a tuple of key and value.\n\nImplements: rbd_pool_metadata_list",
        "ioctx");
    bind_image_metadata(image, m);
    define(
        rbd, "pool_metadata_get",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& key) {
            const IoCtx& pool = ioctx;
            return text(key_or_error(missing(key), [&] { return metadata::get(pool, key); }));
        },
        R"(Return the value of a metadata key of the pool.

Parameters
----------
ioctx
    The pool, with its namespace.
key
    The key.

Returns
-------
The value.

Raises
------
KeyError
    The pool has no such key.

Implements: rbd_pool_metadata_get)",
        py::arg("ioctx"), py::arg("key"));
    define(
        rbd, "pool_metadata_set",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& key, const Name& value) {
            const IoCtx& pool = ioctx;
            without_gil([&] { metadata::set(pool, key, value); });
        },
        R"(Set a metadata key of the pool.

Parameters
----------
ioctx
    The pool, with its namespace.
key
    The key.
value
    Its value.

Implements: rbd_pool_metadata_set)",
        py::arg("ioctx"), py::arg("key"), py::arg("value"));
    define(
        rbd, "pool_metadata_remove",
        [](const Rbd&, const IoCtxArgument& ioctx, const Name& key) {
            const IoCtx& pool = ioctx;
            key_or_error(missing(key), [&] { metadata::remove(pool, key); });
        },
        R"(Remove a metadata key of the pool.

Parameters
----------
ioctx
    The pool, with its namespace.
key
    The key.

Raises
------
KeyError
    The pool has no such key.

Implements: rbd_pool_metadata_remove)",
        py::arg("ioctx"), py::arg("key"));
    define(
        rbd, "pool_metadata_list",
        [m](const Rbd&, const py::object& ioctx) { return m.attr("PoolMetadataIterator")(ioctx); },
        R"(Iterate over the metadata of the pool.

Parameters
----------
ioctx
    The pool, with its namespace.

Returns
-------
An iterator of `(key, value)`, ordered by key.

Implements: rbd_pool_metadata_list)",
        py::arg("ioctx"));
}

}  // namespace rbdxx::python
