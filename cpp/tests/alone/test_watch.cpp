#include "place.hpp"

#include <rbdxx/watch.hpp>

using rbdxx::watch::Hooks;
using rbdxx::watch::Watch;

TEST_CASE_FIXTURE(Place, "empty hooks are left out") {
    const auto watch = Watch::on_update(*image, Hooks{});
    const auto quiescing = Watch::on_quiesce(*image, Hooks{}, std::chrono::seconds(0));
    memory::announce();
    watch->close();
    quiescing->close();
    CHECK(watch->closed());
    CHECK(quiescing->closed());
    // A watch that ends with its image.
    const auto kept = Watch::on_update(*image, Hooks{});
    image->close();
    CHECK(kept->closed());
}

TEST_CASE_FIXTURE(Place, "each hook is called for its event") {
    int changes = 0;
    int quiesces = 0;
    int unquiesces = 0;
    int ends = 0;
    Hooks hooks;
    hooks.changed = [&] { ++changes; };
    hooks.ended = [&] { ++ends; };
    hooks.unquiesce = [&] { ++unquiesces; };
    hooks.quiesce = [&](const std::shared_ptr<Watch>& told, uint64_t number) {
        ++quiesces;
        told->complete(number, 0);
    };
    const auto watch = Watch::on_update(*image, hooks);
    const auto quiescing = Watch::on_quiesce(*image, hooks, std::chrono::seconds(10));
    memory::announce();
    watch->close();
    quiescing->close();
    memory::announce();
    CHECK(changes == 1);
    CHECK(quiesces == 1);
    CHECK(unquiesces == 1);
    CHECK(ends == 2);
}
