#include <rbdxx/records.hpp>

#include <endian.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace rbdxx::records {

namespace {

constexpr uint64_t word = sizeof(uint64_t);
// The part of a record's body before its data.
constexpr uint64_t place = 2 * word;

uint64_t number(const char* stream) {
    uint64_t value = 0;
    std::memcpy(&value, stream, word);
    return le64toh(value);
}

char* put(char* stream, uint64_t value) {
    value = htole64(value);
    std::memcpy(stream, &value, word);
    return stream + word;
}

}  // namespace

std::optional<Record> whole(const char* stream, uint64_t size, int version, uint64_t limit) {
    Record record;
    record.header = 1 + place + (version == 2 ? word : 0);
    if (size < record.header || (stream[0] != 'w' && stream[0] != 'z')) {
        return std::nullopt;
    }
    record.data = stream[0] == 'w';
    const char* const numbers = stream + record.header - place;
    record.offset = number(numbers);
    record.length = number(numbers + word);
    const uint64_t follows = record.data ? record.length : 0;
    if (record.offset > limit || record.length > limit - record.offset ||
        follows > size - record.header) {
        return std::nullopt;
    }
    if (version == 2 && number(stream + 1) != place + follows) {
        return std::nullopt;
    }
    record.size = record.header + follows;
    return record;
}

uint64_t skip(const Region& region, int version, uint64_t limit, uint64_t most) {
    uint64_t position = region.position;
    for (; most > 0 && position < region.end; --most) {
        std::array<char, most_header> header;
        const uint64_t left = region.end - position;
        const ssize_t done =
            ::pread(region.descriptor, header.data(), std::min<uint64_t>(header.size(), left),
                    static_cast<off_t>(position));
        // For an error or the end of the file: the caller reads there again, and reports it.
        if (done < static_cast<ssize_t>(std::min<uint64_t>(header.size(), left))) {
            break;
        }
        const auto record = whole(header.data(), left, version, limit);
        if (!record) {
            break;
        }
        position += record->size;
    }
    return position;
}

uint64_t describe(char* stream, int version, uint64_t offset, uint64_t length, bool data) {
    char* end = stream;
    *end++ = data ? 'w' : 'z';
    if (version == 2) {
        end = put(end, place + (data ? length : 0));
    }
    end = put(put(end, offset), length);
    return static_cast<uint64_t>(end - stream);
}

}  // namespace rbdxx::records
