// The data of an object. Offsets and sizes are bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::object {

// Every call throws RadosError if it fails. The message names the object, the pool and the
// namespace.

// The most bytes of one call. librados refuses more, or cuts the number.
inline constexpr std::size_t most_bytes = 0x7fffffff;

// Throws RadosError E2BIG if `size` is more than that. `what` is the verb of the message.
void require_size(const Use<IoCtxState>& call, std::size_t size, const char* what,
                  const std::string& name);

// Reads up to `size` bytes at `offset`. Returns the number of bytes read, fewer than `size` at the
// end of the object. Throws RadosError ENOENT if there is no such object. Implements: rados_read
std::size_t read(const IoCtx& ioctx, const std::string& name, char* data, std::size_t size,
                 uint64_t offset);

// Writes at `offset`, and creates the object if it does not exist. Implements: rados_write
void write(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
           uint64_t offset);

// Replaces the whole data of the object, and creates it if it does not exist.
// Implements: rados_write_full
void write_full(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size);

// Writes at the end of the object, and creates it if it does not exist. Implements: rados_append
void append(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size);

// Writes `data` again and again over `total` bytes, a multiple of `size`. Throws RadosError EINVAL
// for another total. Implements: rados_writesame
void write_same(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
                std::size_t total, uint64_t offset);

// Sets the object's size. Data beyond it is lost; new bytes read as zeroes. Implements: rados_trunc
void truncate(const IoCtx& ioctx, const std::string& name, uint64_t size);

// Removes the object. Throws RadosError ENOENT if there is none. Implements: rados_remove
void remove(const IoCtx& ioctx, const std::string& name);

// The size and the time of an object.
struct Status {
    uint64_t size = 0;
    std::time_t modified = 0;  // seconds since 1970, UTC
};

// Returns the object's size and time. Throws RadosError ENOENT if there is no such object.
// Implements: rados_stat
Status status(const IoCtx& ioctx, const std::string& name);

// The result of compare().
struct Comparison {
    bool equal = true;
    uint64_t offset = 0;  // of the first difference, from the beginning of the comparison
};
// Compares data with the object's data at `offset`. Returns the result. Implements: rados_cmpext
Comparison compare(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
                   uint64_t offset);

// Runs a method of an OSD class on the object. Returns the number of bytes of `output` that it has
// filled, or what the method returned if it has no output. Throws RadosError ERANGE if the output
// has no room. Implements: rados_exec
int execute(const IoCtx& ioctx, const std::string& name, const std::string& cls,
            const std::string& method, const char* input, std::size_t input_size, char* output,
            std::size_t output_size);

}  // namespace rbdxx::rados::object
