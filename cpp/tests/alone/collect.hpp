// Operations that tell who made them, and a consumer of queues.
#pragma once

#include <rbdxx/engine.hpp>

#include <vector>

struct Numbered : rbdxx::engine::Operation {
    int producer = 0;
    int number = 0;
};

// Takes `count` operations from the queue, in their order, and finishes them.
inline std::vector<Numbered*> collect(rbdxx::engine::Queue& queue, std::size_t count) {
    std::vector<Numbered*> taken;
    while (taken.size() < count) {
        queue.wait();
        for (rbdxx::engine::Item* one = queue.take(); one != nullptr;) {
            rbdxx::engine::Item* following = one->next();
            taken.push_back(static_cast<Numbered*>(one));
            taken.back()->finish();
            one = following;
        }
    }
    return taken;
}
