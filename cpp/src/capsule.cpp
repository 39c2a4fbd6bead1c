#include <rbdxx/capsule.hpp>
#include <rbdxx/image.hpp>

#include <atomic>
#include <vector>

namespace rbdxx::capsule {

namespace {

// The struct that a capsule points to, and the members that the borrowers do not see.
struct Lent final : rbdxx_image_v1 {
    Lent(std::shared_ptr<ImageState> lent, std::shared_ptr<void> kept)
        : rbdxx_image_v1{}, state(std::move(lent)), keep(std::move(kept)) {}

    // The capsule's own share, and one for each acquire().
    std::atomic<unsigned> shares{1};
    std::shared_ptr<ImageState> state;
    std::shared_ptr<void> keep;
};

const std::vector<rbdxx_function_v1>& table_of_pointers() {
    static const std::vector<rbdxx_function_v1> entries = [] {
        const abi::Functions& found = functions();
        return std::vector<rbdxx_function_v1>{
#define RBDXX_FUNCTION(release, result, name, parameters) \
    {#name, reinterpret_cast<void (*)()>(found.name.address())},
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION
        };
    }();
    return entries;
}

void drop_share(Lent* lent) noexcept {
    if (lent->shares.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        delete lent;
    }
}

int acquire(rbdxx_image_v1* self) {
    auto* lent = static_cast<Lent*>(self);
    lent->state->lend();
    try {
        lent->state->enter();
    } catch (const ForkedError&) {
        lent->state->take_back();
        return -ESHUTDOWN;
    } catch (const Error&) {
        lent->state->take_back();
        return -EBADF;
    }
    lent->shares.fetch_add(1, std::memory_order_relaxed);
    return 0;
}

void release(rbdxx_image_v1* self) {
    auto* lent = static_cast<Lent*>(self);
    if (!lent->state->read_only) {
        // The borrower does not say what it did.
        lent->state->unsaved.wrote();
    }
    lent->state->leave();
    lent->state->take_back();
    drop_share(lent);
}

}  // namespace

rbdxx_image_v1* lend(const Image& image, std::shared_ptr<void> keep) {
    const std::vector<rbdxx_function_v1>& table = table_of_pointers();
    // The image must be open now. A borrower may still come too late.
    auto use = image.use();
    use.state().known_size->shared();
    auto* lent = new Lent(image.state(), std::move(keep));
    lent->size = sizeof(rbdxx_image_v1);
    lent->image = use.get();
    lent->acquire = acquire;
    lent->release = release;
    lent->functions = table.data();
    lent->function_count = table.size();
    return lent;
}

void drop(rbdxx_image_v1* lent) noexcept {
    drop_share(static_cast<Lent*>(lent));
}

Image borrow(rbdxx_image_v1* lent) {
    auto share = std::make_shared<Share>(lent);
    const abi::Functions& ours = functions();
    // If the process has two librbd, each would misread the other's handle.
    if (share->function<int(void*)>("rbd_close") != ours.rbd_close.address()) {
        throw LibraryNotFound("the image was opened by a librbd other than " + library_info().path);
    }
    return Image::borrow(share->get(), share);
}

}  // namespace rbdxx::capsule
