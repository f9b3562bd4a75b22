/* SPDX-License-Identifier: MIT */
#include "protocols_stage.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* ---- the recorder */

struct recorder {
    struct stage *stage;
};

static enum lp2p_err recorder_init(struct lp2p_actor *self, void *state, const void *arg)
{
    struct stage *stage = (struct stage *)(uintptr_t)arg;
    ((struct recorder *)state)->stage = stage;
    if (strcmp(lp2p_actor_id(self), "recorder") == 0) {
        stage->recorder = lp2p_self(self);
        stage->wall_ms = lp2p_wall_ms(self);
        struct lp2p_ref name = {stage->recorder.slot, 0};
        stage->ctx.names = (struct lp2p_names){name, name, name, name, name,
                                                name, name, name, name, name};
        stage->ctx.names_known = true;
    } else {
        stage->slow = lp2p_self(self);
    }
    return LP2P_OK;
}

static enum lp2p_verdict recorder_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)self;
    struct stage *stage = ((struct recorder *)state)->stage;
    assert_true(stage->len < STAGE_MSGS_MAX);
    stage->msgs[stage->len++] = *msg;
    *msg = NULL;
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops recorder_ops = {
    .name = "recorder", .state_size = sizeof(struct recorder), .init = recorder_init, .on_msg = recorder_msg};

/* ---- life */

static void make_id(uint64_t seed, struct lp2p_private_key *key, struct lp2p_public_key *pub,
                    struct lp2p_peer_id *id)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, seed);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    lp2p_private_key_generate(&rand, key);
    lp2p_private_key_public(key, pub);
    lp2p_peer_id_from_key(pub, id);
}

struct stage *stage_new(void)
{
    struct stage *stage = calloc(1, sizeof(*stage));
    struct lp2p_private_key key;
    assert_non_null(stage);
    assert_true(sodium_init() >= 0);
    make_id(1, &stage->ctx.key, &stage->ctx.public_key, &stage->ctx.self);
    make_id(2, &key, &stage->peer_key, &stage->peer);
    lp2p_peer_id_text(&stage->ctx.self, stage->ctx.self_text);
    return stage;
}

void stage_start(struct stage *stage, const struct lp2p_actor_ops *ops)
{
    const struct lp2p_placement own = {.place = LP2P_PLACE_OWN};
    stage->children[0] = (struct lp2p_child_spec){.id = "recorder",
                                                  .ops = &recorder_ops,
                                                  .arg = stage,
                                                  .placement = own,
                                                  .mailbox_max = STAGE_MSGS_MAX};
    stage->children[1] = (struct lp2p_child_spec){
        .id = "slow", .ops = &recorder_ops, .arg = stage, .placement = own, .mailbox_max = 16};
    stage->children[2] = (struct lp2p_child_spec){
        .id = "actor", .ops = ops, .arg = &stage->ctx, .placement = own, .mailbox_max = STAGE_MSGS_MAX};
    stage->sup = (struct lp2p_sup_spec){
        .children = stage->children, .children_len = 3, .restarts_max = 3, .period_ms = 1000};
    stage->root = (struct lp2p_child_spec){
        .id = "root", .ops = &lp2p_supervisor_ops, .arg = &stage->sup, .placement = own};
    stage->config = (struct lp2p_rt_config){.root = &stage->root, .simulated = true, .seed = 3};
    assert_int_equal(lp2p_rt_start(&stage->config, &stage->rt, NULL), LP2P_OK);
    stage->actor = lp2p_whereis(stage->rt, "actor");
    assert_false(lp2p_ref_eq(stage->actor, LP2P_REF_NONE));
    stage_run(stage);
}

void stage_free(struct stage *stage)
{
    assert_int_equal(lp2p_rt_stop(&stage->rt), 0);
    for (size_t i = 0; i < stage->len; i++) {
        lp2p_msg_drop(&stage->msgs[i]);
    }
    lp2p_protocols_heirs_free(&stage->ctx);
    free(stage);
}

void stage_queue(struct stage *stage, struct lp2p_msg *msg)
{
    assert_non_null(msg);
    assert_int_equal(lp2p_post(stage->rt, stage->actor, &msg), LP2P_OK);
}

void stage_run(struct stage *stage)
{
    lp2p_sim_run(stage->rt, lp2p_sim_now(stage->rt));
}

void stage_fail(struct stage *stage)
{
    assert_int_equal(lp2p_rt_fail(stage->rt, stage->actor), LP2P_OK);
    stage_run(stage);
}

void stage_post(struct stage *stage, struct lp2p_msg *msg)
{
    stage_queue(stage, msg);
    stage_run(stage);
}

void stage_pass(struct stage *stage, uint64_t span_ns)
{
    lp2p_sim_run(stage->rt, lp2p_time_add(lp2p_sim_now(stage->rt), span_ns));
}

/* ---- what was recorded */

typedef bool (*match_fn)(const struct lp2p_msg *msg, const void *arg);

static struct lp2p_msg *take_if(struct stage *stage, match_fn match, const void *arg)
{
    for (size_t i = 0; i < stage->len; i++) {
        struct lp2p_msg *msg = stage->msgs[i];
        if (match(msg, arg)) {
            memmove(&stage->msgs[i], &stage->msgs[i + 1], (stage->len - i - 1) * sizeof(stage->msgs[0]));
            stage->len--;
            return msg;
        }
    }
    return NULL;
}

static bool is_class(const struct lp2p_msg *msg, const void *cls)
{
    return msg->cls == cls;
}

struct lp2p_msg *stage_take(struct stage *stage, const struct lp2p_msg_class *cls)
{
    return take_if(stage, is_class, cls);
}

void stage_expect(struct stage *stage, const struct lp2p_msg_class *cls)
{
    struct lp2p_msg *msg = stage_take(stage, cls);
    if (msg == NULL) {
        fail_msg("no %s was sent", cls->name);
    }
    lp2p_msg_drop(&msg);
}

size_t stage_count(const struct stage *stage, const struct lp2p_msg_class *cls)
{
    size_t count = 0;
    for (size_t i = 0; i < stage->len; i++) {
        count += stage->msgs[i]->cls == cls;
    }
    return count;
}

/* ---- the muxer's part */

struct lp2p_stream_id stage_stream(const struct stage *stage, uint64_t number)
{
    return (struct lp2p_stream_id){stage->recorder, number};
}

void stage_opened(struct stage *stage, uint64_t number, const char *protocol, bool outbound, uint64_t tag,
                  uint32_t credit, struct lp2p_op *op)
{
    struct lp2p_m_stream_opened *m = LP2P_NEW(STREAM_OPENED, stream_opened);
    assert_non_null(m);
    m->msg.tag = tag;
    m->id = stage_stream(stage, number);
    m->outbound = outbound;
    m->conn = 1;
    m->peer = stage->peer;
    assert_int_equal(lp2p_multiaddr_from_text("/ip4/127.0.0.1/tcp/4001", &m->remote, NULL), LP2P_OK);
    snprintf(m->protocol, sizeof(m->protocol), "%s", protocol);
    m->credit_bytes = credit;
    m->op = lp2p_op_ref(op);
    STAGE_POST(stage, m);
}

void stage_data(struct stage *stage, uint64_t number, const void *bytes, size_t len)
{
    struct lp2p_m_stream_data *m = LP2P_NEW(STREAM_DATA, stream_data);
    assert_non_null(m);
    m->id = stage_stream(stage, number);
    m->slices[m->slices_len++] = lp2p_slice_copy(bytes, len);
    STAGE_POST(stage, m);
}

void stage_eof(struct stage *stage, uint64_t number)
{
    struct lp2p_m_stream_mark *m = LP2P_NEW(STREAM_EOF, stream_mark);
    assert_non_null(m);
    m->id = stage_stream(stage, number);
    STAGE_POST(stage, m);
}

void stage_reset(struct stage *stage, uint64_t number, enum lp2p_err reason)
{
    struct lp2p_m_stream_reset *m = LP2P_NEW(STREAM_RESET, stream_reset);
    assert_non_null(m);
    m->id = stage_stream(stage, number);
    m->reason = reason;
    STAGE_POST(stage, m);
}

void stage_credit(struct stage *stage, uint64_t number, uint32_t bytes)
{
    struct lp2p_m_stream_bytes *m = LP2P_NEW(STREAM_CREDIT, stream_bytes);
    assert_non_null(m);
    m->id = stage_stream(stage, number);
    m->bytes = bytes;
    STAGE_POST(stage, m);
}

static bool is_output(const struct lp2p_msg *msg, const void *arg)
{
    const uint64_t *number = arg;
    if (msg->cls == &LP2P_M_STREAM_WRITE) {
        return ((const struct lp2p_m_stream_write *)(const void *)msg)->id.stream == *number;
    }
    return msg->cls == &LP2P_M_STREAM_CLOSE_WRITE &&
           ((const struct lp2p_m_stream_mark *)(const void *)msg)->id.stream == *number;
}

size_t stage_written(struct stage *stage, uint64_t number, uint8_t *out, size_t cap, bool *fin)
{
    size_t len = 0;
    *fin = false;
    struct lp2p_msg *msg;
    while ((msg = take_if(stage, is_output, &number)) != NULL) {
        assert_false(*fin); /* nothing comes behind the end */
        if (LP2P_IS(msg, STREAM_WRITE)) {
            struct lp2p_m_stream_write *m = LP2P_AS(msg, STREAM_WRITE, stream_write);
            for (unsigned i = 0; i < m->slices_len; i++) {
                assert_true(m->slices[i].len <= cap - len);
                memcpy(out + len, m->slices[i].ptr, m->slices[i].len);
                len += m->slices[i].len;
            }
            *fin = m->fin;
        } else {
            *fin = true;
        }
        lp2p_msg_drop(&msg);
    }
    return len;
}

static bool is_consumed(const struct lp2p_msg *msg, const void *arg)
{
    return msg->cls == &LP2P_M_STREAM_CONSUMED &&
           ((const struct lp2p_m_stream_bytes *)(const void *)msg)->id.stream == *(const uint64_t *)arg;
}

size_t stage_consumed(struct stage *stage, uint64_t number)
{
    size_t sum = 0;
    struct lp2p_msg *msg;
    while ((msg = take_if(stage, is_consumed, &number)) != NULL) {
        sum += LP2P_AS(msg, STREAM_CONSUMED, stream_bytes)->bytes;
        lp2p_msg_drop(&msg);
    }
    return sum;
}

static bool is_abort(const struct lp2p_msg *msg, const void *arg)
{
    return msg->cls == &LP2P_M_STREAM_ABORT &&
           ((const struct lp2p_m_stream_reset *)(const void *)msg)->id.stream == *(const uint64_t *)arg;
}

bool stage_aborted(struct stage *stage, uint64_t number)
{
    struct lp2p_msg *msg = take_if(stage, is_abort, &number);
    bool found = msg != NULL;
    lp2p_msg_drop(&msg);
    return found;
}

/* ---- operations */

struct lp2p_op *stage_op(void)
{
    struct lp2p_op *op = lp2p_op_new(NULL);
    assert_non_null(op);
    return op;
}

void stage_op_is(struct lp2p_op *op, enum lp2p_err result)
{
    if (lp2p_op_result(op) != result) {
        fail_msg("operation: %s (%s) instead of %s", lp2p_errname(lp2p_op_result(op)), lp2p_op_detail(op),
                 lp2p_errname(result));
    }
    lp2p_op_free(op);
}
