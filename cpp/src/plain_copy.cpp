#include "plain_copy.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <rbdxx/error.hpp>
#include <rbdxx/reader.hpp>
#include <rbdxx/writer.hpp>

namespace rbdxx {

namespace {

constexpr uint64_t piece = uint64_t{2} << 20;
constexpr uint64_t memory = uint64_t{16} << 20;
constexpr uint64_t depth = 16;
// Runs of this many zero bytes take no space.
constexpr uint64_t sparse = 4096;

}  // namespace

void copy_plainly(const Image& source, const Image& destination, uint64_t length,
                  const Progress& progress) {
    std::vector<char> in(memory);
    std::vector<char> out(memory);
    pipeline::Reader reader(source, in.data(), memory, depth, piece, 0, 0);
    pipeline::Writer writer(destination, out.data(), memory, depth, sparse, true);
    uint64_t asked = 0;
    while (asked < length || !reader.idle()) {
        while (asked < length) {
            const uint64_t next = std::min(piece - asked % piece, length - asked);
            if (!reader.push(asked, next, true)) {
                break;
            }
            asked += next;
        }
        for (const pipeline::Chunk& chunk : reader.pop()) {
            if (chunk.done < chunk.length) {
                throw Error(EIO, source.describe() +
                                     " shrank while it was copied: it ends at byte " +
                                     std::to_string(chunk.offset + chunk.done));
            }
            if (chunk.start >= 0) {
                const int64_t place = writer.reserve(chunk.length);
                std::memcpy(out.data() + place, in.data() + chunk.start, chunk.length);
                writer.write(chunk.offset, chunk.length);
            }
            const int answer = progress ? progress(chunk.offset + chunk.length, length) : 0;
            if (answer < 0) {
                throw Error(-answer, "error copying " + source.describe());
            }
        }
    }
    writer.drain();
}

void wipe(const Image& image, uint64_t length) {
    char nothing = 0;
    pipeline::Writer writer(image, &nothing, 1, depth, 0);
    writer.zero(0, length);
    writer.drain();
}

}  // namespace rbdxx
