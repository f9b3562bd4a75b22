/* SPDX-License-Identifier: MIT
 * What is told of each kind of request whose receiver has ended without reading it: the hooks of LP2P_REQUESTS,
 * one by one, and outboxes that cannot deliver. That mailboxes call them is the runtime's part
 * (tests/unit/runtime/test_unread.c). */
#include "actors/messages.h"
#include "actors/outbox.h"
#include "runtime/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct lp2p_ref ASKER = {7, 3}, RECEIVER = {9, 0};

static struct lp2p_msg *unread(struct lp2p_msg *msg, enum lp2p_err why)
{
    struct lp2p_msg *answer = msg->cls->unread(&msg, why);
    lp2p_msg_drop(&msg);
    return answer;
}

/** Made ready as if it had been sent and had waited. */
static struct lp2p_msg *sent(struct lp2p_msg *msg)
{
    msg->from = ASKER;
    msg->to = RECEIVER;
    msg->tag = 77;
    return msg;
}

static void expect_address(const struct lp2p_msg *answer, uint64_t tag)
{
    assert_true(lp2p_ref_eq(answer->to, ASKER));
    assert_int_equal(answer->tag, tag);
}

static struct lp2p_m_stream_open *new_open(struct lp2p_op *op, int resident)
{
    struct lp2p_m_stream_open *open = LP2P_NEW(STREAM_OPEN, stream_open);
    (void)sent(&open->msg);
    open->msg.from = (struct lp2p_ref){2, 1}; /* the swarm passed it on */
    open->reply_to = ASKER;
    open->reply_tag = 5;
    open->resident = resident;
    open->op = lp2p_op_ref(op);
    open->protocols_len = 1;
    (void)snprintf(open->protocols[0], LP2P_PROTOCOL_ID_MAX, "/x/1");
    return open;
}

static void test_unread_stream_open(void **state)
{
    (void)state;
    static const struct {
        enum lp2p_err why, reason;
        const char *text;
    } cases[] = {{LP2P_EGONE, LP2P_ENOCONN, "stream /x/1: the connection ended before the stream was opened"},
                 {LP2P_ECLOSED, LP2P_ENOCONN, "stream /x/1: the connection ended before the stream was opened"},
                 {LP2P_ELIMIT, LP2P_ELIMIT, NULL}};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_op *op = lp2p_op_new(NULL);
        struct lp2p_msg *answer = unread(&new_open(op, LP2P_RESIDENT_NONE)->msg, cases[i].why);
        struct lp2p_m_stream_open_failed *failed = LP2P_AS(answer, STREAM_OPEN_FAILED, stream_open_failed);
        expect_address(answer, 5);
        assert_int_equal(failed->reason, cases[i].reason);
        assert_true(cases[i].text == NULL || strcmp(failed->text, cases[i].text) == 0);
        assert_false(lp2p_op_done(op)); /* it rides along */
        lp2p_msg_drop(&answer);
        assert_int_equal(lp2p_op_result(op), cases[i].reason);
        lp2p_op_drop(&op);
        /* A resident waits for nothing but the op. */
        op = lp2p_op_new(NULL);
        assert_null(unread(&new_open(op, LP2P_RESIDENT_STREAMS)->msg, cases[i].why));
        assert_int_equal(lp2p_op_result(op), cases[i].reason);
        lp2p_op_drop(&op);
    }
}

static void test_unread_peer_stream_open(void **state)
{
    (void)state;
    struct lp2p_m_peer_stream_open *open = LP2P_NEW(PEER_STREAM_OPEN, peer_stream_open);
    (void)sent(&open->msg);
    open->reply_to = ASKER;
    open->reply_tag = 6;
    open->resident = LP2P_RESIDENT_NONE;
    open->peer.len = 2;
    struct lp2p_msg *answer = unread(&open->msg, LP2P_EGONE);
    const struct lp2p_m_stream_open_failed *failed = LP2P_AS(answer, STREAM_OPEN_FAILED, stream_open_failed);
    expect_address(answer, 6);
    assert_int_equal(failed->reason, LP2P_ECLOSED);
    assert_int_equal(failed->peer.len, 2);
    lp2p_msg_drop(&answer);
}

/** A stream that its owner has no room for was not opened; of one that came from outside nobody waits to hear. */
static void test_unread_stream_opened(void **state)
{
    (void)state;
    for (int outbound = 0; outbound < 2; outbound++) {
        struct lp2p_op *op = lp2p_op_new(NULL);
        struct lp2p_m_stream_opened *opened = LP2P_NEW(STREAM_OPENED, stream_opened);
        (void)sent(&opened->msg);
        opened->msg.to = ASKER;
        opened->outbound = outbound;
        opened->op = lp2p_op_ref(op);
        struct lp2p_msg *answer = unread(&opened->msg, LP2P_ELIMIT);
        assert_int_equal(answer != NULL, outbound);
        if (answer != NULL) {
            expect_address(answer, 77);
            assert_int_equal(LP2P_AS(answer, STREAM_OPEN_FAILED, stream_open_failed)->reason, LP2P_ELIMIT);
        }
        lp2p_msg_drop(&answer);
        assert_true(lp2p_op_done(op));
        lp2p_op_drop(&op);
    }
}

static void test_unread_dial(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct lp2p_m_dial *dial = LP2P_NEW(DIAL, dial);
        (void)sent(&dial->msg);
        dial->dial = 12;
        dial->peer.len = 3;
        dial->more = more;
        struct lp2p_msg *answer = unread(&dial->msg, LP2P_EGONE);
        assert_int_equal(answer == NULL, more); /* the dial that it is for has an answer of its own */
        if (answer != NULL) {
            const struct lp2p_m_dial_ended *ended = LP2P_AS(answer, DIAL_ENDED, dial_ended);
            expect_address(answer, 77);
            assert_int_equal(ended->dial, 12);
            assert_int_equal(ended->peer.len, 3);
            assert_int_equal(ended->reason, LP2P_EFAILED);
        }
        lp2p_msg_drop(&answer);
    }
}

static void test_unread_replies(void **state)
{
    (void)state;
    struct lp2p_op *op = lp2p_op_new(NULL);
    struct lp2p_msg *answer = unread(sent(&LP2P_NEW(RESOLVE, resolve)->msg), LP2P_EGONE);
    expect_address(answer, 77);
    assert_int_equal(LP2P_AS(answer, RESOLVED, resolved)->reason, LP2P_EFAILED);
    lp2p_msg_drop(&answer);
    answer = unread(sent(&LP2P_NEW(PROXIED, proxied)->msg), LP2P_EGONE);
    expect_address(answer, 77);
    assert_int_equal(LP2P_AS(answer, ADMITTED, admitted)->result, LP2P_EFAILED);
    lp2p_msg_drop(&answer);
    answer = unread(sent(&LP2P_NEW(DHT_REQUEST, dht_request)->msg), LP2P_EGONE);
    expect_address(answer, 77);
    assert_int_equal(LP2P_AS(answer, DHT_DONE, dht_done)->result, LP2P_EFAILED);
    lp2p_msg_drop(&answer);
    /* A foreign thread waits for the op alone. */
    struct lp2p_m_dht_request *request = LP2P_NEW(DHT_REQUEST, dht_request);
    request->op = lp2p_op_ref(op);
    assert_null(unread(&request->msg, LP2P_EGONE));
    assert_int_equal(lp2p_op_result(op), LP2P_ECLOSED);
    lp2p_op_drop(&op);
}

static void test_unread_again(void **state)
{
    (void)state;
    const struct lp2p_msg_class *classes[] = {
        &LP2P_M_REGISTER,   &LP2P_M_SUBSCRIBE,  &LP2P_M_MESSAGE_ROUTE,      &LP2P_M_STORE_LOAD, &LP2P_M_STORE_WRITE,
        &LP2P_M_DIAL_ENDED, &LP2P_M_RESOLVED,   &LP2P_M_STREAM_OPEN_FAILED, &LP2P_M_DHT_DONE};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(classes); i++) {
        struct lp2p_msg *msg = sent(lp2p_msg_new(classes[i])), *same = msg;
        struct lp2p_msg *answer = classes[i]->unread(&msg, LP2P_EGONE);
        assert_null(msg);
        assert_ptr_equal(answer, same);
        assert_true(lp2p_ref_eq(answer->to, RECEIVER) && lp2p_ref_eq(answer->from, ASKER));
        lp2p_msg_drop(&answer);
    }
}

/* ---- outboxes: an asker, a receiver with four places, and one between them that passes on */

#define PLACES 4u
#define KEPT 8u
enum { ASK = 0, PASS = 1, RETRY = 3 };

static struct {
    struct lp2p_ref receiver, asker;
    unsigned kept, refused;                 /* by verdict of the outbox */
    unsigned failed, limited, opens_failed; /* answers */
} seen;

struct box {
    struct lp2p_outbox outbox;
};

static enum lp2p_err receiver_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)state, (void)arg;
    seen.receiver = lp2p_self(self);
    return LP2P_OK;
}

static const struct lp2p_actor_ops receiver_ops = {.name = "receiver", .init = receiver_init};

static enum lp2p_err box_init(struct lp2p_actor *self, void *state, const void *arg)
{
    lp2p_outbox_init(&((struct box *)state)->outbox, RETRY, KEPT);
    if (arg == NULL) {
        seen.asker = lp2p_self(self);
    } else {
        lp2p_timer_set(self, *(const unsigned *)arg, lp2p_now(self));
    }
    return LP2P_OK;
}

static void count(enum lp2p_err err)
{
    *(err == LP2P_OK ? &seen.kept : &seen.refused) += 1;
}

/** Questions of its own, until there is no place any more; and then the receiver fails. */
static void ask_all(struct lp2p_actor *self, struct lp2p_outbox *outbox)
{
    seen.asker = lp2p_self(self);
    for (unsigned i = 0; i < PLACES + KEPT + 2; i++) {
        struct lp2p_msg *msg = &LP2P_NEW(RESOLVE, resolve)->msg;
        count(i % 2 == 0 ? lp2p_outbox_send(self, outbox, seen.receiver, &msg)
                         : lp2p_outbox_pass(self, outbox, seen.receiver, &msg));
        assert_null(msg);
    }
    assert_int_equal(lp2p_rt_fail(lp2p_actor_rt(self), seen.receiver), LP2P_OK);
}

/** Requests for somebody else; and then it ends itself, with what it could not send yet. */
static void pass_all(struct lp2p_actor *self, struct lp2p_outbox *outbox)
{
    for (unsigned i = 0; i < PLACES + KEPT; i++) {
        struct lp2p_msg *msg = &new_open(NULL, LP2P_RESIDENT_NONE)->msg;
        LP2P_AS(msg, STREAM_OPEN, stream_open)->reply_to = seen.asker;
        count(lp2p_outbox_pass(self, outbox, seen.receiver, &msg));
    }
}

static enum lp2p_verdict box_timer(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct lp2p_outbox *outbox = &((struct box *)state)->outbox;
    if (timer == RETRY) {
        lp2p_outbox_retry(self, outbox);
    } else if (timer == ASK) {
        ask_all(self, outbox);
    } else {
        pass_all(self, outbox);
        return LP2P_STOP;
    }
    return LP2P_CONTINUE;
}

static enum lp2p_verdict box_msg(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)self, (void)state;
    if (LP2P_IS(*msg, RESOLVED)) {
        enum lp2p_err reason = LP2P_AS(*msg, RESOLVED, resolved)->reason;
        seen.failed += reason == LP2P_EFAILED;
        seen.limited += reason == LP2P_ELIMIT;
    } else if (LP2P_IS(*msg, STREAM_OPEN_FAILED)) {
        seen.opens_failed++;
    }
    return LP2P_CONTINUE;
}

static void box_fini(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)why;
    lp2p_outbox_end(self, &((struct box *)state)->outbox);
}

static const struct lp2p_actor_ops box_ops = {.name = "box",
                                              .state_size = sizeof(struct box),
                                              .init = box_init,
                                              .on_msg = box_msg,
                                              .on_timer = box_timer,
                                              .fini = box_fini};

static void run_boxes(const unsigned *first, const unsigned *second, uint64_t seed)
{
    const struct lp2p_child_spec children[] = {
        {.id = "receiver", .ops = &receiver_ops, .restart = LP2P_PERMANENT, .mailbox_max = PLACES},
        {.id = "first", .ops = &box_ops, .arg = first, .restart = LP2P_TRANSIENT},
        {.id = "second", .ops = &box_ops, .arg = second, .restart = LP2P_TRANSIENT}};
    const struct lp2p_sup_spec sup = {.restarts_max = 5, .period_ms = 1000, .children = children, .children_len = second == NULL ? 2 : 3};
    const struct lp2p_child_spec root = {.id = "root", .ops = &lp2p_supervisor_ops, .arg = &sup, .restart = LP2P_PERMANENT};
    const struct lp2p_rt_config config = {.root = &root, .simulated = true, .seed = seed};
    struct lp2p_rt *rt = NULL;
    memset(&seen, 0, sizeof(seen));
    assert_int_equal(lp2p_rt_start(&config, &rt, NULL), LP2P_OK);
    lp2p_sim_run(rt, lp2p_sim_now(rt) + LP2P_SEC(2));
    assert_int_equal(lp2p_rt_stop(&rt), 0);
}

static void test_unread_outbox(void **state)
{
    (void)state;
    static const unsigned ask = ASK;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        run_boxes(&ask, NULL, seed);
        /* One is refused to who calls, one is answered besides; whatever was taken is answered. */
        assert_int_equal(seen.kept, PLACES + KEPT);
        assert_int_equal(seen.refused, 2);
        assert_int_equal(seen.limited, 1);
        assert_int_equal(seen.failed, PLACES + KEPT);
    }
}

static void test_unread_outbox_end(void **state)
{
    (void)state;
    static const unsigned pass = PASS;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        run_boxes(NULL, &pass, seed);
        assert_int_equal(seen.kept, PLACES + KEPT);
        assert_int_equal(seen.opens_failed, KEPT); /* the others were read */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unread_stream_open),   cmocka_unit_test(test_unread_peer_stream_open),
        cmocka_unit_test(test_unread_stream_opened), cmocka_unit_test(test_unread_dial),
        cmocka_unit_test(test_unread_replies),       cmocka_unit_test(test_unread_again),
        cmocka_unit_test(test_unread_outbox),        cmocka_unit_test(test_unread_outbox_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
