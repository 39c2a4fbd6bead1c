#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/lock.hpp>

#include <algorithm>
#include <string>

namespace rbdxx::io {

std::string region(const char* verb, const Image& image, uint64_t offset, uint64_t length) {
    return "error " + std::string(verb) + " " + image.describe() + " at " + std::to_string(offset) +
           "~" + std::to_string(length);
}

std::string wrote_only(uint64_t done, uint64_t length) {
    return ": wrote only " + std::to_string(done) + " out of " + std::to_string(length) + " bytes";
}

std::string differs_from(uint64_t offset) {
    return ": the data differs from offset " + std::to_string(offset);
}

namespace {

// As Use, for one call on an image that outlives the call. It does not cost a share.
class Entry {
public:
    explicit Entry(const Image& image) : state_(*image.state()) { state_.enter(); }
    ~Entry() { state_.leave(); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    abi::rbd_image_t get() const { return state_.raw; }
    const abi::Functions* operator->() const { return state_.functions; }

private:
    ImageState& state_;
};

// The C library cannot have done more than it was asked to do.
uint64_t checked(int64_t result, uint64_t size, const char* verb, const Image& image,
                 uint64_t offset, uint64_t length) {
    if (static_cast<uint64_t>(result) > size) {
        throw LogicFault(region(verb, image, offset, length) + ": librbd reports " +
                         std::to_string(result) + " bytes for " + std::to_string(size));
    }
    return static_cast<uint64_t>(result);
}

std::string refused(const Image& image, int64_t result) {
    return lock::refusal(image, static_cast<int>(-result));
}

// Returns the multiple of bytes at which a long discard may be divided. librbd leaves out the
// blocks that a discard does not fill, so a division inside a block would leave the block's data. A
// block is at most as large as an object, and is aligned in it.
uint64_t discard_unit(const Image& image) {
    const uint64_t stripe = image.stripe_unit();
    const uint64_t stripes = image.stripe_count();
    uint64_t part = image.info().obj_size;  // of each object of a set
    while (part > stripe && part * stripes > piece) {
        part /= 2;
    }
    return part * stripes <= piece ? part * stripes : stripe;
}

// Calls `call(at, size)` for pieces of `length` bytes that librbd can return the size of. The
// pieces end at multiples of `unit`. Returns the number of bytes done. A piece that is incomplete
// ends it.
template <class Call>
uint64_t in_pieces(const char* verb, const Image& image, uint64_t offset, uint64_t length,
                   const Call& call, uint64_t unit = 1) {
    uint64_t done = 0;
    do {
        uint64_t size = std::min(length - done, piece);
        const uint64_t beyond = (offset + done + size) % unit;
        if (size < length - done && beyond < size) {
            size -= beyond;
        }
        auto result = call(offset + done, size, done);
        check(result, [&] { return region(verb, image, offset, length) + refused(image, result); });
        uint64_t came = checked(result, size, verb, image, offset, length);
        done += came;
        if (came < size) {
            break;
        }
    } while (done < length);
    return done;
}

void require_whole(const char* verb, const Image& image, uint64_t offset, uint64_t length,
                   uint64_t done) {
    if (done != length) {
        throw IncompleteWrite(region(verb, image, offset, length) + wrote_only(done, length));
    }
}

// Returns what `call()` returns, which changes data. The data of a refused write is nowhere.
template <class Call>
auto change(const Image& image, const Call& call) {
    const auto result = lock::with_lock(image, call);
    if (result >= 0) {
        image.state()->unsaved.wrote();
    }
    return result;
}

}  // namespace

uint64_t read(const Image& image, char* data, uint64_t offset, uint64_t length, int flags) {
    Entry use(image);
    return in_pieces(
        "reading", image, offset, length, [&](uint64_t at, uint64_t size, uint64_t done) {
            return flags == 0 ? use->rbd_read(use.get(), at, size, data + done)
                              : use->rbd_read2(use.get(), at, size, data + done, flags);
        });
}

uint64_t clip(const Image& image, uint64_t offset, uint64_t length) {
    uint64_t size = image.size();
    return offset >= size ? 0 : std::min(length, size - offset);
}

uint64_t write(const Image& image, const char* data, uint64_t offset, uint64_t length, int flags) {
    Entry use(image);
    uint64_t done = in_pieces(
        "writing", image, offset, length, [&](uint64_t at, uint64_t size, uint64_t before) {
            return change(image, [&] {
                return flags == 0 ? use->rbd_write(use.get(), at, size, data + before)
                                  : use->rbd_write2(use.get(), at, size, data + before, flags);
            });
        });
    require_whole("writing", image, offset, length, done);
    return done;
}

uint64_t discard(const Image& image, uint64_t offset, uint64_t length) {
    Entry use(image);
    return in_pieces(
        "discarding", image, offset, length,
        [&](uint64_t at, uint64_t size, uint64_t) {
            return change(image, [&] { return use->rbd_discard(use.get(), at, size); });
        },
        length > piece ? discard_unit(image) : 1);
}

int known_zero_flags(int zero_flags) {
    if (zero_flags != 0 && library_info().release < 16) {
        throw MissingFunction("the loaded librbd does not know zero_flags: Ceph 16 and newer do");
    }
    return zero_flags;
}

uint64_t write_zeroes(const Image& image, uint64_t offset, uint64_t length, int zero_flags) {
    Entry use(image);
    known_zero_flags(zero_flags);
    return in_pieces("zeroing", image, offset, length, [&](uint64_t at, uint64_t size, uint64_t) {
        return change(image,
                      [&] { return use->rbd_write_zeroes(use.get(), at, size, zero_flags, 0); });
    });
}

uint64_t write_same(const Image& image, const char* data, uint64_t size, uint64_t offset,
                    uint64_t length, int flags) {
    Entry use(image);
    // A piece must hold whole repetitions of the pattern.
    uint64_t step = size == 0 || size > piece ? piece : piece - piece % size;
    uint64_t done = 0;
    do {
        uint64_t part = std::min(length - done, step);
        auto result = change(image, [&] {
            return use->rbd_writesame(use.get(), offset + done, part, data, size, flags);
        });
        check(result,
              [&] { return region("writing", image, offset, length) + refused(image, result); });
        uint64_t came = checked(result, part, "writing", image, offset, length);
        done += came;
        if (came < part) {
            break;
        }
    } while (done < length);
    require_whole("writing", image, offset, length, done);
    return done;
}

Difference::Difference(const Image& image, uint64_t offset, uint64_t length)
    : offset_(offset),
      length_(length),
      object_size_(image.info().obj_size),
      stripe_unit_(image.stripe_unit()),
      stripe_count_(image.stripe_count()) {}

uint64_t Difference::place(uint64_t told) const {
    uint64_t stripe = told / stripe_unit_ / stripe_count_;
    uint64_t in_object = (stripe * stripe_unit_ + told % stripe_unit_) % object_size_;
    return in_object < length_ ? offset_ + in_object : told;
}

void read_iterate(const Image& image, uint64_t offset, uint64_t length, const Visit& visit) {
    Entry use(image);
    // librbd counts from the region's beginning.
    Visit from_beginning = [&](uint64_t at, const char* data, std::size_t size) {
        return visit(offset + at, data, size);
    };
    auto forward = [](uint64_t at, std::size_t size, const char* data, void* argument) {
        return (*static_cast<const Visit*>(argument))(at, data, size);
    };
    check(use->rbd_read_iterate2(use.get(), offset, length, forward, &from_beginning),
          [&] { return region("reading", image, offset, length); });
}

uint64_t compare_and_write(const Image& image, const char* expected, const char* data,
                           uint64_t offset, uint64_t length, int flags) {
    if (length == 0) {
        // librbd would end the process. A write of nothing has the same errors.
        return write(image, data, offset, 0, flags);
    }
    Difference difference(image, offset, length);
    Entry use(image);
    uint64_t mismatch = 0;
    auto result = lock::with_lock(image, [&] {
        return use->rbd_compare_and_write(use.get(), offset, length, expected, data, &mismatch,
                                          flags);
    });
    if (result == -EILSEQ) {
        mismatch = difference.place(mismatch);
        throw CompareMismatch(mismatch, region("comparing and writing", image, offset, length) +
                                            differs_from(mismatch));
    }
    check(result, [&] {
        return region("comparing and writing", image, offset, length) + refused(image, result);
    });
    require_whole("writing", image, offset, length,
                  checked(result, length, "writing", image, offset, length));
    return length;
}

}  // namespace rbdxx::io
