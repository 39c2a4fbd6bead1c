// Threads that nobody joins.
#pragma once

#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <rbdxx/error.hpp>

namespace rbdxx::detail {

// Runs `body()` in a thread of its own. Throws Error if there can be none; `describe()` says then
// what it was for.
template <class Body, class Describe>
void start_thread(Body body, const Describe& describe) {
    try {
        std::thread(std::move(body)).detach();
    } catch (const std::system_error& error) {
        throw Error(error.code().value(), "error starting a thread to " + describe());
    }
}

}  // namespace rbdxx::detail
