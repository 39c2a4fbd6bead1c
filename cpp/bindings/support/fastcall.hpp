// Methods that bypass pybind11's dispatch: for the few calls whose cost is the binding's.
//
// pybind11 finds an overload, converts through casters and boxes the result for each call; librbd's
// cache answers a small read sooner than that. read, write, readinto and size therefore are plain
// CPython methods (METH_FASTCALL), and so are the first three's forms in rbd.aio; all are defined
// in fastcall.cpp and nowhere else. They check the same, raise the same and show the same signature
// as every other method.
#pragma once

#include "aio.hpp"
#include "image.hpp"

namespace rbdxx::python {

// Image.read, write, readinto and size.
void bind_fastcall(ImageClass& image);
// _AsyncCalls.read, write and readinto.
void bind_fastcall(AsyncCallsClass& calls);

}  // namespace rbdxx::python
