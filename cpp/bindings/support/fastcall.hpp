// Methods that bypass pybind11's dispatch, for the few calls that the dispatch makes noticeably
// slower.
//
// For each call, pybind11 finds an overload, converts through casters and boxes the result. A small
// read from librbd's cache takes less time than that. Therefore read, write, readinto and size are
// plain CPython methods (METH_FASTCALL), and so are the first three's forms in rbd.aio. All are
// defined in fastcall.cpp and nowhere else. They check, raise and show the same signature as every
// other method.
#pragma once

#include "aio.hpp"
#include "image.hpp"

namespace rbdxx::python {

// Image.read, write, readinto and size.
void bind_fastcall(ImageClass& image);
// _AsyncCalls.read, write and readinto.
void bind_fastcall(AsyncCallsClass& calls);

}  // namespace rbdxx::python
