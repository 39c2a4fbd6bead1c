// Another project's module: takes an rbd.Image, reads from it in C++ and returns numpy arrays.
//
// The image comes through the capsule of rbdxx/capsule.hpp, so this module and `rbd` need not have
// been built together.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <rbdxx/capsule.hpp>
#include <rbdxx/rbdxx.hpp>

#include <algorithm>
#include <cstdint>
#include <string>

namespace py = pybind11;

namespace {

rbdxx::Image borrow(const py::object& image) {
    py::object capsule = image.attr("__rbdxx_image__")();
    auto* lent =
        static_cast<rbdxx_image_v1*>(PyCapsule_GetPointer(capsule.ptr(), RBDXX_IMAGE_CAPSULE));
    if (lent == nullptr) {
        throw py::error_already_set();
    }
    return rbdxx::capsule::borrow(lent);
}

// Reads through an image for as long as this object lives, whatever happens to the Python Image.
class Reader {
public:
    explicit Reader(const py::object& image) : image_(borrow(image)) {}

    py::array_t<std::uint8_t> read(std::uint64_t offset, std::uint64_t length) const {
        py::array_t<std::uint8_t> data(static_cast<py::ssize_t>(length));
        auto* bytes = reinterpret_cast<char*>(data.mutable_data());
        std::uint64_t done = 0;
        {
            py::gil_scoped_release release;
            done = rbdxx::io::read(image_, bytes, offset, length);
        }
        data.resize({static_cast<py::ssize_t>(done)});
        return data;
    }

    // Counts each byte value: work that needs neither Python nor a copy.
    py::array_t<std::uint64_t> histogram() const {
        py::array_t<std::uint64_t> counts(256);
        std::uint64_t* count = counts.mutable_data();
        py::gil_scoped_release release;
        std::fill(count, count + 256, 0);
        std::string block(std::size_t{1} << 20, '\0');
        const std::uint64_t size = image_.size();
        for (std::uint64_t offset = 0; offset < size; offset += block.size()) {
            const std::uint64_t done = rbdxx::io::read(image_, block.data(), offset, block.size());
            for (std::uint64_t i = 0; i < done; ++i) {
                ++count[static_cast<std::uint8_t>(block[i])];
            }
        }
        return counts;
    }

private:
    rbdxx::Image image_;
};

}  // namespace

PYBIND11_MODULE(numpy_module, m, pybind11::mod_gil_not_used()) {
    py::register_exception<rbdxx::Error>(m, "ReadError", PyExc_RuntimeError);
    py::class_<Reader>(m, "Reader")
        .def(py::init<const py::object&>(), py::arg("image"))
        .def("read", &Reader::read, py::arg("offset"), py::arg("length"))
        .def("histogram", &Reader::histogram);
}
