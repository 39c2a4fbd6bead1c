#include <rbdxx/constants.hpp>
#include <rbdxx/encryption.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/io.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/parent.hpp>
#include <rbdxx/snapshot.hpp>

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

namespace rbdxx::encryption {

namespace {

using namespace std::string_view_literals;

constexpr std::string_view magic = "LUKS\xba\xbe"sv;
// All ciphers that librbd offers are AES, in a mode that goes block by block.
constexpr uint64_t cipher_block = 16;  // bytes

// Reads the first bytes that are stored, or as many as there are.
std::string beginning(const Image& image, uint64_t length) {
    std::string found(std::min(length, image.size()), '\0');
    if (!found.empty()) {
        io::read(image, found.data(), 0, found.size());
    }
    return found;
}

uint64_t big_endian(std::string_view bytes) {
    uint64_t number = 0;
    for (char byte : bytes) {
        number = number << 8U | static_cast<unsigned char>(byte);
    }
    return number;
}

// Returns the offset of the data behind a LUKS header, in bytes. Returns nothing if there is no
// such header.
std::optional<uint64_t> start_of_data(const Image& image) {
    const std::string first = beginning(image, 512);
    if (first.size() < 512 || std::string_view(first).substr(0, magic.size()) != magic) {
        return {};
    }
    const std::string_view bytes(first);
    if (big_endian(bytes.substr(6, 2)) == 1) {
        return big_endian(bytes.substr(104, 4)) * 512;
    }
    // Version 2 stores the offset as text, in JSON.
    constexpr uint64_t longest = uint64_t{4} << 20;
    const std::string header = beginning(image, std::min(big_endian(bytes.substr(8, 8)), longest));
    const auto segments = header.find("\"segments\"", std::min<std::size_t>(4096, header.size()));
    const auto offset = header.find("\"offset\"", std::min(segments, header.size()));
    if (offset == std::string::npos) {
        return {};
    }
    auto at = std::find_if(header.begin() + static_cast<std::ptrdiff_t>(offset) + 8, header.end(),
                           [](unsigned char c) { return std::isdigit(c) != 0; });
    uint64_t number = 0;
    for (; at != header.end() && std::isdigit(static_cast<unsigned char>(*at)) != 0; ++at) {
        number = number * 10 + static_cast<uint64_t>(*at - '0');
    }
    return number;
}

// A librbd without layers encrypts the data that a clone takes from its parent before the first
// write to an object. If that data is the header, it becomes encrypted twice, and nothing can read
// it.
void require_header_apart(const Image& image) {
    if (image.use()->rbd_encryption_load2 || image.state()->read_only || image.overlap() == 0) {
        return;
    }
    const auto start = start_of_data(image);
    if (start && *start % image.info().obj_size != 0) {
        throw Error(EOPNOTSUPP, "error loading encryption of " + image.describe() +
                                    ": it is a clone whose data begin in an object of the header, "
                                    "which the loaded librbd would destroy with the first write. "
                                    "Open it read-only, or flatten it first through an Image that "
                                    "is open without encryption");
    }
}

std::string name_of(int format) {
    switch (format) {
        case constants::ENCRYPTION_FORMAT_LUKS1:
            return "luks1";
        case constants::ENCRYPTION_FORMAT_LUKS2:
            return "luks2";
        case constants::ENCRYPTION_FORMAT_LUKS:
            return "luks";
        default:
            return "number " + std::to_string(format);
    }
}

[[noreturn]] void unsupported(int format) {
    throw Error(EOPNOTSUPP, "the encryption format must be luks1, luks2 or, to load, luks; not " +
                                name_of(format));
}

// The options of each format, as the C library takes them: pointers to the passphrase, not copies.
union Options {
    abi::rbd_encryption_luks1_format_options_t luks1;
    abi::rbd_encryption_luks2_format_options_t luks2;
    abi::rbd_encryption_luks_format_options_t luks;
};

// Fills `options`. Returns the size of the struct that it filled.
std::size_t fill(Options& options, int format, const Secret& passphrase, int algorithm) {
    auto cipher = static_cast<abi::rbd_encryption_algorithm_t>(algorithm);
    switch (format) {
        case constants::ENCRYPTION_FORMAT_LUKS1:
            options.luks1 = {cipher, passphrase.data(), passphrase.size()};
            return sizeof options.luks1;
        case constants::ENCRYPTION_FORMAT_LUKS2:
            options.luks2 = {cipher, passphrase.data(), passphrase.size()};
            return sizeof options.luks2;
        case constants::ENCRYPTION_FORMAT_LUKS:
            options.luks = {passphrase.data(), passphrase.size()};
            return sizeof options.luks;
        default:
            unsupported(format);
    }
}

constexpr int any_algorithm = constants::ENCRYPTION_ALGORITHM_AES256;

// A library without layers does not know the format that stands for every LUKS version either.
void require_format(const abi::Functions& functions, int format) {
    if (format == constants::ENCRYPTION_FORMAT_LUKS && !functions.rbd_encryption_load2) {
        throw_missing_function(functions.rbd_encryption_load2.name());
    }
}

// Calls `change`, which loads encryption or throws, and records how much smaller the image became.
template <class Call, class Change>
void note_header(const Image& image, const Call& use, const Change& change) {
    const uint64_t before = image.size();
    const SizeChange noted(image);
    change();
    const uint64_t after = image.size();
    if (after < before) {
        use.state().encryption_header += before - after;
    }
}

// Returns the length of the chain of images that this one reads from; 2 means two or more.
int parents(const Image& image) {
    if (image.overlap() == 0) {
        return 0;
    }
    // The source of a migration is read like a parent.
    int count = (image.features() & constants::FEATURE_MIGRATING) != 0 ? 1 : 0;
    try {
        const parent::Parent found = parent::get(image);
        ++count;
        if (count < 2) {
            const Image above = parent::open(image, found);
            snapshot::set_by_id(above, found.snapshot_id);
            count += above.overlap() > 0 ? 1 : 0;
        }
    } catch (const ClosedError&) {
        throw;
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch): no parent, or a hidden one
    }
    return count;
}

// In a striped image, librbd derives a block's place, which its cipher depends on, from the request
// that reads or writes it. A request with other bounds then reads noise.
void require_no_stripes(const Image& image, const char* doing) {
    if (image.stripe_count() > 1) {
        throw Error(EOPNOTSUPP, std::string("error ") + doing + " " + image.describe() +
                                    ": it is striped, and librbd would decrypt data only if it is "
                                    "read in requests with the bounds of those that wrote it. "
                                    "Use a stripe count of 1");
    }
}

}  // namespace

void format(const Image& image, int format, const Secret& passphrase, int algorithm) {
    auto use = image.use();
    require_no_stripes(image, "formatting");
    if (format == constants::ENCRYPTION_FORMAT_LUKS) {
        // This format is for loading only: it does not say which version to write.
        unsupported(format);
    }
    Options options{};
    std::size_t size = fill(options, format, passphrase, algorithm);
    note_header(image, use, [&] {
        lock::check_with_lock(
            image,
            [&] {
                return use->rbd_encryption_format(
                    use.get(), static_cast<abi::rbd_encryption_format_t>(format), &options, size);
            },
            [&] { return "error formatting " + image.describe() + " with " + name_of(format); });
    });
}

void load(const Image& image, const Layer& layer) {
    auto use = image.use();
    require_format(use.functions(), layer.format);
    require_no_stripes(image, "loading encryption of");
    require_header_apart(image);
    Options options{};
    std::size_t size = fill(options, layer.format, layer.passphrase, any_algorithm);
    if (!use->rbd_encryption_load2 && parents(image) > 1) {
        // A librbd without layers frees the key twice when it closes the image.
        throw Error(EOPNOTSUPP, "error loading encryption of " + image.describe() +
                                    ": it is a clone of a clone, and the loaded librbd would end "
                                    "the process when the image is closed. Flatten it through an "
                                    "Image that is open without encryption");
    }
    note_header(image, use, [&] {
        check(
            use->rbd_encryption_load(
                use.get(), static_cast<abi::rbd_encryption_format_t>(layer.format), &options, size),
            [&] {
                return "error loading encryption of " + image.describe() + " with " +
                       name_of(layer.format);
            });
    });
}

void load(const Image& image, const std::vector<Layer>& layers) {
    auto use = image.use();
    require_no_stripes(image, "loading encryption of");
    std::vector<Options> options(layers.size());
    std::vector<abi::rbd_encryption_spec_t> specs;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        std::size_t size = fill(options[i], layers[i].format, layers[i].passphrase, any_algorithm);
        specs.push_back(
            {static_cast<abi::rbd_encryption_format_t>(layers[i].format), &options[i], size});
    }
    note_header(image, use, [&] {
        check(use->rbd_encryption_load2(use.get(), specs.data(), specs.size()),
              [&] { return "error loading encryption of " + image.describe(); });
    });
}

bool loaded(const Image& image) {
    return image.state()->encryption_header > 0;
}

void require_whole_blocks(const Image& image, uint64_t size, const std::string& what) {
    if (size % cipher_block == 0 || may_be_loaded(image) ||
        beginning(image, magic.size()) != magic) {
        return;
    }
    throw Error(
        EOPNOTSUPP,
        what + ": it is encrypted, and the last of its " + std::to_string(size) +
            " bytes could not be decrypted again, because they are not a multiple of " +
            std::to_string(cipher_block) +
            ". Resize the image to a multiple, or copy its plain data, with its encryption loaded");
}

std::optional<Image> open_stored(const Image& image) {
    const ImageState& state = *image.state();
    if (may_be_loaded(image) || state.read_only || !snapshot::position(image).head() ||
        (image.features() & constants::FEATURE_EXCLUSIVE_LOCK) == 0 ||
        beginning(image, magic.size()) != magic) {
        return {};
    }
    OpenOptions options;
    options.name = image.id();
    options.by_id = true;
    const Image own = image.open_beside(state.pool_id, state.pool_namespace, options);
    try {
        lock::acquire(own, constants::LOCK_MODE_EXCLUSIVE);
    } catch (const Error&) {
        if (lock::is_owner(image)) {
            return {};  // and keeps it
        }
        throw;
    }
    return own;
}

bool may_be_loaded(const Image& image) {
    return loaded(image) || image.state()->lender != nullptr;
}

}  // namespace rbdxx::encryption
