// Work of the engine over Python buffers, and the one way to abandon any work.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <rbdxx/engine.hpp>

#include "buffer.hpp"
#include "callbacks.hpp"
#include "gil.hpp"

namespace rbdxx::python {

struct Buffers {
    std::vector<Buffer> buffers;
};

// A Batch, Reader or Writer, and the memory that it works on, which is released after it.
template <class Base>
class OnBuffers final : private Buffers, public Base {
public:
    template <class... Arguments>
    explicit OnBuffers(std::vector<Buffer> held, Arguments&&... arguments)
        : Buffers{std::move(held)}, Base(std::forward<Arguments>(arguments)...) {}
    ~OnBuffers() override {
        // The last use of an image may close it.
        without_gil([this] { Base::close(); });
    }
    void deliver() noexcept override {
        without_gil([this] { Base::close(); });
        // Runs Python code, which may close images: they look at what is being delivered, so this
        // is whole until then.
        buffers.clear();
        delete this;
    }
};

// Stops waiting for `work`, which the thread of callbacks destroys once it is over. False where it
// is over already. For the time while an exception is on its way.
template <class Work>
bool abandon(std::unique_ptr<Work> work) noexcept {
    if (!work->abandon()) {
        return false;
    }
    work.release();  // NOLINT(bugprone-unused-return-value): the thread's now
    Callbacks::serve();
    return true;
}

}  // namespace rbdxx::python
