#include <rbdxx/constants.hpp>
#include <rbdxx/encryption.hpp>

#include "support/bindings.hpp"
#include "support/define.hpp"
#include "support/gil.hpp"

namespace rbdxx::python {

namespace {

Secret passphrase_of(py::handle source) {
    return convert_secret(source, "strict");
}

// As define_gated(), for a method that takes passphrases: pybind11's message about arguments that
// do not fit prints all of them.
template <class Function, class... Extra>
void define_secret(ImageClass& image, const char* c_function, const char* name, Function&& function,
                   const char* doc, const Extra&... extra) {
    std::string text = documented(name, "self", doc, extra...);
    py::cpp_function method(std::forward<Function>(function), py::name(name), py::is_method(image),
                            text.c_str(), extra...);
    py::cpp_function otherwise(
        [name](const py::args&, const py::kwargs&) {
            throw py::type_error(std::string(name) +
                                 "() got arguments of a wrong number, name or type; see help()");
        },
        py::name(name), py::is_method(image), py::sibling(method));
    py::setattr(image, name, gated(std::move(otherwise), c_function, name));
}

void load2(const PyImage& self, const py::iterable& specs) {
    std::vector<encryption::Layer> layers;
    for (py::handle spec : specs) {
        auto pair = py::reinterpret_steal<py::object>(PySequence_Tuple(spec.ptr()));
        if (!pair) {
            throw py::error_already_set();
        }
        py::tuple parts = pair;
        if (parts.size() != 2) {
            throw py::value_error("each spec must be a pair of format and passphrase, not " +
                                  std::to_string(parts.size()) + " values");
        }
        layers.push_back({convert_flags(parts[0]), passphrase_of(parts[1])});
    }
    without_gil([&] { encryption::load(self, layers); });
}

}  // namespace

void bind_encryption(ImageClass& image) {
    define_secret(
        image, "rbd_encryption_format", "encryption_format",
        [](const PyImage& self, const Flags& format, const py::object& passphrase,
           const Flags& cipher_alg) {
            Secret secret = passphrase_of(passphrase);
            without_gil([&] { encryption::format(self, format, secret, cipher_alg); });
        },
        R"(Write a new LUKS header, and load it unless the image is a clone.

What the image held is lost, and it is smaller by the header from now on. librbd does not load the
encryption of a clone, because it does not know the passphrases of the parents: call
`encryption_load2` before anything is written, or the data goes over the header.

Parameters
----------
format
    `RBD_ENCRYPTION_FORMAT_LUKS1` or `RBD_ENCRYPTION_FORMAT_LUKS2`.
passphrase
    The passphrase. It stands in no error message.
cipher_alg
    One of `RBD_ENCRYPTION_ALGORITHM_*`.

Raises
------
OperationNotSupported
    librbd does not know the format, or the image is striped.
InvalidArgument
    librbd cannot encrypt this image.
NoSpace
    There is no room for the header.

Implements: rbd_encryption_format)",
        py::arg("format"), py::arg("passphrase"),
        py::arg("cipher_alg") = static_cast<int>(constants::ENCRYPTION_ALGORITHM_AES256));
    define_secret(
        image, "rbd_encryption_load", "encryption_load",
        [](const PyImage& self, const Flags& format, const py::object& passphrase) {
            encryption::Layer layer{format, passphrase_of(passphrase)};
            without_gil([&] { encryption::load(self, layer); });
        },
        R"(Load the encryption of the image: from now on it reads and writes plain data, and its size is
that without the header.

Parameters
----------
format
    One of `RBD_ENCRYPTION_FORMAT_*`.
passphrase
    The passphrase.

Raises
------
PermissionError
    The passphrase is wrong.
ImageExists
    Encryption is loaded already.
InvalidArgument
    The image has no such header.
OperationNotSupported
    librbd does not know the format; the image is striped; or it is a clone of a clone, and
    librbd is older than Ceph 18.

Implements: rbd_encryption_load)",
        py::arg("format"), py::arg("passphrase"));
    define_secret(
        image, "rbd_encryption_load2", "encryption_load2", load2,
        R"(Load the encryption of a clone whose ancestors have passphrases of their own, as
`encryption_load` does.

Parameters
----------
specs
    Pairs `(format, passphrase)`, the image's own first. The last one holds for the ancestors
    that are left.

Raises
------
PermissionError
    A passphrase is wrong.
ImageExists
    Encryption is loaded already.
InvalidArgument
    An image has no such header.
OperationNotSupported
    librbd does not know the format.

Implements: rbd_encryption_load2)",
        py::arg("specs"));
}

}  // namespace rbdxx::python
