/* SPDX-License-Identifier: MIT
 * The store actor: writes what the swarm hands it, one transaction a batch, and reads it all back when the swarm begins. It
 * has a thread of its own and may block on the disk; the swarm never waits for it. */
#include "actors/context.h"
#include "actors/store/db.h"
#include "actors/store/record.h"
#include "base/check.h"

#include <stdlib.h>
#include <time.h>

#define PEERS_KEPT_MAX (2 * LP2P_PEERS_MAX) /* on disk; beyond: those unseen for longest go, down to LP2P_PEERS_MAX */
#define CHUNK (128u * 1024)                 /* bytes of one STORE_LOADED, or a little less than one peer more */
#define CHUNK_CAP (CHUNK + LP2P_STORE_PEER_MAX + 128u)
#define CHECKS_MS_MAX 2000 /* for the signatures of all peers: the node may be about to stop */
#define WRITES_BETWEEN_PRUNES 64

struct store {
    struct lp2p_actor *self;
    struct lp2p_context *ctx;
    unsigned writes;
    unsigned failures; /* in a row */
};

/* ---- an index of all peers, by when they were last seen */

struct index_entry {
    uint64_t seen;
    struct lp2p_span key, value; /* in the file, as long as it is being read */
};

struct index {
    struct store *store;
    struct index_entry *entries;
    size_t len, cap;
    bool short_of_memory;
    size_t keep; /* pruning: how many */
    struct lp2p_ref to; /* loading: to whom */
    struct lp2p_stored_peer *peer; /* the peer that is being looked at; NULL: no memory */
    struct lp2p_peer_record *record;
    uint64_t check_until_ms; /* no signature is checked any more */
    unsigned distrusted;
};

/* Whom the user has tagged is given up last. */
static uint64_t worth(const struct index *index, struct lp2p_span value)
{
    bool tagged = index->keep > 0 && index->peer != NULL && lp2p_stored_peer_read(value, index->peer) == LP2P_OK &&
                  index->peer->tags_len > 0;
    return tagged ? UINT64_MAX : lp2p_stored_peer_seen(value);
}

static void index_add(void *user, struct lp2p_span key, struct lp2p_span value)
{
    struct index *index = user;
    if (index->len == index->cap) {
        size_t cap = index->cap == 0 ? 256 : 2 * index->cap;
        struct index_entry *more = realloc(index->entries, cap * sizeof(*more));
        if (more == NULL) {
            index->short_of_memory = true;
            return;
        }
        index->entries = more;
        index->cap = cap;
    }
    index->entries[index->len++] = (struct index_entry){worth(index, value), key, value};
}

static int by_seen(const void *a, const void *b)
{
    uint64_t x = ((const struct index_entry *)a)->seen, y = ((const struct index_entry *)b)->seen;
    return x < y ? -1 : x > y;
}

/* ---- pruning */

static void prune_oldest(void *user)
{
    struct index *index = user;
    size_t excess = index->len > index->keep ? index->len - index->keep : 0, cap = excess * (LP2P_DB_KEY_MAX + 8), len = 0, last = 0;
    uint8_t *batch = excess == 0 || index->short_of_memory ? NULL : malloc(cap);
    enum lp2p_err err = batch == NULL ? LP2P_ENOMEM : LP2P_OK;
    if (batch != NULL) {
        qsort(index->entries, index->len, sizeof(index->entries[0]), by_seen);
    }
    for (size_t i = 0; err == LP2P_OK && i < excess; i++) {
        last = len;
        err = lp2p_batch_put(batch, cap, &len, index->entries[i].key, lp2p_span(NULL, 0));
    }
    if (err == LP2P_OK) {
        /* In two transactions: LMDB takes the room that one frees not in the next one, but in the one behind it, and that is
         * what whoever prunes a full file wants to write. */
        err = lp2p_db_write(index->store->ctx->db, lp2p_span(batch, last));
        enum lp2p_err then = lp2p_db_write(index->store->ctx->db, lp2p_span(batch + last, len - last));
        err = err != LP2P_OK ? err : then;
        lp2p_log(index->store->ctx, LP2P_LOG_INFO, "store", "%zu peers unseen for longest were given up: %s", excess,
                 lp2p_strerror(err));
    }
    free(batch);
}

static void prune_to(struct store *store, size_t keep)
{
    struct index index = {.store = store, .keep = keep, .peer = malloc(sizeof(*index.peer))};
    (void)!lp2p_db_each(store->ctx->db, index_add, &index, NULL);
    /* The keys were in the file; the batch must not read them while it changes it. */
    for (size_t i = 0; i < index.len; i++) {
        uint8_t *copy = malloc(index.entries[i].key.len);
        if (copy != NULL) {
            memcpy(copy, index.entries[i].key.ptr, index.entries[i].key.len);
        }
        index.short_of_memory = index.short_of_memory || copy == NULL;
        index.entries[i].key.ptr = copy;
    }
    prune_oldest(&index);
    for (size_t i = 0; i < index.len; i++) {
        free((void *)(uintptr_t)index.entries[i].key.ptr);
    }
    free(index.peer);
    free(index.entries);
}

static void prune(struct store *store)
{
    if (store->writes++ % WRITES_BETWEEN_PRUNES == 0 && lp2p_db_len(store->ctx->db) > PEERS_KEPT_MAX) {
        prune_to(store, LP2P_PEERS_MAX);
    }
}

/* ---- loading */

/* An actor's time stands still while it works, and the wall clock may be set meanwhile. */
static uint64_t steady_ms(void)
{
    struct timespec now;
    LP2P_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Signatures are checked here and not by the swarm: slow kinds of keys by the thousand would hold it up. What cannot be read at
 * all is the swarm's to count. */
static bool genuine(struct index *index, struct lp2p_span value)
{
    if (index->peer == NULL || index->record == NULL) {
        return false;
    }
    if (lp2p_stored_peer_read(value, index->peer) != LP2P_OK || index->peer->record.len == 0) {
        return true;
    }
    return steady_ms() < index->check_until_ms && lp2p_stored_peer_genuine(index->peer, index->record);
}

static void put_peer(struct index *index, const struct index_entry *entry, struct lp2p_m_store_batch *m, size_t *len)
{
    if (entry->value.len == 0 || entry->value.len > LP2P_STORE_PEER_MAX) {
        return;
    }
    enum lp2p_err err = LP2P_OK;
    if (!genuine(index, entry->value)) {
        index->distrusted++;
        err = lp2p_batch_put(m->buf->bytes, CHUNK_CAP, len, entry->key, lp2p_span(NULL, 0));
    }
    if (err == LP2P_OK && lp2p_batch_put(m->buf->bytes, CHUNK_CAP, len, entry->key, entry->value) == LP2P_OK) {
        m->count++;
    }
}

static bool send_chunk(struct index *index, size_t *at)
{
    struct lp2p_m_store_batch *m = LP2P_NEW(STORE_LOADED, store_batch);
    struct lp2p_buf *buf = lp2p_buf_new(CHUNK_CAP);
    if (m == NULL || buf == NULL) {
        lp2p_buf_drop(&buf);
        struct lp2p_msg *msg = m == NULL ? NULL : &m->msg;
        lp2p_msg_drop(&msg);
        return false;
    }
    m->buf = buf;
    size_t len = 0;
    for (; *at < index->len && len < CHUNK; (*at)++) {
        put_peer(index, &index->entries[*at], m, &len);
    }
    m->len = (uint32_t)len;
    m->last = *at == index->len;
    struct lp2p_msg *msg = &m->msg;
    enum lp2p_err err = lp2p_send(index->store->self, index->to, &msg);
    lp2p_msg_drop(&msg);
    return err == LP2P_OK;
}

static void tell_peer(const struct store *store, const char *what, struct lp2p_span key)
{
    struct lp2p_peer_id id;
    char text[LP2P_PEER_ID_TEXT_MAX];
    if (store->ctx->config.log_level >= LP2P_LOG_DEBUG && lp2p_peer_id_parse(key, &id) == LP2P_OK) {
        lp2p_peer_id_text(&id, text);
        lp2p_log(store->ctx, LP2P_LOG_DEBUG, "store", "%s %s", what, text);
    }
}

static void send_all(void *user)
{
    struct index *index = user;
    size_t at = 0;
    for (size_t i = 0; i < index->len; i++) {
        tell_peer(index->store, "loaded", index->entries[i].key);
    }
    if (index->len > 0) {
        qsort(index->entries, index->len, sizeof(index->entries[0]), by_seen);
    }
    bool good = true;
    do {
        good = send_chunk(index, &at);
    } while (good && at < index->len);
    lp2p_log(index->store->ctx, good ? LP2P_LOG_INFO : LP2P_LOG_WARN, "store", "%zu peers loaded%s", at,
             good ? "" : "; the rest did not fit");
    if (index->distrusted > 0) {
        lp2p_log(index->store->ctx, LP2P_LOG_WARN, "store", "the signed records of %u peers on disk were dropped",
                 index->distrusted);
    }
}

static void load(struct store *store, struct lp2p_ref to)
{
    struct index index = {.store = store, .to = to};
    index.peer = malloc(sizeof(*index.peer));
    index.record = malloc(sizeof(*index.record));
    index.check_until_ms = steady_ms() + CHECKS_MS_MAX;
    enum lp2p_err err = lp2p_db_each(store->ctx->db, index_add, &index, send_all);
    if (err != LP2P_OK) {
        lp2p_log(store->ctx, LP2P_LOG_ERROR, "store", "cannot be read: %s", lp2p_db_why(store->ctx->db));
    }
    free(index.peer);
    free(index.record);
    free(index.entries);
}

/* ---- writing */

/* One line for each peer once the disk has it: what is told here survives whatever happens to the process. */
static void tell_written(const struct store *store, struct lp2p_span batch)
{
    struct lp2p_span key, value;
    while (store->ctx->config.log_level >= LP2P_LOG_DEBUG && batch.len > 0 &&
           lp2p_batch_take(&batch, &key, &value) == LP2P_OK) {
        tell_peer(store, value.len > 0 ? "kept" : "forgot", key);
    }
}

/** The swarm tries again every two seconds: a disk that stays full is told of at the 1st, 2nd, 4th, 8th .. failure. */
static void tell_failure(struct store *store, unsigned count)
{
    store->failures++;
    if ((store->failures & (store->failures - 1)) == 0) {
        lp2p_log(store->ctx, LP2P_LOG_ERROR, "store", "%u peers could not be written (failure %u; tried again): %s", count,
                 store->failures, lp2p_db_why(store->ctx->db));
    }
}

static void tell_success(struct store *store, struct lp2p_span batch)
{
    if (store->failures > 0) {
        lp2p_log(store->ctx, LP2P_LOG_WARN, "store", "peers can be written again, after %u failures", store->failures);
        store->failures = 0;
    }
    tell_written(store, batch);
}

static void write_batch(struct store *store, const struct lp2p_m_store_batch *m)
{
    struct lp2p_span batch = lp2p_span(m->buf->bytes, m->len);
    enum lp2p_err err = lp2p_db_write(store->ctx->db, batch);
    if (err == LP2P_ELIMIT) { /* full of large entries: strangers choose how large */
        prune_to(store, LP2P_MIN(lp2p_db_len(store->ctx->db) / 2, (size_t)LP2P_PEERS_MAX));
        err = lp2p_db_write(store->ctx->db, batch);
    }
    if (err == LP2P_OK) {
        tell_success(store, batch);
        prune(store);
    } else {
        tell_failure(store, m->count);
    }
    struct lp2p_m_store_mark *answer = LP2P_NEW(STORE_WRITTEN, store_mark);
    if (answer != NULL) {
        answer->result = err;
        struct lp2p_msg *msg = &answer->msg;
        if (lp2p_reply(store->self, &m->msg, &msg) != LP2P_OK) {
            lp2p_msg_drop(&msg); /* the swarm sends again after a while */
        }
    }
}

static enum lp2p_err store_init(struct lp2p_actor *self, void *opaque, const void *arg)
{
    struct store *store = opaque;
    *store = (struct store){.self = self, .ctx = (struct lp2p_context *)(uintptr_t)arg};
    return store->ctx->db != NULL ? LP2P_OK : LP2P_ESTATE;
}

static enum lp2p_verdict store_on_msg(struct lp2p_actor *self, void *opaque, struct lp2p_msg **msg)
{
    (void)self;
    struct store *store = opaque;
    if (LP2P_IS(*msg, STORE_WRITE)) {
        write_batch(store, LP2P_AS(*msg, STORE_WRITE, store_batch));
    } else if (LP2P_IS(*msg, STORE_LOAD)) {
        load(store, (*msg)->from);
    }
    return LP2P_CONTINUE;
}

const struct lp2p_actor_ops lp2p_store_ops = {
    .name = "store",
    .state_size = sizeof(struct store),
    .init = store_init,
    .on_msg = store_on_msg,
};
