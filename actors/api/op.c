/* SPDX-License-Identifier: MIT */
#include "actors/api/op_private.h"
#include "actors/api/node.h"
#include "actors/api/view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OP_MAGIC LP2P_MAGIC('O', 'P', 'E', 'R')

struct lp2p_op {
    uint32_t magic;
    struct lp2p_gate *gate; /* NULL in tests that have no node */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Guarded by lock. */
    uint32_t refs;   /* all holders */
    bool user_holds; /* one of refs is the user's, until lp2p_op_free */
    bool then_holds; /* one of refs belongs to a completion that has not run yet */
    bool done;       /* what follows is constant from here on, but for fd, views and stream */
    enum lp2p_err result;
    int fd;
    lp2p_op_fn fn;
    void *user;
    uint64_t number, left_out;
    uint8_t *bytes;
    size_t bytes_len;
    struct lp2p_peer_info **peers;
    size_t peers_len;
    struct lp2p_peer *views; /* of peers; made when first asked for */
    struct lp2p_stream *stream;
    char detail[LP2P_DETAIL_MAX];
    /* Guarded by the gate's lock. */
    struct lp2p_list running, completing;
};

static void destroy(struct lp2p_op *op)
{
    if (op->gate != NULL) {
        pthread_mutex_lock(&op->gate->lock);
        if (lp2p_list_linked(&op->running)) {
            lp2p_list_remove(&op->running);
            op->gate->ops_len--;
        }
        pthread_mutex_unlock(&op->gate->lock);
    }
    if (op->fd >= 0) {
        (void)close(op->fd);
    }
    for (size_t i = 0; i < op->peers_len; i++) {
        lp2p_peer_info_drop(&op->peers[i]);
    }
    lp2p_peers_free(op->views, op->peers_len);
    lp2p_stream_reset(op->stream); /* was never fetched */
    lp2p_stream_free(op->stream);
    free(op->peers);
    free(op->bytes);
    pthread_mutex_destroy(&op->lock);
    pthread_cond_destroy(&op->changed);
    lp2p_gate_drop(op->gate);
    op->magic = 0;
    free(op);
}

enum lp2p_err lp2p_op_make(struct lp2p_gate *gate, struct lp2p_op **out)
{
    struct lp2p_op *op = calloc(1, sizeof(*op));
    if (op == NULL) {
        return LP2P_ENOMEM;
    }
    op->magic = OP_MAGIC;
    op->refs = 1;
    op->user_holds = true;
    op->fd = -1;
    pthread_mutex_init(&op->lock, NULL);
    lp2p_cond_init(&op->changed);
    enum lp2p_err err = LP2P_OK;
    if (gate != NULL) {
        op->gate = lp2p_gate_ref(gate);
        pthread_mutex_lock(&gate->lock);
        if (gate->state != LP2P_GATE_OPEN) {
            err = LP2P_ESTATE;
        } else if (gate->ops_len >= LP2P_OPS_MAX) {
            err = LP2P_ELIMIT;
        } else {
            gate->ops_len++;
            lp2p_list_push_back(&gate->ops, &op->running);
        }
        pthread_mutex_unlock(&gate->lock);
    }
    if (err != LP2P_OK) {
        destroy(op);
        return err;
    }
    *out = op;
    return LP2P_OK;
}

struct lp2p_op *lp2p_op_new(struct lp2p_node *node)
{
    struct lp2p_op *op = NULL;
    return lp2p_op_make(node == NULL ? NULL : node->gate, &op) == LP2P_OK ? op : NULL;
}

struct lp2p_op *lp2p_op_ref(struct lp2p_op *op)
{
    if (op != NULL) {
        LP2P_CHECK_MAGIC(op, OP_MAGIC);
        pthread_mutex_lock(&op->lock);
        op->refs++;
        pthread_mutex_unlock(&op->lock);
    }
    return op;
}

/* Gives up one reference. When only the user and a completion are left to hold an operation that has not
 * finished, nobody works on it any more: they are told, instead of waiting for ever. `mark` is one of the two
 * _holds flags, or NULL. */
static void release(struct lp2p_op *op, bool *mark)
{
    LP2P_CHECK_MAGIC(op, OP_MAGIC);
    pthread_mutex_lock(&op->lock);
    unsigned watchers = (op->user_holds ? 1u : 0u) + (op->then_holds ? 1u : 0u);
    if (mark == NULL && !op->done && watchers > 0 && op->refs == watchers + 1) {
        pthread_mutex_unlock(&op->lock);
        lp2p_op_finish(op, LP2P_EFAILED, "the component that worked on it has ended");
        pthread_mutex_lock(&op->lock);
    }
    if (mark != NULL) {
        *mark = false;
    }
    LP2P_CHECK(op->refs > 0);
    bool last = --op->refs == 0;
    pthread_mutex_unlock(&op->lock);
    if (last) {
        destroy(op);
    }
}

void lp2p_op_drop(struct lp2p_op **op)
{
    if (*op != NULL) {
        release(*op, NULL);
        *op = NULL;
    }
}

void lp2p_op_free(struct lp2p_op *op)
{
    if (op != NULL) {
        LP2P_CHECK(op->user_holds); /* freed twice */
        release(op, &op->user_holds);
    }
}

/* ---- results */

void lp2p_op_set_bytes(struct lp2p_op *op, struct lp2p_span bytes)
{
    if (op == NULL) {
        return;
    }
    uint8_t *copy = malloc(bytes.len + 1);
    if (copy == NULL) {
        return;
    }
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    copy[bytes.len] = 0; /* text results can be used as C strings */
    pthread_mutex_lock(&op->lock);
    if (!op->done) {
        uint8_t *old = op->bytes;
        op->bytes = copy;
        op->bytes_len = bytes.len;
        copy = old;
    }
    pthread_mutex_unlock(&op->lock);
    free(copy);
}

void lp2p_op_set_number(struct lp2p_op *op, uint64_t number)
{
    if (op != NULL) {
        pthread_mutex_lock(&op->lock);
        op->number = op->done ? op->number : number;
        pthread_mutex_unlock(&op->lock);
    }
}

void lp2p_op_set_left_out(struct lp2p_op *op, uint64_t peers)
{
    if (op != NULL) {
        pthread_mutex_lock(&op->lock);
        op->left_out = op->done ? op->left_out : peers;
        pthread_mutex_unlock(&op->lock);
    }
}

void lp2p_op_set_peers(struct lp2p_op *op, struct lp2p_peer_info *const *peers, size_t len)
{
    if (op == NULL) {
        return;
    }
    struct lp2p_peer_info **copy = calloc(len == 0 ? 1 : len, sizeof(struct lp2p_peer_info *));
    if (copy == NULL) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        copy[i] = lp2p_peer_info_ref(peers[i]);
    }
    pthread_mutex_lock(&op->lock);
    if (!op->done) {
        struct lp2p_peer_info **old = op->peers;
        size_t old_len = op->peers_len;
        op->peers = copy;
        op->peers_len = len;
        copy = old;
        len = old_len;
    }
    pthread_mutex_unlock(&op->lock);
    for (size_t i = 0; i < len; i++) {
        lp2p_peer_info_drop(&copy[i]);
    }
    free(copy);
}

void lp2p_op_set_stream(struct lp2p_op *op, struct lp2p_stream *stream)
{
    if (op != NULL) {
        pthread_mutex_lock(&op->lock);
        if (!op->done) {
            struct lp2p_stream *old = op->stream;
            op->stream = stream;
            stream = old;
        }
        pthread_mutex_unlock(&op->lock);
    }
    lp2p_stream_reset(stream); /* nobody wants it any more */
    lp2p_stream_free(stream);
}

/* ---- the end */

/* Puts a finished operation into the notifier's list. The list is the truth and the message only wakes the
 * notifier, so that a full mailbox loses no completion: a notifier with a full mailbox is awake and looks at
 * the list anyway. */
static void schedule_completion(struct lp2p_op *op)
{
    struct lp2p_gate *gate = op->gate;
    enum lp2p_gate_state state = LP2P_GATE_SHUT;
    if (gate == NULL) {
        op->fn(op->user, op);
        release(op, &op->then_holds);
        return;
    }
    gate = lp2p_gate_ref(gate); /* the op may end with its callback */
    pthread_mutex_lock(&gate->lock);
    lp2p_list_push_back(&gate->completions, &op->completing);
    state = gate->state;
    pthread_mutex_unlock(&gate->lock);
    if (state == LP2P_GATE_OPEN) {
        struct lp2p_m_notify *m = LP2P_NEW(NOTIFY, notify);
        if (m != NULL) {
            m->kind = -1;
            (void)!lp2p_gate_post(gate, LP2P_TO_NOTIFIER, &m->msg);
        }
    } else if (state == LP2P_GATE_SHUT) {
        lp2p_ops_complete(gate);
    }
    lp2p_gate_drop(gate);
}

void lp2p_ops_complete(struct lp2p_gate *gate)
{
    for (;;) {
        pthread_mutex_lock(&gate->lock);
        struct lp2p_list *first = lp2p_list_pop_front(&gate->completions);
        pthread_mutex_unlock(&gate->lock);
        if (first == NULL) {
            return;
        }
        struct lp2p_op *op = LP2P_LIST_ENTRY(first, struct lp2p_op, completing);
        op->fn(op->user, op);
        release(op, &op->then_holds);
    }
}

void lp2p_op_finish(struct lp2p_op *op, enum lp2p_err result, const char *detail, ...)
{
    if (op == NULL) {
        return;
    }
    LP2P_CHECK_MAGIC(op, OP_MAGIC);
    pthread_mutex_lock(&op->lock);
    if (op->done) {
        pthread_mutex_unlock(&op->lock);
        return;
    }
    op->result = result;
    if (detail != NULL) {
        va_list args;
        va_start(args, detail);
        (void)vsnprintf(op->detail, sizeof(op->detail), detail, args);
        va_end(args);
    }
    op->done = true;
    lp2p_signal_fd_set(op->fd);
    pthread_cond_broadcast(&op->changed);
    bool complete = op->fn != NULL;
    pthread_mutex_unlock(&op->lock);
    if (op->gate != NULL) {
        pthread_mutex_lock(&op->gate->lock);
        if (lp2p_list_linked(&op->running)) {
            lp2p_list_remove(&op->running);
            op->gate->ops_len--;
        }
        pthread_mutex_unlock(&op->gate->lock);
    }
    if (complete) {
        schedule_completion(op);
    }
}

void lp2p_ops_finish_all(struct lp2p_gate *gate, enum lp2p_err reason)
{
    for (;;) {
        struct lp2p_op *op = NULL;
        pthread_mutex_lock(&gate->lock);
        struct lp2p_list *first = lp2p_list_pop_front(&gate->ops);
        if (first != NULL) {
            gate->ops_len--;
            op = LP2P_LIST_ENTRY(first, struct lp2p_op, running);
            pthread_mutex_lock(&op->lock);
            bool ending =
                op->refs == 0; /* its last holder waits for the gate's lock to take it off the list */
            op->refs += ending ? 0 : 1;
            pthread_mutex_unlock(&op->lock);
            op = ending ? NULL : op;
        }
        pthread_mutex_unlock(&gate->lock);
        if (first == NULL) {
            return;
        }
        if (op != NULL) {
            lp2p_op_finish(op, reason, "the node was stopped");
            lp2p_op_drop(&op);
        }
    }
}

/* ---- the user's side */

enum lp2p_err lp2p_op_wait(struct lp2p_op *op, int timeout_ms)
{
    if (op == NULL) {
        return LP2P_EINVAL;
    }
    uint64_t deadline = lp2p_deadline_after_ms(timeout_ms);
    enum lp2p_err err = LP2P_OK;
    pthread_mutex_lock(&op->lock);
    while (!op->done && err == LP2P_OK) {
        err = lp2p_cond_wait_until(&op->changed, &op->lock, deadline);
    }
    err = op->done ? LP2P_OK : LP2P_ETIMEDOUT;
    pthread_mutex_unlock(&op->lock);
    return err;
}

int lp2p_op_fd(struct lp2p_op *op)
{
    if (op == NULL) {
        return -1;
    }
    pthread_mutex_lock(&op->lock);
    if (op->fd < 0) {
        op->fd = lp2p_signal_fd_new();
        if (op->done) {
            lp2p_signal_fd_set(op->fd);
        }
    }
    int fd = op->fd;
    pthread_mutex_unlock(&op->lock);
    return fd;
}

enum lp2p_err lp2p_op_then(struct lp2p_op *op, lp2p_op_fn fn, void *user)
{
    if (op == NULL || fn == NULL) {
        return LP2P_EINVAL;
    }
    pthread_mutex_lock(&op->lock);
    if (op->fn != NULL) {
        pthread_mutex_unlock(&op->lock);
        return LP2P_EEXIST;
    }
    op->fn = fn;
    op->user = user;
    op->then_holds = true;
    op->refs++;
    bool done = op->done;
    pthread_mutex_unlock(&op->lock);
    if (done) {
        schedule_completion(op);
    }
    return LP2P_OK;
}

void lp2p_op_cancel(struct lp2p_op *op)
{
    lp2p_op_finish(op, LP2P_ECANCELED, "canceled by the caller");
}

bool lp2p_op_done(const struct lp2p_op *op)
{
    struct lp2p_op *it = (struct lp2p_op *)(uintptr_t)op; /* only its lock changes */
    if (it == NULL) {
        return false;
    }
    pthread_mutex_lock(&it->lock);
    bool done = it->done;
    pthread_mutex_unlock(&it->lock);
    return done;
}

enum lp2p_err lp2p_op_result(const struct lp2p_op *op)
{
    return op == NULL ? LP2P_EINVAL : lp2p_op_done(op) ? op->result : LP2P_EAGAIN;
}

const char *lp2p_op_detail(const struct lp2p_op *op)
{
    return lp2p_op_done(op) ? op->detail : "";
}

const void *lp2p_op_bytes(const struct lp2p_op *op, size_t *len)
{
    bool done = lp2p_op_done(op);
    if (len != NULL) {
        *len = done ? op->bytes_len : 0;
    }
    return done ? op->bytes : NULL;
}

uint64_t lp2p_op_number(const struct lp2p_op *op)
{
    return lp2p_op_done(op) ? op->number : 0;
}

uint64_t lp2p_op_left_out(const struct lp2p_op *op)
{
    return lp2p_op_done(op) ? op->left_out : 0;
}

struct lp2p_stream *lp2p_op_stream(struct lp2p_op *op)
{
    if (!lp2p_op_done(op)) {
        return NULL;
    }
    pthread_mutex_lock(&op->lock);
    struct lp2p_stream *stream = op->stream;
    op->stream = NULL;
    pthread_mutex_unlock(&op->lock);
    return stream;
}

struct lp2p_peer_info *const *lp2p_op_infos(const struct lp2p_op *op, size_t *len)
{
    bool done = lp2p_op_done(op);
    *len = done ? op->peers_len : 0;
    return done ? op->peers : NULL;
}

const struct lp2p_peer *lp2p_op_peers(const struct lp2p_op *op, size_t *len)
{
    struct lp2p_op *it = (struct lp2p_op *)(uintptr_t)op; /* the views are a cache */
    *len = 0;
    if (!lp2p_op_done(op) || op->peers_len == 0) {
        return NULL;
    }
    pthread_mutex_lock(&it->lock);
    if (it->views == NULL) {
        it->views = lp2p_peers_view(it->peers, it->peers_len);
    }
    *len = it->views == NULL ? 0 : it->peers_len;
    const struct lp2p_peer *views = it->views;
    pthread_mutex_unlock(&it->lock);
    return views;
}
