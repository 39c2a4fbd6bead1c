// What can go wrong, each as a type of its own, and the one checker of return codes.
#pragma once

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace rbdxx {

// A call failed. `code` is the positive errno, or 0 where the failure has none.
// `what()` says what was tried on what, without the code: "error opening image 'vm1'".
class Error : public std::runtime_error {
public:
    Error(int code, const std::string& message) : std::runtime_error(message), code_(code) {}
    int code() const { return code_; }

private:
    int code_;
};

// As Error, for calls on groups, where ENOENT and EEXIST speak of an object, not of an image.
class GroupError : public Error {
public:
    using Error::Error;
};

// As Error, from librados: a pool, a cluster, a configuration.
class RadosError : public Error {
public:
    using Error::Error;
};

// A key that is not among those of a dictionary of RADOS (ENOENT).
class RadosKeyError : public RadosError {
public:
    using RadosError::RadosError;
};

// The handle was closed before the call.
class ClosedError : public Error {
public:
    // connection: that of a context, which is open itself.
    enum class Subject { image, ioctx, cluster, connection };
    explicit ClosedError(const std::string& message, Subject subject = Subject::image)
        : Error(0, message), subject_(subject) {}
    Subject subject() const { return subject_; }

private:
    Subject subject_;
};

// The connection under the handle, another library's, was shut down before the call.
class DisconnectedError : public ClosedError {
public:
    using ClosedError::ClosedError;
};

// Arguments that make no sense together, refused before anything is asked of the library.
class ArgumentError : public Error {
public:
    explicit ArgumentError(const std::string& message) : Error(0, message) {}
};

// An operation or an iterator of RADOS is not in the state that the call needs, or its arguments
// make no sense together.
class RadosArgumentError : public Error {
public:
    explicit RadosArgumentError(const std::string& message) : Error(0, message) {}
};

// The handle was made before fork() and belongs to the parent process.
class ForkedError : public Error {
public:
    explicit ForkedError(const std::string& message,
                         ClosedError::Subject subject = ClosedError::Subject::image)
        : Error(0, message), subject_(subject) {}
    ClosedError::Subject subject() const { return subject_; }

private:
    ClosedError::Subject subject_;
};

// librbd wrote less than it was asked to.
class IncompleteWrite : public Error {
public:
    explicit IncompleteWrite(const std::string& message) : Error(0, message) {}
};

// librbd answered what it must not: more bytes than it was asked for.
class LogicFault : public Error {
public:
    explicit LogicFault(const std::string& message) : Error(0, message) {}
};

// compare_and_write found other data, first at `offset` (bytes, in the image).
class CompareMismatch : public Error {
public:
    CompareMismatch(uint64_t offset, const std::string& message)
        : Error(EILSEQ, message), offset_(offset) {}
    uint64_t offset() const { return offset_; }

private:
    uint64_t offset_;
};

// An operation of a batch failed: the `index`-th, at `offset` (bytes, in the image). A code of 0:
// less was written than asked for.
class BatchError : public Error {
public:
    BatchError(int code, const std::string& message, uint64_t index, uint64_t offset)
        : Error(code, message), index_(index), offset_(offset) {}
    uint64_t index() const { return index_; }
    uint64_t offset() const { return offset_; }

private:
    uint64_t index_;
    uint64_t offset_;
};

// The loaded library has no such function, or none that can honour the arguments.
class MissingFunction : public Error {
public:
    explicit MissingFunction(const std::string& message) : Error(ENOSYS, message) {}
};

// librbd or librados could not be loaded, or two different librados would meet in one process.
class LibraryNotFound : public Error {
public:
    explicit LibraryNotFound(const std::string& message) : Error(0, message) {}
};

// Throws E for a negative return code, with the message that `describe()` makes (only then).
// Gives the code back, so that counts and sizes pass through.
template <class E = Error, class Code, class Describe>
Code check(Code result, const Describe& describe) {
    if (result < 0) {
        throw E(static_cast<int>(-result), describe());
    }
    return result;
}

// A name as messages show it: 'name', or None.
std::string quoted(const std::string& name);
std::string quoted(const char* name);

}  // namespace rbdxx
