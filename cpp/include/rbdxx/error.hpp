// The exceptions, one type for each kind of failure, and check(), which throws them.
#pragma once

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace rbdxx {

// A call failed. `code` is the positive errno, or 0 if the failure has none.
// `what()` says what was tried on what, without the code: "error opening image 'vm1'".
class Error : public std::runtime_error {
public:
    // `code` is the positive errno, or 0.
    Error(int code, const std::string& message) : std::runtime_error(message), code_(code) {}
    // Returns the positive errno, or 0.
    int code() const { return code_; }

private:
    int code_;
};

// An Error of a call on a group: ENOENT and EEXIST mean the group or its snapshot, not an image.
class GroupError : public Error {
public:
    using Error::Error;
};

// An Error from librados: of a cluster, a pool, an object or the configuration.
class RadosError : public Error {
public:
    using Error::Error;
};

// RADOS does not have a value under this key (ENOENT).
class RadosKeyError : public RadosError {
public:
    using RadosError::RadosError;
};

// The handle was closed before the call.
class ClosedError : public Error {
public:
    // What was closed. connection: the context itself is open, but its connection is shut down.
    enum class Subject { image, ioctx, cluster, connection };
    explicit ClosedError(const std::string& message, Subject subject = Subject::image)
        : Error(0, message), subject_(subject) {}
    // Returns what was closed.
    Subject subject() const { return subject_; }

private:
    Subject subject_;
};

// The connection under the handle belongs to another library, which has shut it down before the
// call.
class DisconnectedError : public ClosedError {
public:
    using ClosedError::ClosedError;
};

// The arguments contradict each other. The call was refused before it reached the library.
class ArgumentError : public Error {
public:
    explicit ArgumentError(const std::string& message) : Error(0, message) {}
};

// A RADOS operation or iterator is not in the state that the call needs, or the arguments of the
// call contradict each other.
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
    // Returns the kind of the handle.
    ClosedError::Subject subject() const { return subject_; }

private:
    ClosedError::Subject subject_;
};

// librbd wrote fewer bytes than it was asked to write.
class IncompleteWrite : public Error {
public:
    explicit IncompleteWrite(const std::string& message) : Error(0, message) {}
};

// librbd returned a result that cannot be right, such as more bytes than it was asked for.
class LogicFault : public Error {
public:
    explicit LogicFault(const std::string& message) : Error(0, message) {}
};

// io::compare_and_write() found other data than expected.
class CompareMismatch : public Error {
public:
    CompareMismatch(uint64_t offset, const std::string& message)
        : Error(EILSEQ, message), offset_(offset) {}
    // Returns the offset of the first difference in the image, in bytes.
    uint64_t offset() const { return offset_; }

private:
    uint64_t offset_;
};

// An operation of a batch failed. The code is 0 if it wrote fewer bytes than it had to.
class BatchError : public Error {
public:
    BatchError(int code, const std::string& message, uint64_t index, uint64_t offset)
        : Error(code, message), index_(index), offset_(offset) {}
    // Returns the operation's number in the batch, from 0.
    uint64_t index() const { return index_; }
    // Returns the operation's offset in the image, in bytes.
    uint64_t offset() const { return offset_; }

private:
    uint64_t index_;
    uint64_t offset_;
};

// The loaded library does not have the function, or has only an older form of it that does not
// know the arguments.
class MissingFunction : public Error {
public:
    explicit MissingFunction(const std::string& message) : Error(ENOSYS, message) {}
};

// librbd or librados could not be loaded, or the process would have two different librados.
class LibraryNotFound : public Error {
public:
    explicit LibraryNotFound(const std::string& message) : Error(0, message) {}
};

// Returns the return code of a C function, or throws E if it is negative. `describe()` returns the
// message; it is called only then.
template <class E = Error, class Code, class Describe>
Code check(Code result, const Describe& describe) {
    if (result < 0) {
        throw E(static_cast<int>(-result), describe());
    }
    return result;
}

// Returns a name as messages show it: in single quotes, or None for a null pointer.
std::string quoted(const std::string& name);
std::string quoted(const char* name);

}  // namespace rbdxx
