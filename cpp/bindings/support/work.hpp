// The engine's work over Python buffers, and the only way to abandon work.
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

// A Batch, Reader or Writer, and the memory that it uses, which is released after it.
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
        // Releasing a buffer runs Python code, which may close images. A close looks at the item
        // that is being delivered, so this object must be complete until then.
        buffers.clear();
        delete this;
    }
};

// Stops waiting for `work`; the thread of callbacks destroys it once it has ended. Returns false if
// it has ended already. For use while an exception is being raised.
template <class Work>
bool abandon(std::unique_ptr<Work> work) noexcept {
    if (!work->abandon()) {
        return false;
    }
    work.release();  // NOLINT(bugprone-unused-return-value): the callback thread owns it
    Callbacks::serve();
    return true;
}

}  // namespace rbdxx::python
