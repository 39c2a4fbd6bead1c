// Detached threads.
#pragma once

#include <exception>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <rbdxx/error.hpp>

namespace rbdxx::detail {

// Runs `body()` in a detached thread. Returns false if none can be started.
template <class Body>
bool try_start_thread(Body body) noexcept {
    try {
        std::thread(std::move(body)).detach();
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

// Runs `body()` in a detached thread. Throws Error if none can be started; `describe()` returns
// what the thread was for.
template <class Body, class Describe>
void start_thread(Body body, const Describe& describe) {
    try {
        std::thread(std::move(body)).detach();
    } catch (const std::system_error& error) {
        throw Error(error.code().value(), "error starting a thread to " + describe());
    }
}

}  // namespace rbdxx::detail
