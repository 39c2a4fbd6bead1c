// Reads records at every place of a stream, and writes their headers again. A separate program, for
// a machine of another byte order. Usage: records_elsewhere VERSION <STREAM
#include <rbdxx/records.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string>

int main(int, char** arguments) {
    const int version = std::atoi(arguments[1]);
    std::string stream;
    for (int byte = std::getchar(); byte != EOF; byte = std::getchar()) {
        stream.push_back(static_cast<char>(byte));
    }
    const unsigned one = 1;
    unsigned char first = 0;
    std::memcpy(&first, &one, 1);
    std::printf("%s\n", first == 1 ? "little" : "big");
    for (std::size_t at = 0; at < stream.size(); ++at) {
        const auto found =
            rbdxx::records::whole(stream.data() + at, stream.size() - at, version, uint64_t(-1));
        if (!found) {
            continue;
        }
        char header[rbdxx::records::most_header];
        const uint64_t length =
            rbdxx::records::describe(header, version, found->offset, found->length, found->data);
        const bool same =
            length == found->header && stream.compare(at, length, header, length) == 0;
        std::printf("%zu %llu %llu %d %s\n", at, static_cast<unsigned long long>(found->offset),
                    static_cast<unsigned long long>(found->length), found->data,
                    same ? "same" : "different");
    }
    return 0;
}
