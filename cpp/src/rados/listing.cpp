#include <rbdxx/rados/listing.hpp>

#include <rbdxx/error.hpp>

namespace rbdxx::rados {

namespace {

std::string failure(const Use<IoCtxState>& call) {
    return "error listing the objects of " + call.state().place();
}

}  // namespace

Listing::Listing(IoCtx ioctx) : ioctx_(std::move(ioctx)) {
    auto call = ioctx_.connected();
    call->rados_nobjects_list_close.require();
    check<RadosError>(call->rados_nobjects_list_open(call.get(), &raw_),
                      [&] { return failure(call); });
    // A program may drop a listing half-way: the context's close must not wait for it.
    call.state().lend();
    held_.emplace(std::move(call));
}

Listing::~Listing() {
    close();
}

void Listing::close() noexcept {
    if (!held_) {
        return;
    }
    // A child process has no thread that would cancel the requests under way.
    if (raw_ != nullptr && !ioctx_.state()->forked()) {
        (*held_)->rados_nobjects_list_close(raw_);
    }
    raw_ = nullptr;
    held_->state().take_back();
    held_.reset();
}

std::vector<Listing::Entry> Listing::next(std::size_t most) {
    // Closed, shut down or forked since: throws.
    auto call = ioctx_.connected();
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Entry> page;
    while (raw_ != nullptr && page.size() < most) {
        const char* name = nullptr;
        const char* locator = nullptr;
        const char* space = nullptr;
        std::size_t name_size = 0;
        std::size_t locator_size = 0;
        std::size_t space_size = 0;
        const int result = call->rados_nobjects_list_next2(raw_, &name, &locator, &space,
                                                           &name_size, &locator_size, &space_size);
        if (result == -ENOENT) {
            close();
            break;
        }
        check<RadosError>(result, [&] { return failure(call); });
        Entry& entry = page.emplace_back();
        entry.name.assign(name, name_size);
        if (locator != nullptr) {
            entry.locator.emplace(locator, locator_size);
        }
        if (space != nullptr) {
            entry.space.assign(space, space_size);
        }
    }
    return page;
}

}  // namespace rbdxx::rados
