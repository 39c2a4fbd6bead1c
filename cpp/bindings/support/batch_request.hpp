// The checked arguments of calls that run many operations as one.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <rbdxx/batch.hpp>

#include "buffer.hpp"

namespace rbdxx::python {

// The memory and the plan of a batch. A plan that writes must also be told the size of the image.
struct BatchRequest {
    std::shared_ptr<batch::Plan> plan;
    uint64_t depth = batch::default_depth;
    std::vector<Buffer> buffers;
    std::function<py::object()> answer;  // for a batch that has ended
};

// Each function takes the arguments of the method of Image with that name, and raises an exception
// if they are invalid.
BatchRequest read_blocks_request(const py::object& offsets, uint64_t block_size,
                                 const py::object& out, uint64_t queue_depth);
BatchRequest write_blocks_request(const py::object& data, const py::object& offsets,
                                  uint64_t queue_depth);
BatchRequest readv_request(const py::object& buffers, uint64_t offset);
BatchRequest writev_request(const py::object& buffers, uint64_t offset);

}  // namespace rbdxx::python
