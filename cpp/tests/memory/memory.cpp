// A librbd and librados in memory: asynchronous operations complete out of order, in separate
// threads. It has only what the engine calls, and is built with the sanitizers of the tests, which
// a real Ceph is not. Misuse that makes real Ceph crash or hang ends the process.
#include "memory.hpp"

#include <rbdxx/abi/types.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define EXPORT __attribute__((visibility("default")))

namespace memory {

namespace {

std::mutex counts_mutex;
Live counts{};

void count(int Live::*what, int change) {
    std::lock_guard<std::mutex> lock(counts_mutex);
    counts.*what += change;
}

[[noreturn]] void misused(const char* how) {
    std::fprintf(stderr, "memory: %s\n", how);
    std::abort();
}

struct Cluster {
    Cluster() { count(&Live::clusters, 1); }
    ~Cluster() { count(&Live::clusters, -1); }
    std::mutex mutex;
    int images = 0;
};

struct Ioctx {
    explicit Ioctx(Cluster* owner) : cluster(owner) { count(&Live::ioctxs, 1); }
    ~Ioctx() { count(&Live::ioctxs, -1); }
    Cluster* cluster;
};

struct Image {
    explicit Image(Cluster* owner) : cluster(owner), bytes(image_size) {
        std::lock_guard<std::mutex> lock(cluster->mutex);
        ++cluster->images;
        count(&Live::images, 1);
    }
    ~Image() {
        if (flying != 0) {
            misused("an image was closed with operations in flight");
        }
        std::lock_guard<std::mutex> lock(cluster->mutex);
        --cluster->images;
        count(&Live::images, -1);
    }
    Cluster* cluster;
    std::mutex mutex;
    std::vector<char> bytes;
    int flying = 0;
};

struct Completion {
    Completion(rbdxx::abi::rbd_callback_t function, void* its_argument)
        : callback(function), argument(its_argument) {
        count(&Live::completions, 1);
    }
    ~Completion() { count(&Live::completions, -1); }
    rbdxx::abi::rbd_callback_t callback;
    void* argument;
    ssize_t result = 0;
};

// Runs jobs in a few threads, in any order.
class Pool {
public:
    Pool() {
        for (int i = 0; i < 3; ++i) {
            threads_.emplace_back([this, i] { work(static_cast<unsigned>(i)); });
        }
    }
    ~Pool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            ending_ = true;
        }
        changed_.notify_all();
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    void add(std::function<void()> job) {
        // Notified under the lock: the process may end as soon as the job is done.
        std::lock_guard<std::mutex> lock(mutex_);
        jobs_.push_back(std::move(job));
        changed_.notify_one();
    }

    void hold(bool held) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            held_ = held;
        }
        changed_.notify_all();
    }

private:
    void work(unsigned seed) {
        std::minstd_rand random(seed);
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ending_ || (!held_ && !jobs_.empty()); });
            if (ending_) {
                return;
            }
            std::swap(jobs_[random() % jobs_.size()], jobs_.back());
            std::function<void()> job = std::move(jobs_.back());
            jobs_.pop_back();
            lock.unlock();
            job();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::function<void()>> jobs_;
    bool ending_ = false;
    bool held_ = false;
    std::vector<std::thread> threads_;
};

Pool& pool() {
    static Pool one;
    return one;
}

std::mutex faults_mutex;
std::map<uint64_t, int> refused;
std::map<uint64_t, int> spoilt;

std::atomic<int> started{0};

// Returns the fault of the first byte that has one.
int fault(const std::map<uint64_t, int>& faults, uint64_t offset, uint64_t length) {
    std::lock_guard<std::mutex> lock(faults_mutex);
    auto found = faults.lower_bound(offset);
    return found == faults.end() || found->first - offset >= std::max<uint64_t>(length, 1)
               ? 0
               : found->second;
}

void complete(Completion* completion, ssize_t result) {
    completion->result = result;
    completion->callback(completion, completion->argument);
}

// Completes with the result of `operate(bytes of the image)`.
template <class Operate>
int start(void* image, uint64_t offset, uint64_t length, void* completion, const Operate& operate) {
    ++started;
    if (int answer = fault(refused, offset, length)) {
        return answer;
    }
    auto* on = static_cast<Image*>(image);
    {
        std::lock_guard<std::mutex> lock(on->mutex);
        ++on->flying;
    }
    pool().add([on, offset, length, completion, operate] {
        ssize_t result = fault(spoilt, offset, length);
        {
            std::lock_guard<std::mutex> lock(on->mutex);
            if (result == 0) {
                result = operate(on->bytes);
            }
            --on->flying;
        }
        complete(static_cast<Completion*>(completion), result);
    });
    return 0;
}

// Returns how many of `length` bytes exist at the offset.
std::size_t clip(const std::vector<char>& bytes, uint64_t offset, std::size_t length) {
    return offset >= bytes.size() ? 0 : std::min(length, bytes.size() - offset);
}

ssize_t read(const std::vector<char>& bytes, uint64_t offset, std::size_t length, char* to) {
    if (offset >= bytes.size() && length > 0) {
        return -EINVAL;
    }
    std::size_t size = clip(bytes, offset, length);
    if (size > 0) {
        std::memcpy(to, bytes.data() + offset, size);
    }
    return static_cast<ssize_t>(size);
}

ssize_t write(std::vector<char>& bytes, uint64_t offset, std::size_t length, const char* from) {
    if (offset >= bytes.size() && length > 0) {
        return -EINVAL;
    }
    std::size_t size = clip(bytes, offset, length);
    if (size > 0) {
        std::memcpy(bytes.data() + offset, from, size);
    }
    return static_cast<ssize_t>(size);
}

ssize_t zero(std::vector<char>& bytes, uint64_t offset, std::size_t length) {
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), clip(bytes, offset, length),
                '\0');
    return 0;
}

// The watch of an image's changes. The handles are numbers.
struct Watch {
    void (*changed)(void*);
    void (*quiesce)(void*);
    void (*unquiesce)(void*);
    void* argument;
};
std::mutex watches_mutex;
std::map<uint64_t, Watch> watches;

int add_watch(const Watch& watch, uint64_t* handle) {
    static uint64_t last = 0;
    std::lock_guard<std::mutex> lock(watches_mutex);
    *handle = ++last;
    watches[last] = watch;
    return 0;
}

int end_watch(uint64_t handle) {
    std::lock_guard<std::mutex> lock(watches_mutex);
    return watches.erase(handle) == 1 ? 0 : -EINVAL;
}

}  // namespace

EXPORT Live live() {
    std::lock_guard<std::mutex> lock(counts_mutex);
    return counts;
}
EXPORT Hold::Hold() {
    pool().hold(true);
}
EXPORT Hold::~Hold() {
    pool().hold(false);
}
EXPORT void refuse(uint64_t offset, int result) {
    std::lock_guard<std::mutex> lock(faults_mutex);
    refused[offset] = result;
}
EXPORT void spoil(uint64_t offset, int result) {
    std::lock_guard<std::mutex> lock(faults_mutex);
    spoilt[offset] = result;
}
EXPORT int submissions() {
    return started;
}
EXPORT void announce() {
    std::map<uint64_t, Watch> told;
    {
        std::lock_guard<std::mutex> lock(watches_mutex);
        told = watches;
    }
    for (const auto& [handle, watch] : told) {
        if (watch.changed != nullptr) {
            watch.changed(watch.argument);
        } else {
            watch.quiesce(watch.argument);
            watch.unquiesce(watch.argument);
        }
    }
}
EXPORT void forgive() {
    std::lock_guard<std::mutex> lock(faults_mutex);
    refused.clear();
    spoilt.clear();
}

}  // namespace memory

namespace rbdxx::abi {

// Declared from the table, so that the definitions below cannot differ from it.
#define RBDXX_FUNCTION(release, result, name, parameters) extern "C" EXPORT result name parameters;
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION

void rados_version(int* major, int* minor, int* extra) {
    *major = 3;
    *minor = *extra = 0;
}
void rbd_version(int* major, int* minor, int* extra) {
    *major = 1;
    *minor = *extra = 0;
}
int rados_create2(rados_t* cluster, const char*, const char*, uint64_t) {
    *cluster = new memory::Cluster;
    return 0;
}
int rados_connect(rados_t) {
    return 0;
}
void rados_shutdown(rados_t cluster) {
    auto* owner = static_cast<memory::Cluster*>(cluster);
    if (owner->images != 0) {
        memory::misused("a cluster was shut down under an open image");
    }
    delete owner;
}
int rados_ioctx_create(rados_t cluster, const char*, rados_ioctx_t* ioctx) {
    *ioctx = new memory::Ioctx(static_cast<memory::Cluster*>(cluster));
    return 0;
}
void rados_ioctx_destroy(rados_ioctx_t ioctx) {
    delete static_cast<memory::Ioctx*>(ioctx);
}
int rbd_open(rados_ioctx_t ioctx, const char* name, rbd_image_t* image, const char*) {
    if (std::string(name) == "missing") {
        return -ENOENT;
    }
    *image = new memory::Image(static_cast<memory::Ioctx*>(ioctx)->cluster);
    return 0;
}
int rbd_open_read_only(rados_ioctx_t ioctx, const char* name, rbd_image_t* image,
                       const char* snapshot) {
    if (snapshot != nullptr) {
        memory::misused("an image was opened read-only and at a snapshot in one step");
    }
    return rbd_open(ioctx, name, image, snapshot);
}
int rbd_snap_set(rbd_image_t, const char* name) {
    return std::string(name) == "missing" ? -ENOENT : 0;
}
int rbd_close(rbd_image_t image) {
    delete static_cast<memory::Image*>(image);
    return 0;
}
int rbd_get_size(rbd_image_t image, uint64_t* size) {
    *size = static_cast<memory::Image*>(image)->bytes.size();
    return 0;
}
ssize_t rbd_read(rbd_image_t image, uint64_t offset, size_t length, char* data) {
    auto* on = static_cast<memory::Image*>(image);
    std::lock_guard<std::mutex> lock(on->mutex);
    return memory::read(on->bytes, offset, length, data);
}
ssize_t rbd_write(rbd_image_t image, uint64_t offset, size_t length, const char* data) {
    auto* on = static_cast<memory::Image*>(image);
    std::lock_guard<std::mutex> lock(on->mutex);
    return memory::write(on->bytes, offset, length, data);
}

int rbd_update_watch(rbd_image_t, uint64_t* handle, rbd_update_callback_t changed, void* argument) {
    return memory::add_watch({changed, nullptr, nullptr, argument}, handle);
}
int rbd_update_unwatch(rbd_image_t, uint64_t handle) {
    return memory::end_watch(handle);
}
int rbd_quiesce_watch(rbd_image_t, rbd_update_callback_t quiesce, rbd_update_callback_t unquiesce,
                      void* argument, uint64_t* handle) {
    return memory::add_watch({nullptr, quiesce, unquiesce, argument}, handle);
}
int rbd_quiesce_unwatch(rbd_image_t, uint64_t handle) {
    return memory::end_watch(handle);
}
void rbd_quiesce_complete(rbd_image_t, uint64_t, int) {}

int rbd_aio_create_completion(void* argument, rbd_callback_t callback, rbd_completion_t* made) {
    *made = new memory::Completion(callback, argument);
    return 0;
}
ssize_t rbd_aio_get_return_value(rbd_completion_t completion) {
    return static_cast<memory::Completion*>(completion)->result;
}
void rbd_aio_release(rbd_completion_t completion) {
    delete static_cast<memory::Completion*>(completion);
}
int rbd_aio_read(rbd_image_t image, uint64_t offset, size_t length, char* data,
                 rbd_completion_t completion) {
    return memory::start(image, offset, length, completion, [=](const std::vector<char>& bytes) {
        return memory::read(bytes, offset, length, data);
    });
}
int rbd_aio_write(rbd_image_t image, uint64_t offset, size_t length, const char* data,
                  rbd_completion_t completion) {
    return memory::start(image, offset, length, completion, [=](std::vector<char>& bytes) {
        return std::min<ssize_t>(memory::write(bytes, offset, length, data), 0);
    });
}
int rbd_aio_readv(rbd_image_t image, const iovec* vectors, int count, uint64_t offset,
                  rbd_completion_t completion) {
    std::vector<iovec> all(vectors, vectors + count);
    return memory::start(image, offset, 1, completion, [=](const std::vector<char>& bytes) {
        ssize_t done = 0;
        for (const iovec& one : all) {
            done += std::max<ssize_t>(memory::read(bytes, offset + static_cast<uint64_t>(done),
                                                   one.iov_len, static_cast<char*>(one.iov_base)),
                                      0);
        }
        return done;
    });
}
int rbd_aio_writev(rbd_image_t image, const iovec* vectors, int count, uint64_t offset,
                   rbd_completion_t completion) {
    std::vector<iovec> all(vectors, vectors + count);
    return memory::start(image, offset, 1, completion, [=](std::vector<char>& bytes) {
        uint64_t at = offset;
        for (const iovec& one : all) {
            memory::write(bytes, at, one.iov_len, static_cast<const char*>(one.iov_base));
            at += one.iov_len;
        }
        return ssize_t{0};
    });
}
int rbd_aio_write_zeroes(rbd_image_t image, uint64_t offset, size_t length,
                         rbd_completion_t completion, int, int) {
    return memory::start(image, offset, 1, completion, [=](std::vector<char>& bytes) {
        return memory::zero(bytes, offset, length);
    });
}
int rbd_aio_flush(rbd_image_t image, rbd_completion_t completion) {
    return memory::start(image, ~uint64_t{0}, 1, completion,
                         [](const std::vector<char>&) { return ssize_t{0}; });
}
int rbd_aio_open(rados_ioctx_t ioctx, const char* name, rbd_image_t* image, const char* snapshot,
                 rbd_completion_t completion) {
    memory::pool().add([=, what = std::string(name)] {
        memory::complete(static_cast<memory::Completion*>(completion),
                         rbd_open(ioctx, what.c_str(), image, snapshot));
    });
    return 0;
}
int rbd_aio_close(rbd_image_t image, rbd_completion_t completion) {
    memory::pool().add(
        [=] { memory::complete(static_cast<memory::Completion*>(completion), rbd_close(image)); });
    return 0;
}

}  // namespace rbdxx::abi
