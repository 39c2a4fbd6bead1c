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

// As define_gated(), for a method that takes passphrases: what pybind11 says of arguments that do
// not fit prints them all.
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
        "Writes a new LUKS header and loads it: the image is smaller by the header from now on,\n"
        "and what it held is lost.\n\n"
        "format: RBD_ENCRYPTION_FORMAT_LUKS1 or _LUKS2. passphrase: str or bytes. cipher_alg:\n"
        "RBD_ENCRYPTION_ALGORITHM_*. Raises OperationNotSupported for another format,\n"
        "InvalidArgument, NoSpace.\n\n"
        "Implements: rbd_encryption_format",
        py::arg("format"), py::arg("passphrase"),
        py::arg("cipher_alg") = static_cast<int>(constants::ENCRYPTION_ALGORITHM_AES256));
    define_secret(
        image, "rbd_encryption_load", "encryption_load",
        [](const PyImage& self, const Flags& format, const py::object& passphrase) {
            encryption::Layer layer{format, passphrase_of(passphrase)};
            without_gil([&] { encryption::load(self, layer); });
        },
        "From now on the image reads and writes plain data, of the size without the header.\n\n"
        "format: RBD_ENCRYPTION_FORMAT_*. Raises PermissionError for a wrong passphrase,\n"
        "ImageExists where one is loaded already, InvalidArgument where there is no such header,\n"
        "OperationNotSupported, also for a clone of a clone where the loaded librbd is older than\n"
        "Ceph 18.\n\nImplements: rbd_encryption_load",
        py::arg("format"), py::arg("passphrase"));
    define_secret(
        image, "rbd_encryption_load2", "encryption_load2", load2,
        "As encryption_load(), for a clone whose ancestors have passphrases of their "
        "own.\n\n"
        "specs: pairs (format, passphrase), the image's own first; the last one holds for "
        "the ancestors\n"
        "that are left. Raises as encryption_load() does.\n\n"
        "Implements: rbd_encryption_load2",
        py::arg("specs"));
}

}  // namespace rbdxx::python
