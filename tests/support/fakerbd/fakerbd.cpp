// A librbd and a librados that fail on demand: every function of the ABI table passes its call on
// to the real library, unless a fault is armed for it. For tests only.
//
// RBD_LIBRARY names this file. FAKERBD_REAL is the real library (librbd.so.1). FAKERBD_MISSING is a
// comma-separated list of functions that look absent. FAKERBD_SLOW is the number of milliseconds
// that loading takes. Its librados is used if RADOS_LIBRARY names no other.
#include <rbdxx/abi/types.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <vector>

namespace rbdxx::abi {

namespace fake {

enum Index {
#define RBDXX_FUNCTION(release, result, name, parameters) index_##name,
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION
    function_count
};

const char* const names[] = {
#define RBDXX_FUNCTION(release, result, name, parameters) #name,
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION
};

// The faults of a call. The numbers are for the callers in Python.
enum Kind {
    kind_none = 0,
    kind_error = 1,    // returns -value, without the real call
    kind_answer = 2,   // makes the real call, returns `value`
    kind_add = 3,      // makes the real call, adds `value` to a result that is not an error
    kind_delay = 4,    // makes the real call `value` milliseconds late
    kind_sizes = 5,    // writes `value` through every count argument, returns 0
    kind_enlarge = 6,  // writes `value` through every count argument, returns -ERANGE
    kind_after = 7,    // makes the real call, then returns -value nevertheless
    kind_grow = 8,     // adds `value` to every count argument, returns -ERANGE
    kind_linger = 9,   // makes the real call, returns `value` milliseconds later
};

struct Fault {
    int index = -1;  // -1: any function that returns a code, and has a count if counts are spoiled
    int kind = kind_none;
    long long value = 0;
    long long skip = 0;   // leave this many calls alone first
    long long count = 0;  // then spoil this many; negative: all
};

struct Counts {
    std::atomic<long long> calls{0};
    std::atomic<long long> good{0};  // calls without an error
    std::atomic<long long> held{0};  // calls with the interpreter lock
};

// Returns whether the calling thread has Python's interpreter lock; null if no test asks.
std::atomic<int (*)()> holds_lock{nullptr};

void* const real_library = [] {
    if (const char* slow = std::getenv("FAKERBD_SLOW")) {
        std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(slow)));
    }
    const char* name = std::getenv("FAKERBD_REAL");
    void* library = dlopen(name != nullptr && *name != '\0' ? name : "librbd.so.1",
                           RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr) {
        std::fprintf(stderr, "fakerbd: %s\n", dlerror());
    }
    return library;
}();

std::mutex mutex;
std::vector<Fault> faults;
std::atomic<bool> armed{false};
std::atomic<int> last_hit{-1};
std::atomic<long long> hits{0};
Counts counts[function_count];

bool missing(const char* name) {
    const char* list = std::getenv("FAKERBD_MISSING");
    if (list == nullptr) {
        return false;
    }
    return ("," + std::string(list) + ",").find("," + std::string(name) + ",") != std::string::npos;
}

// Without these functions, a process could neither clean up nor find its release. librados answers
// the last three from memory, for the text of each error.
bool spared(int index) {
    return index == index_rbd_close || index == index_rbd_aio_is_complete ||
           index == index_rbd_aio_wait_for_complete || index == index_rados_aio_is_complete ||
           index == index_rados_aio_get_return_value || index == index_rados_ioctx_get_pool_name ||
           index == index_rados_ioctx_get_namespace || index == index_rados_ioctx_get_id;
}

// librados removes a watch whatever it returns, so an error comes after the real call.
constexpr bool ends(int index) {
    return index == index_rados_unwatch2;
}

bool spoils_counts(int kind) {
    return kind == kind_enlarge || kind == kind_grow;
}

Fault fault_for(int index, bool answers_code, bool has_count) {
    if (!armed.load(std::memory_order_acquire)) {
        return {};
    }
    std::lock_guard<std::mutex> lock(mutex);
    for (Fault& fault : faults) {
        bool any = fault.index < 0 && answers_code && !spared(index) &&
                   (has_count || !spoils_counts(fault.kind));
        if ((fault.index != index && !any) || fault.count == 0) {
            continue;
        }
        if (fault.skip > 0) {
            --fault.skip;
            continue;
        }
        if (fault.count > 0) {
            --fault.count;
        }
        last_hit.store(index);
        ++hits;
        return fault;
    }
    return {};
}

// Completion callbacks that are delayed and then called out of order, by a separate thread.
class Lateness {
public:
    struct Call {
        rbd_callback_t callback;
        void* argument;
        rbd_completion_t completion = nullptr;
        std::chrono::steady_clock::time_point due;
    };

    void set(long long milliseconds) { milliseconds_.store(milliseconds); }
    bool active() const { return milliseconds_.load() > 0; }

    void completed(rbd_completion_t completion, Call* call) {
        std::lock_guard<std::mutex> lock(mutex_);
        if (!running_) {
            running_ = true;
            std::thread([this] { run(); }).detach();
        }
        call->completion = completion;
        std::uniform_int_distribution<long long> wait(0, milliseconds_.load());
        call->due = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait(random_));
        waiting_.push_back(call);
        changed_.notify_all();
    }

    // librbd calls back before it closes an image, and so must this library.
    void drain() {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [this] { return waiting_.empty() && !calling_; });
    }

private:
    void run() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            auto next = std::min_element(waiting_.begin(), waiting_.end(),
                                         [](auto* a, auto* b) { return a->due < b->due; });
            if (next == waiting_.end()) {
                changed_.wait(lock);
            } else if ((*next)->due > std::chrono::steady_clock::now()) {
                changed_.wait_until(lock, (*next)->due);
            } else {
                Call* call = *next;
                waiting_.erase(next);
                calling_ = true;
                lock.unlock();
                call->callback(call->completion, call->argument);
                delete call;
                lock.lock();
                calling_ = false;
                changed_.notify_all();
            }
        }
    }

    std::atomic<long long> milliseconds_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Call*> waiting_;
    std::mt19937 random_{12345};
    bool running_ = false;
    bool calling_ = false;
};

// Never destroyed, because its thread runs until the process ends.
Lateness& lateness = *new Lateness;
// The argument of a delayed completion, for rbd_aio_get_arg.
std::mutex arguments_mutex;
std::unordered_map<rbd_completion_t, void*> arguments;

void complete_late(rbd_completion_t completion, void* call) {
    lateness.completed(completion, static_cast<Lateness::Call*>(call));
}

template <class Argument>
constexpr bool is_count = std::is_same_v<Argument, std::size_t*> ||
                          std::is_same_v<Argument, int*> || std::is_same_v<Argument, unsigned int*>;

template <class Argument>
void spoil_count(Argument argument, const Fault& fault) {
    if constexpr (is_count<Argument>) {
        if (argument != nullptr) {
            long long before = fault.kind == kind_grow ? static_cast<long long>(*argument) : 0;
            *argument = static_cast<std::remove_pointer_t<Argument>>(before + fault.value);
        }
    }
}

template <class Signature, int index>
struct Stub;

template <class Result, class... Args, int index>
struct Stub<Result(Args...), index> {
    static Result (*real)(Args...);

    static Result call(Args... args) {
        ++counts[index].calls;
        if (auto* holds = holds_lock.load(); holds != nullptr && holds() != 0) {
            ++counts[index].held;
        }
        constexpr bool answers_code = std::is_integral_v<Result> && std::is_signed_v<Result>;
        Fault fault = fault_for(index, answers_code, (is_count<Args> || ...));
        if (fault.kind == kind_delay) {
            std::this_thread::sleep_for(std::chrono::milliseconds(fault.value));
        }
        if constexpr (index == index_rbd_close || index == index_rados_shutdown) {
            lateness.drain();
        }
        if constexpr (answers_code) {
            // The library could not return success without a handle, and librados could not return
            // a count of something missing.
            constexpr bool points =
                index < index_rbd_version && ((std::is_same_v<Args, char**> || ...) ||
                                              (std::is_same_v<Args, const char**> || ...));
            constexpr bool makes_handle = points || (std::is_same_v<Args, void**> || ...);
            if (makes_handle &&
                (fault.kind == kind_sizes || (fault.kind == kind_error && fault.value == 0))) {
                return -EIO;
            }
            if (fault.kind == kind_sizes || spoils_counts(fault.kind)) {
                (spoil_count(args, fault), ...);
                return fault.kind == kind_sizes ? 0 : -ERANGE;
            }
            Result result = fault.kind == kind_error && !ends(index) ? 0 : pass_on(args...);
            if (fault.kind == kind_linger) {
                std::this_thread::sleep_for(std::chrono::milliseconds(fault.value));
            }
            if (fault.kind == kind_error || fault.kind == kind_after) {
                result = static_cast<Result>(-fault.value);
            } else if (fault.kind == kind_answer) {
                result = static_cast<Result>(fault.value);
            } else if (fault.kind == kind_add && result >= 0) {
                result = static_cast<Result>(result + fault.value);
            }
            if (result >= 0) {
                ++counts[index].good;
            }
            return result;
        } else {
            ++counts[index].good;
            return pass_on(args...);
        }
    }

    static Result pass_on(Args... args) {
        if constexpr (index == index_rbd_aio_create_completion ||
                      index == index_rados_aio_create_completion2) {
            return create_completion(args...);
        } else if constexpr (index == index_rbd_aio_get_arg) {
            return argument_of(args...);
        } else {
            return real(args...);
        }
    }

    static int create_completion(void* argument, rbd_callback_t callback, rbd_completion_t* made) {
        if (!lateness.active() || callback == nullptr) {
            return real(argument, callback, made);
        }
        auto* held = new Lateness::Call{callback, argument, nullptr, {}};
        int result = real(held, complete_late, made);
        std::lock_guard<std::mutex> lock(arguments_mutex);
        arguments[*made] = argument;
        return result;
    }

    static void* argument_of(rbd_completion_t completion) {
        std::lock_guard<std::mutex> lock(arguments_mutex);
        auto found = arguments.find(completion);
        return found != arguments.end() ? found->second : real(completion);
    }

    // What dlsym() returns for the function: null if it is missing or must look missing.
    static auto resolve() -> Result (*)(Args...) {
        void* symbol = missing(names[index]) || real_library == nullptr
                           ? nullptr
                           : dlsym(real_library, names[index]);
        real = reinterpret_cast<Result (*)(Args...)>(symbol);
        if (index == index_rados_create2) {
            // Its address identifies the librados: the real one.
            return real;
        }
        return symbol != nullptr ? &call : nullptr;
    }
};

template <class Result, class... Args, int index>
Result (*Stub<Result(Args...), index>::real)(Args...) = nullptr;

int index_of(const char* name) {
    for (int i = 0; i < function_count; ++i) {
        if (std::strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -2;
}

}  // namespace fake

// Each symbol is an indirect function: dlsym() runs its resolver, after this library's own
// constructors. So one build can lack any function that a test names.
template <class Signature>
using Pointer = Signature*;

#define RBDXX_FUNCTION(release, result, name, parameters)                              \
    extern "C" Pointer<result parameters> fakerbd_resolve_##name() {                   \
        return fake::Stub<result parameters, fake::index_##name>::resolve();           \
    }                                                                                  \
    extern "C" __attribute__((visibility("default"), ifunc("fakerbd_resolve_" #name))) \
    result name parameters;
#include <rbdxx/abi/librados.def>
#include <rbdxx/abi/librbd.def>
#undef RBDXX_FUNCTION

}  // namespace rbdxx::abi

#define EXPORTED extern "C" __attribute__((visibility("default")))

using namespace rbdxx::abi::fake;

// Adds a fault for `name` ("*": any function). Returns -1 for an unknown name.
EXPORTED int fakerbd_arm(const char* name, int kind, long long value, long long skip,
                         long long count) {
    int index = std::strcmp(name, "*") == 0 ? -1 : index_of(name);
    if (index < -1) {
        return -1;
    }
    std::lock_guard<std::mutex> lock(mutex);
    faults.push_back({index, kind, value, skip, count});
    armed.store(true, std::memory_order_release);
    return 0;
}

// Removes all faults. Returns how many calls were spoiled since the last time.
EXPORTED long long fakerbd_disarm() {
    std::lock_guard<std::mutex> lock(mutex);
    faults.clear();
    armed.store(false, std::memory_order_release);
    return hits.exchange(0);
}

// Returns the function spoiled last, or null.
EXPORTED const char* fakerbd_last() {
    int index = last_hit.exchange(-1);
    return index < 0 ? nullptr : names[index];
}

EXPORTED void fakerbd_late(long long milliseconds) {
    lateness.set(milliseconds);
}

// Counts the calls for which `holds` is true from now on. Forgets earlier ones.
EXPORTED void fakerbd_watch(int (*holds)()) {
    for (Counts& one : counts) {
        one.held = 0;
    }
    holds_lock.store(holds);
}

// Returns the function after `name` in the table (null: from its beginning) that was called so, or
// null.
EXPORTED const char* fakerbd_held(const char* name) {
    for (int i = name == nullptr ? 0 : index_of(name) + 1; i < function_count; ++i) {
        if (counts[i].held.load() > 0) {
            return names[i];
        }
    }
    return nullptr;
}

EXPORTED long long fakerbd_calls(const char* name) {
    int index = index_of(name);
    return index < 0 ? -1 : counts[index].calls.load();
}

EXPORTED long long fakerbd_good(const char* name) {
    int index = index_of(name);
    return index < 0 ? -1 : counts[index].good.load();
}
