// The bytes of an object. Offsets and sizes are bytes; messages name object, pool and namespace.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>

#include <rbdxx/rados/ioctx.hpp>

namespace rbdxx::rados::object {

// What librados takes in one call; it refuses more, in part by cutting the number.
inline constexpr std::size_t most_bytes = 0x7fffffff;

// Throws RadosError E2BIG for more than that; `what` is done with the object.
void require_size(const Use<IoCtxState>& call, std::size_t size, const char* what,
                  const std::string& name);

// Reads up to `size` bytes at `offset`; less came where the object ends. Throws RadosError ENOENT.
// Implements: rados_read
std::size_t read(const IoCtx& ioctx, const std::string& name, char* data, std::size_t size,
                 uint64_t offset);

// Makes the object if it is not there. Implements: rados_write
void write(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
           uint64_t offset);

// The object then holds these bytes alone. Implements: rados_write_full
void write_full(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size);

// Implements: rados_append
void append(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size);

// Repeats `data` over `total` bytes, a multiple of its size. Implements: rados_writesame
void write_same(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
                std::size_t total, uint64_t offset);

// What comes beyond `size` is lost, what is missing reads as zeroes. Implements: rados_trunc
void truncate(const IoCtx& ioctx, const std::string& name, uint64_t size);

// Throws RadosError ENOENT. Implements: rados_remove
void remove(const IoCtx& ioctx, const std::string& name);

struct Status {
    uint64_t size = 0;
    std::time_t modified = 0;  // seconds since 1970, UTC
};

// Throws RadosError ENOENT. Implements: rados_stat
Status status(const IoCtx& ioctx, const std::string& name);

// Nothing where the object holds these bytes at `offset`; else how many of them, from the first on,
// it holds. Implements: rados_cmpext
struct Comparison {
    bool equal = true;
    uint64_t offset = 0;  // of the first difference, from where the comparison began
};
Comparison compare(const IoCtx& ioctx, const std::string& name, const char* data, std::size_t size,
                   uint64_t offset);

// Runs a method of a class of the OSDs on the object. Gives the method's answer and how many bytes
// of `output` it has filled. Implements: rados_exec
int execute(const IoCtx& ioctx, const std::string& name, const std::string& cls,
            const std::string& method, const char* input, std::size_t input_size, char* output,
            std::size_t output_size);

}  // namespace rbdxx::rados::object
