#include <rbdxx/constants.hpp>
#include <rbdxx/encryption.hpp>

#include "bindings.hpp"
#include "define.hpp"
#include "gil.hpp"

namespace rbdxx::python {

namespace {

// str (UTF-8) or bytes. Read in place: the only copy that we make is the one that is wiped.
encryption::Passphrase passphrase_of(py::handle source) {
    if (PyUnicode_Check(source.ptr())) {
        Py_ssize_t size = 0;
        const char* data = PyUnicode_AsUTF8AndSize(source.ptr(), &size);
        if (data == nullptr) {
            throw py::error_already_set();
        }
        return {data, static_cast<std::size_t>(size)};
    }
    if (PyBytes_Check(source.ptr())) {
        return {PyBytes_AS_STRING(source.ptr()),
                static_cast<std::size_t>(PyBytes_GET_SIZE(source.ptr()))};
    }
    throw py::type_error("passphrase must be str or bytes, not " +
                         std::string(Py_TYPE(source.ptr())->tp_name));
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
            throw py::value_error("each spec must be a pair of format and passphrase");
        }
        layers.push_back({convert_flags(parts[0]), passphrase_of(parts[1])});
    }
    without_gil([&] { encryption::load(self, layers); });
}

}  // namespace

void bind_encryption(ImageClass& image) {
    define_gated(
        image, "rbd_encryption_format", "encryption_format",
        [](const PyImage& self, const Flags& format, const py::object& passphrase,
           const Flags& cipher_alg) {
            encryption::Passphrase secret = passphrase_of(passphrase);
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
    define_gated(
        image, "rbd_encryption_load", "encryption_load",
        [](const PyImage& self, const Flags& format, const py::object& passphrase) {
            encryption::Layer layer{format, passphrase_of(passphrase)};
            without_gil([&] { encryption::load(self, layer); });
        },
        "From now on the image reads and writes plain data, of the size without the header.\n\n"
        "format: RBD_ENCRYPTION_FORMAT_*. Raises PermissionError for a wrong passphrase,\n"
        "ImageExists where one is loaded already, InvalidArgument where there is no such header,\n"
        "OperationNotSupported.\n\nImplements: rbd_encryption_load",
        py::arg("format"), py::arg("passphrase"));
    define_gated(image, "rbd_encryption_load2", "encryption_load2", load2,
                 "As encryption_load(), for a clone whose ancestors have passphrases of their "
                 "own.\n\n"
                 "specs: pairs (format, passphrase), the image's own first; the last one holds for "
                 "the ancestors\n"
                 "that are left. Raises as encryption_load() does.\n\n"
                 "Implements: rbd_encryption_load2",
                 py::arg("specs"));
}

}  // namespace rbdxx::python
