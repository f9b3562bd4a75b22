/* SPDX-License-Identifier: MIT */
#include "actors/api/registrar.h"
#include "actors/api/stream.h"
#include "runtime/pool.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAM_MAGIC LP2P_MAGIC('S', 'T', 'R', 'M')
#define CONSUMED_STEP (32u * 1024) /* bytes read before the muxer is told: far below any window */
#define CHUNK_BYTES 4096           /* slab for small pieces, when one has come before */

/* ---- life */

static void table_insert(struct lp2p_stream_table *table, struct lp2p_stream *stream);
static void table_remove(struct lp2p_stream *stream);

static void fetch_written(struct lp2p_stream_source *source, struct lp2p_m_stream_write *m);
static void forget_posted(struct lp2p_stream_source *source);

static enum lp2p_err join_gate(struct lp2p_stream *stream, struct lp2p_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    enum lp2p_err err = gate->state != LP2P_GATE_OPEN           ? LP2P_ECLOSED
                        : gate->streams_len >= LP2P_STREAMS_MAX ? LP2P_ELIMIT
                                                                : LP2P_OK;
    if (err == LP2P_OK) {
        gate->streams_len++;
        lp2p_list_push_back(&gate->streams, &stream->all);
    }
    pthread_mutex_unlock(&gate->lock);
    return err;
}

enum lp2p_err lp2p_stream_new(struct lp2p_gate *gate, struct lp2p_stream_table *table,
                              const struct lp2p_m_stream_opened *m, struct lp2p_stream **out)
{
    struct lp2p_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        return LP2P_ENOMEM;
    }
    stream->magic = STREAM_MAGIC;
    stream->refs = 2; /* the user's and the table's */
    stream->id = m->id;
    stream->credit = m->credit_bytes;
    stream->user_holds = true;
    stream->fd = -1;
    lp2p_peer_id_text(&m->peer, stream->peer);
    memcpy(stream->protocol, m->protocol, sizeof(stream->protocol));
    stream->protocol[sizeof(stream->protocol) - 1] = '\0';
    lp2p_mutex_init(&stream->lock);
    stream->source = (struct lp2p_stream_source){fetch_written, forget_posted};
    enum lp2p_err err = join_gate(stream, gate);
    if (err != LP2P_OK) {
        pthread_mutex_destroy(&stream->lock);
        free(stream);
        return err;
    }
    stream->gate = lp2p_gate_ref(gate);
    stream->table = table;
    __atomic_fetch_add(&table->refs, 1, __ATOMIC_RELAXED);
    table_insert(table, stream);
    *out = stream;
    return LP2P_OK;
}

struct lp2p_stream *lp2p_stream_ref(struct lp2p_stream *stream)
{
    LP2P_CHECK_MAGIC(stream, STREAM_MAGIC);
    __atomic_fetch_add(&stream->refs, 1, __ATOMIC_RELAXED);
    return stream;
}

static void drop_written(struct lp2p_stream *stream)
{
    for (unsigned i = 0; i < stream->written_len; i++) {
        lp2p_slice_drop(&stream->written[i]);
    }
    stream->written_len = 0;
}

static void drop_queue(struct lp2p_stream *stream)
{
    drop_written(stream);
    while (stream->queue_len > 0) {
        lp2p_slice_drop(&stream->queue[stream->queue_head]);
        stream->queue_head = (stream->queue_head + 1) % stream->queue_cap;
        stream->queue_len--;
    }
    free(stream->queue);
    stream->queue = NULL;
    stream->queue_cap = stream->queue_head = 0;
}

void lp2p_stream_unref(struct lp2p_stream *stream)
{
    LP2P_CHECK_MAGIC(stream, STREAM_MAGIC);
    /* The release pairs with the acquire of whoever drops the last reference. */
    if (__atomic_sub_fetch(&stream->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    struct lp2p_gate *gate = stream->gate;
    pthread_mutex_lock(&gate->lock);
    lp2p_list_remove(&stream->all);
    gate->streams_len--;
    pthread_mutex_unlock(&gate->lock);
    drop_queue(stream);
    if (stream->fd >= 0) {
        (void)close(stream->fd);
    }
    pthread_mutex_destroy(&stream->lock);
    lp2p_stream_table_drop(stream->table);
    lp2p_gate_drop(gate);
    stream->magic = 0;
    free(stream);
}

/* ---- the table */

struct lp2p_stream_table *lp2p_stream_table_new(void)
{
    struct lp2p_stream_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        return NULL;
    }
    table->buckets_len = 64;
    table->buckets = calloc(table->buckets_len, sizeof(struct lp2p_stream *));
    if (table->buckets == NULL) {
        free(table);
        return NULL;
    }
    table->refs = 1;
    pthread_mutex_init(&table->lock, NULL);
    return table;
}

void lp2p_stream_table_drop(struct lp2p_stream_table *table)
{
    if (table != NULL && __atomic_sub_fetch(&table->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        pthread_mutex_destroy(&table->lock);
        free(table->buckets);
        free(table);
    }
}

/* Stream handles and slots are numbers that we give ourselves: nothing hostile to guard against. */
static size_t bucket_of(const struct lp2p_stream_table *table, struct lp2p_stream_id id)
{
    uint64_t hash =
        (id.stream * 0x9E3779B97F4A7C15u) ^ ((uint64_t)id.muxer.slot * 0xC2B2AE3D27D4EB4Fu) ^ id.muxer.gen;
    return (size_t)((hash ^ hash >> 29) & (table->buckets_len - 1));
}

static void grow(struct lp2p_stream_table *table)
{
    struct lp2p_stream **old = table->buckets;
    size_t old_len = table->buckets_len;
    struct lp2p_stream **larger = calloc(old_len * 2, sizeof(struct lp2p_stream *));
    if (larger == NULL) {
        return; /* longer chains, nothing worse */
    }
    table->buckets = larger;
    table->buckets_len = old_len * 2;
    for (size_t i = 0; i < old_len; i++) {
        for (struct lp2p_stream *it = old[i], *next; it != NULL; it = next) {
            next = it->table_next;
            size_t bucket = bucket_of(table, it->id);
            it->table_next = larger[bucket];
            larger[bucket] = it;
        }
    }
    free(old);
}

static void table_insert(struct lp2p_stream_table *table, struct lp2p_stream *stream)
{
    pthread_mutex_lock(&table->lock);
    if (table->len >= table->buckets_len) {
        grow(table);
    }
    size_t bucket = bucket_of(table, stream->id);
    stream->table_next = table->buckets[bucket];
    table->buckets[bucket] = stream;
    stream->in_table = true;
    table->len++;
    pthread_mutex_unlock(&table->lock);
}

static void table_remove(struct lp2p_stream *stream)
{
    struct lp2p_stream_table *table = stream->table;
    pthread_mutex_lock(&table->lock);
    bool found = stream->in_table;
    if (found) {
        struct lp2p_stream **place = &table->buckets[bucket_of(table, stream->id)];
        while (*place != stream) {
            place = &(*place)->table_next;
        }
        *place = stream->table_next;
        stream->in_table = false;
        table->len--;
    }
    pthread_mutex_unlock(&table->lock);
    if (found) {
        lp2p_stream_unref(stream);
    }
}

struct lp2p_stream *lp2p_stream_table_find(struct lp2p_stream_table *table, struct lp2p_stream_id id)
{
    pthread_mutex_lock(&table->lock);
    struct lp2p_stream *stream = table->buckets[bucket_of(table, id)];
    while (stream != NULL && !lp2p_stream_id_eq(stream->id, id)) {
        stream = stream->table_next;
    }
    if (stream != NULL) {
        lp2p_stream_ref(stream);
    }
    pthread_mutex_unlock(&table->lock);
    return stream;
}

void lp2p_stream_table_end(struct lp2p_stream_table *table, enum lp2p_err reason)
{
    for (size_t i = 0;;) {
        pthread_mutex_lock(&table->lock);
        while (i < table->buckets_len && table->buckets[i] == NULL) {
            i++;
        }
        struct lp2p_stream *stream = i < table->buckets_len ? lp2p_stream_ref(table->buckets[i]) : NULL;
        pthread_mutex_unlock(&table->lock);
        if (stream == NULL) {
            return;
        }
        lp2p_stream_ended(stream, reason);
        table_remove(stream);
        lp2p_stream_unref(stream);
    }
}

/* ---- what was received */

static bool queue_push(struct lp2p_stream *stream, struct lp2p_slice slice)
{
    if (stream->queue_len == stream->queue_cap) {
        size_t cap = stream->queue_cap == 0 ? 8 : stream->queue_cap * 2;
        struct lp2p_slice *larger = calloc(cap, sizeof(*larger));
        if (larger == NULL) {
            return false;
        }
        for (size_t i = 0; i < stream->queue_len; i++) {
            larger[i] = stream->queue[(stream->queue_head + i) % stream->queue_cap];
        }
        free(stream->queue);
        stream->queue = larger;
        stream->queue_cap = cap;
        stream->queue_head = 0;
    }
    stream->queue[(stream->queue_head + stream->queue_len) % stream->queue_cap] = slice;
    stream->queue_len++;
    return true;
}

/* A few bytes would keep a whole slab of the connection alive, and a peer that sends its window byte by byte
 * would pin gigabytes; small pieces are therefore gathered in slabs of their own. */
static bool queue_copy(struct lp2p_stream *stream, const struct lp2p_slice *slice)
{
    size_t done = 0;
    if (stream->queue_len > 0) {
        struct lp2p_slice *last =
            &stream->queue[(stream->queue_head + stream->queue_len - 1) % stream->queue_cap];
        if (lp2p_buf_alone(last->buf)) {
            size_t room = last->buf->cap - (size_t)(last->ptr - last->buf->bytes) - last->len;
            done = LP2P_MIN(room, slice->len);
            memcpy(last->ptr + last->len, slice->ptr,
                   done); /* behind what a reader may be copying without the lock */
            last->len += (uint32_t)done;
        }
    }
    while (done < slice->len) {
        size_t want = stream->queue_len == 0 ? LP2P_MIN(slice->len - done, (size_t)CHUNK_BYTES) : CHUNK_BYTES;
        struct lp2p_buf *chunk = lp2p_pool_buf(want);
        if (chunk == NULL) {
            return false;
        }
        size_t n = LP2P_MIN(slice->len - done, (size_t)chunk->cap);
        memcpy(chunk->bytes, slice->ptr + done, n);
        if (!queue_push(stream, (struct lp2p_slice){chunk, chunk->bytes, (uint32_t)n})) {
            lp2p_buf_drop(&chunk);
            return false;
        }
        done += n;
    }
    return true;
}

static void end(struct lp2p_stream *stream, enum lp2p_err reason)
{
    if (!stream->ended) {
        stream->ended = true;
        stream->end_reason = reason;
        stream->end_told = false;
        lp2p_bell_ring(&stream->readable);
        lp2p_bell_ring(&stream->writable);
    }
}

void lp2p_stream_arrived(struct lp2p_stream *stream, struct lp2p_m_stream_data *m)
{
    lp2p_stream_lock(stream);
    bool lost = !stream->user_holds && !stream->ended;
    for (unsigned i = 0; i < m->slices_len && !lost && !stream->ended; i++) {
        struct lp2p_slice *slice = &m->slices[i];
        if (slice->len > 0 && slice->len < slice->buf->cap / 4) {
            lost = !queue_copy(stream, slice);
        } else if (slice->len > 0) {
            lost = !queue_push(stream, *slice);
            *slice = lost ? *slice : (struct lp2p_slice){0};
        }
    }
    if (lost) { /* nobody reads it, or memory is short: the peer must not believe that it was read */
        stream->abort_wanted = true;
        end(stream, stream->user_holds ? LP2P_ENOMEM : LP2P_ECLOSED);
    }
    lp2p_bell_ring(&stream->readable);
    lp2p_stream_settle(stream);
}

struct lp2p_span lp2p_stream_front(const struct lp2p_stream *stream)
{
    return stream->queue_len == 0 ? lp2p_span(NULL, 0) : lp2p_slice_span(&stream->queue[stream->queue_head]);
}

void lp2p_stream_advance(struct lp2p_stream *stream, size_t n)
{
    struct lp2p_slice *front = &stream->queue[stream->queue_head];
    LP2P_CHECK(stream->queue_len > 0 && n <= front->len);
    front->ptr += n;
    front->len -= (uint32_t)n;
    stream->consumed += (uint32_t)n;
    if (front->len == 0) {
        lp2p_slice_drop(front);
        stream->queue_head = (stream->queue_head + 1) % stream->queue_cap;
        stream->queue_len--;
    }
}

void lp2p_stream_eof(struct lp2p_stream *stream)
{
    lp2p_stream_lock(stream);
    stream->eof = true;
    lp2p_bell_ring(&stream->readable);
    lp2p_stream_settle(stream);
}

void lp2p_stream_ended(struct lp2p_stream *stream, enum lp2p_err reason)
{
    lp2p_stream_lock(stream);
    end(stream, reason);
    stream->abort_sent = stream->abort_wanted; /* nobody is there any more to be told */
    lp2p_stream_settle(stream);
}

void lp2p_stream_credit(struct lp2p_stream *stream, uint32_t bytes)
{
    lp2p_stream_lock(stream);
    stream->credit += LP2P_MIN(bytes, UINT32_MAX - stream->credit);
    stream->edge = stream->edge || stream->blocked;
    lp2p_bell_ring(&stream->writable);
    lp2p_stream_settle(stream);
}

/* ---- what is due */

void lp2p_stream_lock(struct lp2p_stream *stream)
{
    LP2P_CHECK_MAGIC(stream, STREAM_MAGIC);
    pthread_mutex_lock(&stream->lock);
}

/** The muxer takes what was written, with the user's end behind it. */
static void fetch_written(struct lp2p_stream_source *source, struct lp2p_m_stream_write *m)
{
    struct lp2p_stream *stream = LP2P_CONTAINER_OF(source, struct lp2p_stream, source);
    lp2p_stream_lock(stream);
    stream->write_posted = false;
    if (!stream->ended) {
        memcpy(m->slices, stream->written, stream->written_len * sizeof(m->slices[0]));
        m->slices_len = stream->written_len;
        stream->written_len = 0;
        m->fin = stream->fin_wanted && !stream->fin_sent;
        stream->fin_sent = stream->fin_sent || m->fin;
    }
    drop_written(stream);                        /* of a stream that was ended */
    if (stream->blocked && stream->credit > 0) { /* for want of a place */
        stream->edge = true;
        lp2p_bell_ring(&stream->writable);
    }
    lp2p_stream_settle(stream);
    lp2p_stream_unref(stream);
}

/** The message was lost with its muxer: STREAM_RESET tells the rest. */
static void forget_posted(struct lp2p_stream_source *source)
{
    struct lp2p_stream *stream = LP2P_CONTAINER_OF(source, struct lp2p_stream, source);
    pthread_mutex_lock(&stream->lock);
    stream->write_posted = false;
    pthread_mutex_unlock(&stream->lock);
    lp2p_stream_unref(stream);
}

enum lp2p_err lp2p_stream_post_write(struct lp2p_stream *stream)
{
    if (stream->write_posted) {
        return LP2P_OK;
    }
    struct lp2p_m_stream_write *m = LP2P_NEW(STREAM_WRITE, stream_write);
    if (m == NULL) {
        return LP2P_ENOMEM;
    }
    m->id = stream->id;
    struct lp2p_msg *msg = &m->msg;
    /* The message holds the handle from the moment at which the muxer can see it. */
    m->source = &lp2p_stream_ref(stream)->source;
    stream->write_posted = true;
    enum lp2p_err err = lp2p_gate_post_ref(stream->gate, stream->id.muxer, &msg);
    if (err != LP2P_OK) {
        m->source = NULL;
        stream->write_posted = false;
        lp2p_msg_drop(&msg);
        uint32_t before =
            __atomic_fetch_sub(&stream->refs, 1, __ATOMIC_ACQ_REL); /* not the last: the caller's */
        LP2P_CHECK(before > 1);
    }
    return err;
}

/* True when it was taken, or when nobody is left to take it. */
static bool post(struct lp2p_stream *stream, struct lp2p_msg *msg)
{
    if (msg == NULL) {
        stream->retry = true;
        return false;
    }
    enum lp2p_err err = lp2p_gate_post_ref(stream->gate, stream->id.muxer, &msg);
    lp2p_msg_drop(&msg);
    if (err == LP2P_EFULL) {
        stream->retry = true;
        return false;
    }
    if (err != LP2P_OK) {
        end(stream, LP2P_ECLOSED);
    }
    return true;
}

static void post_due(struct lp2p_stream *stream)
{
    if (stream->abort_wanted && !stream->abort_sent) {
        struct lp2p_m_stream_reset *m = LP2P_NEW(STREAM_ABORT, stream_reset);
        if (m != NULL) {
            m->id = stream->id;
            m->reason = LP2P_ECANCELED;
        }
        stream->abort_sent = post(stream, m == NULL ? NULL : &m->msg);
        return;
    }
    if (stream->ended) {
        return;
    }
    if (!stream->eof && stream->consumed >= CONSUMED_STEP) {
        struct lp2p_m_stream_bytes *m = LP2P_NEW(STREAM_CONSUMED, stream_bytes);
        if (m != NULL) {
            m->id = stream->id;
            m->bytes = stream->consumed;
        }
        stream->consumed = post(stream, m == NULL ? NULL : &m->msg) ? 0 : stream->consumed;
    }
    if (stream->fin_wanted && !stream->fin_sent && !stream->write_posted) { /* else it goes with that */
        struct lp2p_m_stream_mark *m = LP2P_NEW(STREAM_CLOSE_WRITE, stream_mark);
        if (m != NULL) {
            m->id = stream->id;
        }
        stream->fin_sent = post(stream, m == NULL ? NULL : &m->msg);
    }
}

static void update_fd(struct lp2p_stream *stream)
{
    bool wanted = stream->queue_len > 0 || (stream->eof && !stream->eof_told) ||
                  (stream->ended && !stream->end_told) || stream->edge;
    if (wanted && !stream->fd_set) {
        lp2p_signal_fd_set(stream->fd);
    } else if (!wanted && stream->fd_set) {
        lp2p_signal_fd_clear(stream->fd);
    }
    stream->fd_set = wanted;
}

/* Puts the stream on a list of the gate, with a reference, and wakes the registrar that tends them. */
static void enlist(struct lp2p_stream *stream, struct lp2p_list *list, struct lp2p_list *entry)
{
    struct lp2p_gate *gate = stream->gate;
    pthread_mutex_lock(&gate->lock);
    if (!lp2p_list_linked(entry) && gate->state == LP2P_GATE_OPEN) {
        lp2p_stream_ref(stream);
        lp2p_list_push_back(list, entry);
        stream->leaving_until =
            entry == &stream->leaving ? lp2p_gate_clock_ns() + LP2P_STREAM_GRACE_NS : stream->leaving_until;
    }
    pthread_mutex_unlock(&gate->lock);
    lp2p_registrar_poke(gate);
}

static void unlist_leaving(struct lp2p_stream *stream)
{
    struct lp2p_gate *gate = stream->gate;
    pthread_mutex_lock(&gate->lock);
    bool linked = lp2p_list_linked(&stream->leaving);
    lp2p_list_remove(&stream->leaving);
    pthread_mutex_unlock(&gate->lock);
    if (linked) {
        lp2p_stream_unref(stream);
    }
}

void lp2p_stream_settle(struct lp2p_stream *stream)
{
    post_due(stream);
    update_fd(stream);
    bool over = stream->ended ? !stream->abort_wanted || stream->abort_sent : stream->eof && stream->fin_sent;
    bool retry = stream->retry;
    bool leaving = !stream->user_holds && !over;
    stream->retry = false;
    bool wake_reader = lp2p_bell_take(&stream->readable), wake_writer = lp2p_bell_take(&stream->writable);
    pthread_mutex_unlock(&stream->lock);
    if (wake_reader) {
        lp2p_bell_wake(&stream->readable);
    }
    if (wake_writer) {
        lp2p_bell_wake(&stream->writable);
    }
    if (retry) {
        enlist(stream, &stream->gate->stalled, &stream->stalled);
    }
    if (leaving) {
        enlist(stream, &stream->gate->leaving, &stream->leaving);
    }
    if (over) {
        unlist_leaving(stream);
        table_remove(stream);
    }
}
