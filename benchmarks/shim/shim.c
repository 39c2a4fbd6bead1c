/* librbd with its data path stubbed out: the binding alone takes the time of a call.
 *
 * Everything else is the real librbd, which this library is linked with. Our package loads it by
 * RBD_LIBRARY. The stock module gets it by LD_PRELOAD. See build.py.
 *
 * RBD_SHIM_ENTRIES: how many objects a listing has, and entries an omap (100,000 by default).
 * RBD_SHIM_EXTENTS: how many extents a diff reports (a million by default), each 4096 bytes long,
 * 8192 apart, every fourth one gone.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef void* rbd_image_t;
typedef int (*extent_callback)(uint64_t, size_t, int, void*);

enum { extent_length = 4096, extent_distance = 8192 };

#define SHIM __attribute__((visibility("default")))

SHIM ssize_t rbd_read(rbd_image_t image, uint64_t offset, size_t length, char* data) {
    (void)image, (void)offset, (void)data;
    return (ssize_t)length;
}

SHIM ssize_t rbd_read2(rbd_image_t image, uint64_t offset, size_t length, char* data, int flags) {
    (void)image, (void)offset, (void)data, (void)flags;
    return (ssize_t)length;
}

SHIM ssize_t rbd_write(rbd_image_t image, uint64_t offset, size_t length, const char* data) {
    (void)image, (void)offset, (void)data;
    return (ssize_t)length;
}

SHIM ssize_t rbd_write2(rbd_image_t image, uint64_t offset, size_t length, const char* data,
                        int flags) {
    (void)image, (void)offset, (void)data, (void)flags;
    return (ssize_t)length;
}

SHIM int rbd_get_size(rbd_image_t image, uint64_t* size) {
    (void)image;
    *size = UINT64_C(1) << 44;
    return 0;
}

static int report(extent_callback callback, void* argument) {
    const char* wanted = getenv("RBD_SHIM_EXTENTS");
    uint64_t count = wanted != NULL ? strtoull(wanted, NULL, 10) : 1000000;
    for (uint64_t i = 0; i < count; ++i) {
        int result = callback(i * extent_distance, extent_length, i % 4 != 3, argument);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

SHIM int rbd_diff_iterate(rbd_image_t image, const char* from, uint64_t offset, uint64_t length,
                          extent_callback callback, void* argument) {
    (void)image, (void)from, (void)offset, (void)length;
    return report(callback, argument);
}

SHIM int rbd_diff_iterate2(rbd_image_t image, const char* from, uint64_t offset, uint64_t length,
                           uint8_t include_parent, uint8_t whole_object, extent_callback callback,
                           void* argument) {
    (void)image, (void)from, (void)offset, (void)length, (void)include_parent, (void)whole_object;
    return report(callback, argument);
}

SHIM int rbd_diff_iterate3(rbd_image_t image, uint64_t from, uint64_t offset, uint64_t length,
                           uint32_t flags, extent_callback callback, void* argument) {
    (void)image, (void)from, (void)offset, (void)length, (void)flags;
    return report(callback, argument);
}

/* Calls on objects, only in the library that is built for them. librados makes the completions of
 * librbd's calls with its own C functions: if those are stubbed, no image can be opened. */
#ifdef OBJECTS

typedef void* rados_ioctx_t;

SHIM int rados_read(rados_ioctx_t io, const char* name, char* data, size_t length,
                    uint64_t offset) {
    (void)io, (void)name, (void)data, (void)offset;
    return (int)length;
}

SHIM int rados_write(rados_ioctx_t io, const char* name, const char* data, size_t length,
                     uint64_t offset) {
    (void)io, (void)name, (void)data, (void)length, (void)offset;
    return 0;
}

/* A listing, or the entries of an omap: how many are left, and the last name. */
struct entries {
    uint64_t left;
    char name[32];
};

static struct entries* new_entries(void) {
    const char* wanted = getenv("RBD_SHIM_ENTRIES");
    struct entries* made = malloc(sizeof *made);
    if (made != NULL) {
        made->left = wanted != NULL ? strtoull(wanted, NULL, 10) : 100000;
    }
    return made;
}

/* Make the next name as cheaply as possible. Return its length, or 0 at the end. */
static size_t next_entry(struct entries* entries) {
    static const char form[] = "entry-00000000";
    uint64_t number = entries->left;
    if (number == 0) {
        return 0;
    }
    --entries->left;
    memcpy(entries->name, form, sizeof form);
    for (char* digit = entries->name + sizeof form - 2; number != 0; number /= 10) {
        *digit-- = (char)('0' + number % 10);
    }
    return sizeof form - 1;
}

SHIM int rados_nobjects_list_open(rados_ioctx_t io, void** list) {
    (void)io;
    *list = new_entries();
    return *list != NULL ? 0 : -12;
}

SHIM int rados_nobjects_list_next2(void* list, const char** name, const char** locator,
                                   const char** space, size_t* name_size, size_t* locator_size,
                                   size_t* space_size) {
    size_t length = next_entry(list);
    if (length == 0) {
        return -2;
    }
    *name = ((struct entries*)list)->name;
    *name_size = length;
    *locator = NULL;
    *locator_size = 0;
    *space = "";
    *space_size = 0;
    return 0;
}

SHIM int rados_nobjects_list_next(void* list, const char** name, const char** locator,
                                  const char** space) {
    size_t size = 0;
    const char* spare = NULL;
    int result = rados_nobjects_list_next2(list, name, locator != NULL ? locator : &spare,
                                           space != NULL ? space : &spare, &size, &size, &size);
    return result;
}

SHIM void rados_nobjects_list_close(void* list) {
    free(list);
}

SHIM void rados_read_op_omap_get_vals2(void* operation, const char* after, const char* prefix,
                                       uint64_t most, void** iterator, unsigned char* more,
                                       int* code) {
    (void)operation, (void)after, (void)prefix, (void)most;
    *iterator = new_entries();
    if (more != NULL) {
        *more = 0;
    }
    if (code != NULL) {
        *code = 0;
    }
}

SHIM int rados_read_op_operate(void* operation, rados_ioctx_t io, const char* name, int flags) {
    (void)operation, (void)io, (void)name, (void)flags;
    return 0;
}

SHIM int rados_omap_get_next2(void* iterator, char** key, char** value, size_t* key_size,
                              size_t* value_size) {
    size_t length = next_entry(iterator);
    *key = *value = length != 0 ? ((struct entries*)iterator)->name : NULL;
    *key_size = *value_size = length;
    return 0;
}

SHIM int rados_omap_get_next(void* iterator, char** key, char** value, size_t* size) {
    size_t key_size = 0;
    return rados_omap_get_next2(iterator, key, value, &key_size, size);
}

SHIM void rados_omap_get_end(void* iterator) {
    free(iterator);
}

/* Asynchronous calls on objects: one thread completes them. */

typedef void (*callback_t)(void* completion, void* argument);

struct completion {
    callback_t callback;
    void* argument;
    ssize_t result;
    atomic_int complete;
    atomic_int owners; /* the caller, and the thread until it has completed the call */
    struct completion* next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t submitted = PTHREAD_COND_INITIALIZER;
static struct completion* first;
static struct completion** last = &first;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void drop(struct completion* completion) {
    if (atomic_fetch_sub(&completion->owners, 1) == 1) {
        free(completion);
    }
}

static void* tell(void* going) {
    while (going != NULL) {
        pthread_mutex_lock(&mutex);
        while (first == NULL) {
            pthread_cond_wait(&submitted, &mutex);
        }
        struct completion* told = first;
        first = NULL;
        last = &first;
        pthread_mutex_unlock(&mutex);
        while (told != NULL) {
            struct completion* next = told->next;
            atomic_store(&told->complete, 1);
            if (told->callback != NULL) {
                told->callback(told, told->argument);
            }
            drop(told);
            told = next;
        }
    }
    return NULL;
}

static void begin(void) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, tell, &first) == 0) {
        pthread_detach(thread);
    }
}

static int submit(struct completion* completion, ssize_t result) {
    pthread_once(&once, begin);
    completion->result = result;
    completion->next = NULL;
    atomic_fetch_add(&completion->owners, 1);
    pthread_mutex_lock(&mutex);
    *last = completion;
    last = &completion->next;
    pthread_cond_signal(&submitted);
    pthread_mutex_unlock(&mutex);
    return 0;
}

SHIM int rados_aio_create_completion2(void* argument, callback_t callback, void** completion) {
    struct completion* made = calloc(1, sizeof *made);
    if (made == NULL) {
        return -12;
    }
    made->callback = callback;
    made->argument = argument;
    atomic_init(&made->owners, 1);
    *completion = made;
    return 0;
}

SHIM int rados_aio_create_completion(void* argument, callback_t complete, callback_t safe,
                                     void** completion) {
    (void)safe;
    return rados_aio_create_completion2(argument, complete, completion);
}

SHIM int rados_aio_is_complete(void* completion) {
    return atomic_load(&((struct completion*)completion)->complete);
}

SHIM int rados_aio_is_complete_and_cb(void* completion) {
    return rados_aio_is_complete(completion);
}

SHIM int rados_aio_get_return_value(void* completion) {
    return (int)((struct completion*)completion)->result;
}

SHIM void rados_aio_release(void* completion) {
    drop(completion);
}

SHIM int rados_aio_read(rados_ioctx_t io, const char* name, void* completion, char* data,
                        size_t length, uint64_t offset) {
    (void)io, (void)name, (void)data, (void)offset;
    return submit(completion, (ssize_t)length);
}

SHIM int rados_aio_write(rados_ioctx_t io, const char* name, void* completion, const char* data,
                         size_t length, uint64_t offset) {
    (void)io, (void)name, (void)data, (void)length, (void)offset;
    return submit(completion, 0);
}

#endif
