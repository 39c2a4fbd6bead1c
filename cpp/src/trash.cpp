#include <string_view>

#include <rbdxx/constants.hpp>
#include <rbdxx/error.hpp>
#include <rbdxx/lock.hpp>
#include <rbdxx/sized.hpp>
#include <rbdxx/trash.hpp>

namespace rbdxx::trash {

namespace {

Entry entry_of(const abi::rbd_trash_image_info_t& record) {
    return {text_of(record.id), text_of(record.name), record.source, record.deletion_time,
            record.deferment_end_time};
}

}  // namespace

void move(const IoCtx& ioctx, const std::string& name, uint64_t delay) {
    auto use = ioctx.use();
    auto call = [&] { return use->rbd_trash_move(use.get(), name.c_str(), delay); };
    check(lock::with_lock(ioctx, {name}, call),
          [&] { return "error moving image " + quoted(name) + " to the trash" + ioctx.place(); });
}

Entry get(const IoCtx& ioctx, const std::string& id) {
    auto use = ioctx.use();
    abi::rbd_trash_image_info_t record{};
    check(use->rbd_trash_get(use.get(), id.c_str(), &record), [&] {
        return "error looking for image id " + quoted(id) + " in the trash" + ioctx.place();
    });
    struct Cleanup {
        const abi::Functions& functions;
        abi::rbd_trash_image_info_t& record;
        ~Cleanup() { functions.rbd_trash_get_cleanup(&record); }
    } cleanup{use.functions(), record};
    return entry_of(record);
}

std::vector<Entry> list(const IoCtx& ioctx) {
    auto use = ioctx.use();
    auto records = sized_records<abi::rbd_trash_image_info_t>(
        [&](auto* array, std::size_t* count) {
            return use->rbd_trash_list(use.get(), array, count);
        },
        [&] { return "error listing the trash" + ioctx.place(); });
    Records<abi::rbd_trash_image_info_t> owned(std::move(records),
                                               use.functions().rbd_trash_list_cleanup);
    std::vector<Entry> entries;
    for (const auto& record : owned) {
        entries.push_back(entry_of(record));
    }
    return entries;
}

void purge(const IoCtx& ioctx, time_t expires, float threshold, const Progress& progress) {
    auto use = ioctx.use();
    check(use->rbd_trash_purge_with_progress(use.get(), expires, threshold, report_progress,
                                             progress_argument(progress)),
          [&] { return "error purging the trash" + ioctx.place(); });
}

void remove(const IoCtx& ioctx, const std::string& id, bool force, const Progress& progress) {
    auto use = ioctx.use();
    auto call = [&] {
        return use->rbd_trash_remove_with_progress(use.get(), id.c_str(), force, report_progress,
                                                   progress_argument(progress));
    };
    check(lock::with_lock(ioctx, {id, true}, call), [&] {
        return "error removing image id " + quoted(id) + " from the trash" + ioctx.place();
    });
}

void restore(const IoCtx& ioctx, const std::string& id, const std::string& name) {
    auto use = ioctx.use();
    check(use->rbd_trash_restore(use.get(), id.c_str(), name.c_str()), [&] {
        return "error restoring image id " + quoted(id) + " from the trash as " + quoted(name) +
               ioctx.place();
    });
}

std::string source_name(unsigned source) {
    // From the table of constants, which has the only list of them.
    constexpr std::string_view prefix = "TRASH_IMAGE_SOURCE_";
    auto found = [&](std::string_view constant, long long value) {
        return value == static_cast<long long>(source) &&
               constant.substr(0, prefix.size()) == prefix;
    };
#define RBDXX_CONSTANT(release, type, c_prefix, name, value)               \
    if (found(#name, static_cast<long long>(constants::name))) {           \
        return std::string(std::string_view(#name).substr(prefix.size())); \
    }
#define RBDXX_TEXT(release, c_prefix, name, text)
#include <rbdxx/abi/constants.def>
#undef RBDXX_CONSTANT
#undef RBDXX_TEXT
    return "UNKNOWN";
}

}  // namespace rbdxx::trash
