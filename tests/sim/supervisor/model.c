/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <string.h>

static void emit(struct model *model, enum lp2p_sup_event_kind kind, const struct node *child,
                 enum lp2p_err reason)
{
    struct event *event = &model->events[model->events_len++];
    assert_true(model->events_len < EVENTS_MAX);
    *event = (struct event){.kind = kind, .reason = reason, .when = model->now};
    strcpy(event->supervisor, child->parent->id);
    strcpy(event->child, child->id);
}

static void stop_children(struct model *model, struct node *sup);

static void stop_child(struct model *model, struct node *node)
{
    emit(model, LP2P_SUP_STOPPING, node, LP2P_OK);
    node->up = false;
    if (node->supervisor) {
        stop_children(model, node);
    } else if (node->stubborn) {
        model->now += LP2P_MS(node->shutdown_ms);
    }
    emit(model, LP2P_SUP_ENDED, node, node->stubborn ? LP2P_EFAILED : LP2P_OK);
}

/* Dynamic children are asked together, the last one first, and end when each of them is ready to. */
static void stop_dynamics(struct model *model, struct node *sup)
{
    lp2p_time begin = model->now;
    struct node *waiting[NODES_MAX];
    size_t count = 0;
    for (size_t i = model->nodes_len; i-- > 0;) {
        struct node *node = &model->nodes[i];
        if (node->dynamic && node->parent == sup && node->up) {
            emit(model, LP2P_SUP_STOPPING, node, LP2P_OK);
            node->up = false;
            node->gone = true;
            waiting[count++] = node;
        }
        if (node->dynamic && node->parent == sup) {
            node->gone = true; /* also those that are down but not forgotten */
        }
    }
    while (count > 0) {
        size_t first = 0;
        for (size_t i = 1; i < count; i++) {
            unsigned a = waiting[i]->stubborn ? waiting[i]->shutdown_ms : 0;
            unsigned b = waiting[first]->stubborn ? waiting[first]->shutdown_ms : 0;
            first = a < b ? i : first;
        }
        struct node *node = waiting[first];
        waiting[first] = waiting[--count];
        model->now = begin + (node->stubborn ? LP2P_MS(node->shutdown_ms) : 0);
        emit(model, LP2P_SUP_ENDED, node, node->stubborn ? LP2P_EFAILED : LP2P_OK);
    }
}

static void stop_children(struct model *model, struct node *sup)
{
    stop_dynamics(model, sup);
    for (size_t i = sup->children_len; i-- > 0;) {
        if (sup->children[i]->up) {
            stop_child(model, sup->children[i]);
        }
    }
}

static bool start_child(struct model *model, struct node *node);

static bool start_children(struct model *model, struct node *sup)
{
    sup->restarts_len = 0;
    for (size_t i = 0; i < sup->children_len; i++) {
        sup->children[i]->was_up = sup->children[i]->gone = false;
    }
    for (size_t i = 0; i < sup->children_len; i++) {
        if (!start_child(model, sup->children[i])) {
            stop_children(model, sup);
            return false;
        }
    }
    return true;
}

static bool start_child(struct model *model, struct node *node)
{
    bool fails = node->fail_inits > 0;
    if (fails) {
        node->fail_inits--;
    }
    if (node->supervisor) {
        fails = !start_children(model, node);
    }
    if (fails) {
        emit(model, LP2P_SUP_START_FAILED, node, LP2P_EADDRINUSE);
        return false;
    }
    emit(model, node->was_up ? LP2P_SUP_RESTARTED : LP2P_SUP_STARTED, node, LP2P_OK);
    node->up = node->was_up = true;
    return true;
}

static bool too_many(struct model *model, struct node *sup)
{
    size_t kept = 0;
    for (size_t i = 0; i < sup->restarts_len; i++) {
        if (model->now - sup->restarts[i] <= LP2P_MS(sup->period_ms)) {
            sup->restarts[kept++] = sup->restarts[i];
        }
    }
    sup->restarts[kept++] = model->now;
    sup->restarts_len = kept;
    return kept > sup->restarts_max;
}

static void after_end(struct model *model, struct node *node, enum lp2p_err reason)
{
    struct node *sup = node->parent;
    node->up = false;
    if (node->restart == LP2P_TEMPORARY || (node->restart == LP2P_TRANSIENT && reason == LP2P_OK)) {
        node->gone = true;
        return;
    }
    do {
        if (too_many(model, sup)) {
            emit(model, LP2P_SUP_GAVE_UP, node, LP2P_EFAILED);
            node->gone |= node->dynamic;
            model_fail_supervisor(model, sup);
            return;
        }
    } while (!start_child(model, node));
}

void model_end(struct model *model, struct node *node, enum lp2p_err reason)
{
    emit(model, LP2P_SUP_ENDED, node, reason);
    after_end(model, node, reason);
}

void model_fail_supervisor(struct model *model, struct node *node)
{
    node->up = false;
    stop_children(model, node);
    if (node->parent == NULL) {
        model->root_failed = true;
    } else {
        model_end(model, node, LP2P_EFAILED);
    }
}

void model_forget(struct model *model, struct node *node)
{
    if (node->up) {
        stop_child(model, node);
    }
    node->gone = true;
}

void model_spawn(struct model *model, struct node *node)
{
    if (!start_child(model, node)) {
        node->gone = true;
    }
}

bool model_start(struct model *model)
{
    model->nodes[0].up = start_children(model, &model->nodes[0]);
    return model->nodes[0].up;
}

void model_stop(struct model *model)
{
    model->nodes[0].up = false;
    stop_children(model, &model->nodes[0]);
}

unsigned model_dynamics(const struct model *model, const struct node *sup)
{
    unsigned count = 0;
    for (size_t i = 0; i < model->nodes_len; i++) {
        count += model->nodes[i].dynamic && model->nodes[i].parent == sup && !model->nodes[i].gone;
    }
    return count;
}
