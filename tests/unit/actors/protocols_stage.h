/* SPDX-License-Identifier: MIT
 * A stage for one actor: a simulated runtime in which everybody else (swarm, muxers, notifier, router) is one
 * recorder, that keeps what it is sent until the test takes it. The test plays their parts by posting
 * messages. */
#ifndef LP2P_TESTS_PROTOCOLS_STAGE_H
#define LP2P_TESTS_PROTOCOLS_STAGE_H

#include "actors/context.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define STAGE_MSGS_MAX 8192

struct stage {
    struct lp2p_context ctx;
    struct lp2p_rt *rt;
    struct lp2p_rt_config config;
    struct lp2p_sup_spec sup;
    struct lp2p_child_spec root, children[3];
    struct lp2p_ref recorder, actor, slow; /* recorder: exact; slow: a second recorder with 16 places */
    struct lp2p_msg *msgs[STAGE_MSGS_MAX];
    size_t len;
    uint64_t wall_ms; /* the simulated wall clock at the start */
    struct lp2p_public_key peer_key;
    struct lp2p_peer_id peer; /* some remote peer */
};

/** Keys and names; then fields of ctx.config may be set. */
struct stage *stage_new(void);
/** Starts the actor. */
void stage_start(struct stage *stage, const struct lp2p_actor_ops *ops);
/** Stops it and drops what was not taken; every operation must have ended by then. */
void stage_free(struct stage *stage);

/** Sends to the actor and lets everything run that can at this moment. The macro takes any lp2p_m_ struct. */
#define STAGE_POST(stage, m) stage_post(stage, &(m)->msg)
void stage_post(struct stage *stage, struct lp2p_msg *msg);
/** As post, but nothing runs yet. */
void stage_queue(struct stage *stage, struct lp2p_msg *msg);
void stage_run(struct stage *stage);
/** Makes the actor fail; its supervisor restarts it. */
void stage_fail(struct stage *stage);
void stage_pass(struct stage *stage, uint64_t span_ns);

/** The oldest message of that class, taken out: the caller drops it. NULL when there is none. */
struct lp2p_msg *stage_take(struct stage *stage, const struct lp2p_msg_class *cls);
#define STAGE_TAKE(stage, NAME, type) ((struct lp2p_m_##type *)(void *)stage_take(stage, &LP2P_M_##NAME))
/** Takes and drops one message; fails the test when there is none. */
void stage_expect(struct stage *stage, const struct lp2p_msg_class *cls);
#define STAGE_EXPECT(stage, NAME) stage_expect(stage, &LP2P_M_##NAME)
/** Nothing of that class waits. */
#define STAGE_NONE(stage, NAME) assert_int_equal(stage_count(stage, &LP2P_M_##NAME), 0)
size_t stage_count(const struct stage *stage, const struct lp2p_msg_class *cls);
#define STAGE_DROP(m)                                                                                        \
    do {                                                                                                     \
        struct lp2p_msg *drop_ = &(m)->msg;                                                                  \
        lp2p_msg_drop(&drop_);                                                                               \
    } while (0)

/* The muxer's part. Streams are numbered by the test; the peer is stage->peer. */
struct lp2p_stream_id stage_stream(const struct stage *stage, uint64_t number);
void stage_opened(struct stage *stage, uint64_t number, const char *protocol, bool outbound, uint64_t tag,
                  uint32_t credit, struct lp2p_op *op);
void stage_data(struct stage *stage, uint64_t number, const void *bytes, size_t len);
void stage_eof(struct stage *stage, uint64_t number);
void stage_reset(struct stage *stage, uint64_t number, enum lp2p_err reason);
void stage_credit(struct stage *stage, uint64_t number, uint32_t bytes);
/** What the actor wrote to the stream so far, joined, with its end: takes STREAM_WRITE and
 * STREAM_CLOSE_WRITE. Returns the length. */
size_t stage_written(struct stage *stage, uint64_t number, uint8_t *out, size_t cap, bool *fin);
/** Sum of STREAM_CONSUMED for the stream; takes them. */
size_t stage_consumed(struct stage *stage, uint64_t number);
/** Whether the stream was aborted; takes the message. */
bool stage_aborted(struct stage *stage, uint64_t number);

/** A fresh operation of nobody's node. */
struct lp2p_op *stage_op(void);
/** Checks the result and frees the operation. */
void stage_op_is(struct lp2p_op *op, enum lp2p_err result);

#endif
