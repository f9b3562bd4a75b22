/* SPDX-License-Identifier: MIT
 * Bytes that a muxer keeps for the next read, when that read does not come and nothing else moves the muxer: behind an owner that
 * was too full for more. The muxer is the real one; its connection and the owner of the stream are puppets under virtual time. */
#include "actors/context.h"
#include "actors/link/limits.h"
#include "multistream/multistream.h"
#include "runtime/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROOM 300u     /* of the owner's mailbox */
#define PIECES 600u   /* more than fit into the mailbox and into what a muxer lets wait */
#define PIECE 100u    /* bytes, each piece in a read of its own */
#define LAST 40000u   /* bytes: enough for its word to wait for the next read */

static const struct lp2p_msg_class ALL_READS = {"ALL_READS", sizeof(struct lp2p_msg), LP2P_LANE_NORMAL, NULL, NULL};

static struct {
    struct lp2p_context ctx;
    struct lp2p_mux *remote; /* the other side's session */
    uint64_t stream;
    struct lp2p_ref owner, muxer;
    uint64_t received;
} scene;

static void fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    memset(out, 7, len);
}
static const struct lp2p_rand randomness = {fill, NULL};

/** A read of what the other side has to send now: `len` bytes on the stream, behind whatever else waits. */
static struct lp2p_msg *read_of(size_t len, bool more, lp2p_time now)
{
    if (len > 0) {
        struct lp2p_buf *body = lp2p_buf_new(len);
        memset(body->bytes, 'x', len);
        struct lp2p_slice slice = {body, body->bytes, (uint32_t)len};
        assert_int_equal(lp2p_yamux_ops.write(scene.remote, scene.stream, &slice), LP2P_OK);
    }
    struct lp2p_buf *slab = lp2p_buf_new(len + 1024);
    size_t drained = lp2p_yamux_ops.drain(scene.remote, slab->bytes, slab->cap, now);
    assert_false(lp2p_yamux_ops.wants_write(scene.remote));
    struct lp2p_m_conn_bytes *m = LP2P_NEW(CONN_BYTES, conn_bytes);
    m->slices[m->slices_len++] = (struct lp2p_slice){slab, slab->bytes, (uint32_t)drained};
    m->more = more;
    return &m->msg;
}

static enum lp2p_verdict give(struct lp2p_actor *self, void *state, struct lp2p_msg *msg)
{
    enum lp2p_verdict verdict = lp2p_muxer_ops.on_msg(self, state, &msg);
    lp2p_msg_drop(&msg);
    return verdict;
}

/** All reads in one turn, so that the owner takes nothing meanwhile. The last one was full, and there is none behind it. */
static enum lp2p_verdict all_reads(struct lp2p_actor *self, void *state)
{
    enum lp2p_verdict verdict = LP2P_CONTINUE;
    for (unsigned i = 0; i < PIECES && verdict == LP2P_CONTINUE; i++) {
        verdict = give(self, state, read_of(PIECE, false, lp2p_now(self)));
    }
    return verdict == LP2P_CONTINUE ? give(self, state, read_of(LAST, true, lp2p_now(self))) : verdict;
}

static enum lp2p_verdict muxer_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    return (*msg)->cls == &ALL_READS ? all_reads(self, state) : lp2p_muxer_ops.on_msg(self, state, msg);
}

static enum lp2p_err no_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self, (void)state, (void)arg;
    return LP2P_OK;
}

/** An owner that takes what comes and has nothing to say. */
static enum lp2p_verdict owner_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)self, (void)state;
    if (LP2P_IS(*msg, STREAM_DATA)) {
        scene.received += (*msg)->bytes;
    }
    return LP2P_CONTINUE;
}
static const struct lp2p_actor_ops owner_ops = {
    .name = "owner", .state_size = 1, .init = no_init, .on_msg = owner_on_msg};

/** A connection that swallows what is written; its first order is to start the muxer. */
static enum lp2p_verdict connection_on_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)state;
    static struct lp2p_actor_ops ops;
    if ((*msg)->cls != &ALL_READS) {
        return LP2P_CONTINUE;
    }
    ops = lp2p_muxer_ops;
    ops.on_msg = muxer_on_msg;
    struct lp2p_muxer_arg *arg = calloc(1, sizeof(*arg));
    *arg = (struct lp2p_muxer_arg){.ctx = &scene.ctx,
                                   .connection = lp2p_self(self),
                                   .ops = &lp2p_yamux_ops,
                                   .plain_max = 65519,
                                   .protocols = lp2p_protocols_new(1)};
    struct lp2p_protocol_entry *entry = &arg->protocols->items[0];
    (void)snprintf(entry->id, sizeof(entry->id), "/sink");
    entry->resident = LP2P_RESIDENT_NONE;
    entry->actor = scene.owner;
    const struct lp2p_child_spec spec = {.id = "muxer", .ops = &ops, .arg = arg, .arg_drop = lp2p_muxer_arg_drop,
                                         .restart = LP2P_TEMPORARY, .placement = {.place = LP2P_PLACE_WITH}};
    assert_int_equal(lp2p_spawn(self, lp2p_whereis(lp2p_actor_rt(self), "root"), &spec, &scene.muxer), LP2P_OK);
    return LP2P_CONTINUE;
}
static const struct lp2p_actor_ops connection_ops = {
    .name = "connection", .state_size = 1, .init = no_init, .on_msg = connection_on_msg};

static void post(struct lp2p_rt *rt, struct lp2p_ref to, struct lp2p_msg *msg)
{
    assert_int_equal(lp2p_post(rt, to, &msg), LP2P_OK);
    lp2p_sim_run(rt, lp2p_sim_now(rt));
}

/** The other side opens a stream and says what it wants of it. */
static void open_stream(struct lp2p_rt *rt)
{
    static const char *const names[] = {"/sink"};
    lp2p_time now = lp2p_sim_now(rt);
    struct lp2p_mss *mss = lp2p_mss_new_dialer(names, 1, false);
    uint8_t words[256];
    size_t len = lp2p_mss_drain(mss, words, sizeof(words), now);
    struct lp2p_slice slice = lp2p_slice_copy(words, len);
    assert_int_equal(lp2p_yamux_ops.open(scene.remote, now, &scene.stream), LP2P_OK);
    assert_int_equal(lp2p_yamux_ops.write(scene.remote, scene.stream, &slice), LP2P_OK);
    post(rt, scene.muxer, read_of(0, false, now));
    lp2p_mss_free(mss);
}

static void test_link_kept_data_behind_a_full_owner(void **state)
{
    (void)state;
    const struct lp2p_child_spec children[] = {
        {.id = "owner", .ops = &owner_ops, .restart = LP2P_PERMANENT, .mailbox_max = ROOM},
        {.id = "connection", .ops = &connection_ops, .restart = LP2P_PERMANENT},
    };
    const struct lp2p_sup_spec sup = {.children = children, .children_len = 2, .period_ms = 1, .dynamic_max = 1};
    const struct lp2p_child_spec root = {.id = "root", .ops = &lp2p_supervisor_ops, .arg = &sup};
    const struct lp2p_rt_config config = {.root = &root, .simulated = true, .seed = 5};
    struct lp2p_rt *rt = NULL;
    assert_int_equal(lp2p_rt_start(&config, &rt, NULL), LP2P_OK);
    scene.remote = lp2p_yamux_ops.create(NULL, true, &randomness, lp2p_sim_now(rt));
    scene.owner = lp2p_whereis(rt, "owner");
    post(rt, lp2p_whereis(rt, "connection"), lp2p_msg_new(&ALL_READS));
    open_stream(rt);
    post(rt, scene.muxer, lp2p_msg_new(&ALL_READS));
    lp2p_sim_run(rt, lp2p_sim_now(rt) + LP2P_SEC(1)); /* some milliseconds, and far from the session's own timers */
    assert_int_equal(scene.received, PIECES * PIECE + LAST);
    assert_int_equal(lp2p_rt_stop(&rt), 0);
    lp2p_yamux_ops.destroy(scene.remote);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_link_kept_data_behind_a_full_owner)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
