/* SPDX-License-Identifier: MIT
 * The small parts of the link: sockets of this machine, shared values, messages that are dropped, and the
 * outbox. */
#include "link_world.h"

#include "actors/link/leftover.h"
#include "simnet.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static const struct lp2p_net *const net = &lp2p_net_posix;

static struct lp2p_ip_port loopback(int ip_len, uint16_t port)
{
    struct lp2p_ip_port out = {.ip_len = (uint8_t)ip_len, .port = port};
    if (ip_len == 4) {
        out.ip[0] = 127;
        out.ip[3] = 1;
    } else {
        out.ip[15] = 1;
    }
    return out;
}

static void wait_fd(int fd, short events)
{
    struct pollfd waiting = {.fd = fd, .events = events};
    assert_int_equal(poll(&waiting, 1, 30000), 1);
}

static void connect_pair(int ip_len, int *listener, int ends[2], struct lp2p_ip_port *bound)
{
    struct lp2p_ip_port addr = loopback(ip_len, 0), remote, local, dialed;
    assert_int_equal(net->listen(NULL, &addr, 8, listener, bound), LP2P_OK);
    assert_int_not_equal(bound->port, 0);
    assert_int_equal(net->accept(NULL, *listener, &ends[1], &remote, &local), LP2P_EAGAIN);
    assert_int_equal(net->connect(NULL, bound, NULL, &ends[0]), LP2P_OK);
    wait_fd(ends[0], POLLOUT);
    assert_int_equal(net->connect_result(NULL, ends[0], &dialed), LP2P_OK);
    wait_fd(*listener, POLLIN);
    assert_int_equal(net->accept(NULL, *listener, &ends[1], &remote, &local), LP2P_OK);
    assert_memory_equal(&remote, &dialed, sizeof(remote));
    assert_memory_equal(&local, bound, sizeof(local));
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void test_net_posix_connects_and_moves_bytes(void **state)
{
    (void)state;
    const int families[] = {4, 16};
    for (size_t f = 0; f < 2; f++) {
        int listener, ends[2];
        struct lp2p_ip_port bound;
        connect_pair(families[f], &listener, ends, &bound);
        for (int i = 0; i < 2; i++) {
            assert_true((fcntl(ends[i], F_GETFL) & O_NONBLOCK) != 0);
            assert_true((fcntl(ends[i], F_GETFD) & FD_CLOEXEC) != 0);
            assert_int_equal(option(ends[i], IPPROTO_TCP, TCP_NODELAY), 1);
            assert_int_equal(option(ends[i], IPPROTO_TCP, TCP_USER_TIMEOUT), 30000);
        }
        char bytes[8] = "";
        size_t n = 1;
        assert_int_equal(net->read(NULL, ends[1], bytes, sizeof(bytes), &n), LP2P_EAGAIN);
        struct iovec iov[2] = {{(void *)(uintptr_t)"ab", 2}, {(void *)(uintptr_t)"cde", 3}};
        assert_int_equal(net->writev(NULL, ends[0], iov, 2, &n), LP2P_OK);
        assert_int_equal(n, 5);
        wait_fd(ends[1], POLLIN);
        assert_int_equal(net->read(NULL, ends[1], bytes, sizeof(bytes), &n), LP2P_OK);
        assert_int_equal(n, 5);
        assert_memory_equal(bytes, "abcde", 5);
        net->close(NULL, ends[0]);
        wait_fd(ends[1], POLLIN);
        assert_int_equal(net->read(NULL, ends[1], bytes, sizeof(bytes), &n), LP2P_OK);
        assert_int_equal(n, 0);
        /* Writing to who has gone is an error, never a signal. */
        enum lp2p_err err = LP2P_OK;
        for (int i = 0; i < 1000 && (err == LP2P_OK || err == LP2P_EAGAIN); i++) {
            err = net->writev(NULL, ends[1], iov, 2, &n);
        }
        assert_int_equal(err, LP2P_ECONNRESET);
        net->close(NULL, ends[1]);
        net->close(NULL, listener);
    }
}

static void test_net_posix_names_its_errors(void **state)
{
    (void)state;
    int listener, other, fd;
    struct lp2p_ip_port any = loopback(4, 0), bound, again, local;
    assert_int_equal(net->listen(NULL, &any, 8, &listener, &bound), LP2P_OK);
    assert_int_equal(net->listen(NULL, &bound, 8, &other, &again), LP2P_EADDRINUSE);
    struct lp2p_ip_port foreign = {.ip = {192, 0, 2, 1}, .ip_len = 4};
    assert_int_equal(net->listen(NULL, &foreign, 8, &other, &again), LP2P_EADDRNOTAVAIL);
    net->close(NULL, listener);
    enum lp2p_err err = net->connect(NULL, &bound, NULL, &fd);
    if (err == LP2P_OK) {
        wait_fd(fd, POLLOUT);
        err = net->connect_result(NULL, fd, &local);
        net->close(NULL, fd);
    }
    assert_int_equal(err, LP2P_ECONNREFUSED);
    struct lp2p_ip_port none = {0};
    assert_int_equal(net->connect(NULL, &none, NULL, &fd), LP2P_EUNSUPPORTED);
    struct lp2p_ip_port found[32];
    size_t len = net->interfaces(NULL, found, LP2P_ARRAY_LEN(found));
    bool has_loopback = false;
    for (size_t i = 0; i < len; i++) {
        has_loopback |= found[i].ip_len == 4 && found[i].ip[0] == 127;
    }
    assert_true(has_loopback);
}

static void test_shared_values(void **state)
{
    (void)state;
    const struct lp2p_span texts[] = {lp2p_span_str("/a"), lp2p_span("b\0c", 3), lp2p_span_str(""),
                                      lp2p_span_str("/ping")};
    struct lp2p_strings *strings = lp2p_strings_new(texts, LP2P_ARRAY_LEN(texts));
    assert_int_equal(strings->len, 3);
    assert_string_equal(strings->items[0], "/a");
    assert_string_equal(strings->items[1], "");
    assert_string_equal(strings->items[2], "/ping");
    struct lp2p_peer_info *info = lp2p_peer_info_new();
    assert_false(lp2p_peer_info_speaks(info, "/ping"));
    info->protocols = lp2p_strings_ref(strings);
    assert_true(lp2p_peer_info_speaks(info, "/ping"));
    assert_false(lp2p_peer_info_speaks(info, "/pin"));
    lp2p_strings_drop(&strings);
    assert_null(strings);
    struct lp2p_peer_info *second = lp2p_peer_info_ref(info);
    lp2p_peer_info_drop(&info);
    assert_string_equal(second->protocols->items[2], "/ping");
    lp2p_peer_info_drop(&second);
    lp2p_peer_info_drop(&second);

    struct lp2p_protocols *protocols = lp2p_protocols_new(2);
    strcpy(protocols->items[0].id, "/one");
    strcpy(protocols->items[1].id, "/two");
    assert_int_equal(lp2p_protocols_find(protocols, lp2p_span_str("/two")), 1);
    assert_int_equal(lp2p_protocols_find(protocols, lp2p_span_str("/tw")), -1);
    assert_int_equal(lp2p_protocols_find(protocols, lp2p_span_str("")), -1);
    assert_int_equal(lp2p_protocols_find(protocols, lp2p_span("/one\0", 5)), -1);
    assert_int_equal(lp2p_protocols_find(NULL, lp2p_span_str("/one")), -1);
    lp2p_protocols_drop(&protocols);
    assert_null(lp2p_addrs_new(NULL, SIZE_MAX / 2));
}

/** A dropped message gives back what it holds, and nobody waits for its operation for ever. */
static void test_messages_dropped(void **state)
{
    (void)state;
    struct lp2p_buf *buf = lp2p_buf_new(100);
    struct lp2p_m_stream_data *data = LP2P_NEW(STREAM_DATA, stream_data);
    for (; data->slices_len < LP2P_SLICES_MAX; data->slices_len++) {
        data->slices[data->slices_len] = lp2p_slice_of(buf, buf->bytes, 10);
    }
    struct lp2p_msg *msg = &data->msg;
    assert_false(lp2p_buf_alone(buf));
    lp2p_msg_drop(&msg);
    assert_true(lp2p_buf_alone(buf));
    struct lp2p_m_conn_write *write = LP2P_NEW(CONN_WRITE, conn_write);
    write->buf = lp2p_buf_ref(buf);
    msg = &write->msg;
    lp2p_msg_drop(&msg);
    assert_true(lp2p_buf_alone(buf));
    lp2p_buf_drop(&buf);

    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    assert_int_equal(lp2p_config_dht(config, "off", NULL), LP2P_OK);
    assert_int_equal(lp2p_node_new(config, &node, NULL), LP2P_OK);
    assert_int_equal(lp2p_node_start(node, NULL), LP2P_OK);
    struct lp2p_op *op = lp2p_op_new(node), *failed = lp2p_op_new(node);
    struct lp2p_m_connect *connect_msg = LP2P_NEW(CONNECT, connect);
    connect_msg->op = lp2p_op_ref(op);
    msg = &connect_msg->msg;
    lp2p_msg_drop(&msg);
    assert_int_equal(lp2p_op_result(op), LP2P_ECLOSED);
    struct lp2p_m_stream_open_failed *no = LP2P_NEW(STREAM_OPEN_FAILED, stream_open_failed);
    no->op = lp2p_op_ref(failed);
    no->reason = LP2P_ENEGOTIATION;
    msg = &no->msg;
    lp2p_msg_drop(&msg);
    assert_int_equal(lp2p_op_result(failed), LP2P_ENEGOTIATION);
    lp2p_op_free(op);
    lp2p_op_free(failed);
    lp2p_node_free(node);
    lp2p_config_free(config);

    int listener;
    struct lp2p_ip_port any = loopback(4, 0), bound;
    assert_int_equal(net->listen(NULL, &any, 8, &listener, &bound), LP2P_OK);
    struct lp2p_m_upgraded *upgraded = LP2P_NEW(UPGRADED, upgraded);
    upgraded->carrier = lp2p_carrier_tcp(net, listener);
    msg = &upgraded->msg;
    lp2p_msg_drop(&msg);
    assert_int_equal(fcntl(listener, F_GETFD), -1);
}

static void test_leftover_round_trip(void **state)
{
    (void)state;
    struct lp2p_slice slice;
    struct lp2p_span plain, frames;
    assert_int_equal(lp2p_leftover_pack(lp2p_span(NULL, 0), lp2p_span(NULL, 0), &slice), LP2P_OK);
    assert_null(slice.buf);
    lp2p_leftover_unpack(&slice, &plain, &frames);
    assert_int_equal(plain.len + frames.len, 0);
    for (int i = 1; i < 4; i++) {
        struct lp2p_span a = lp2p_span("abc", i & 1 ? 3 : 0), b = lp2p_span("defgh", i & 2 ? 5 : 0);
        assert_int_equal(lp2p_leftover_pack(a, b, &slice), LP2P_OK);
        lp2p_leftover_unpack(&slice, &plain, &frames);
        assert_true(lp2p_span_eq(plain, a));
        assert_true(lp2p_span_eq(frames, b));
        lp2p_slice_drop(&slice);
    }
}

/* ---- the outbox: a sender of a thousand messages in two lanes, a receiver with room for four */

#define SENT 1000u
static const struct lp2p_msg_class SLOW = {"SLOW", sizeof(struct lp2p_msg), LP2P_LANE_NORMAL, NULL, NULL};
static const struct lp2p_msg_class QUICK = {"QUICK", sizeof(struct lp2p_msg), LP2P_LANE_URGENT, NULL, NULL};
static struct {
    uint64_t slow, quick, wrong;
} got;
static struct {
    unsigned kept, refused, gone;
    size_t len;
} outcome;

static enum lp2p_verdict receive(struct lp2p_actor *self, void *state, struct lp2p_msg **msg)
{
    (void)self;
    (void)state;
    uint64_t *count = (*msg)->cls == &SLOW ? &got.slow : &got.quick;
    got.wrong += (*msg)->tag != (*count)++;
    return LP2P_CONTINUE;
}

static const struct lp2p_actor_ops receiver_ops = {
    .name = "receiver", .state_size = 1, .on_msg = receive, .init = NULL};

struct sender {
    struct lp2p_outbox outbox;
};

static enum lp2p_err begin(struct lp2p_actor *self, void *state, const void *arg)
{
    struct sender *sender = state;
    lp2p_outbox_init(&sender->outbox, 3, *(const size_t *)arg);
    struct lp2p_ref to = lp2p_whereis(lp2p_actor_rt(self), "receiver");
    for (uint64_t i = 0; i < 2 * SENT; i++) {
        struct lp2p_msg *msg = lp2p_msg_new(i % 2 == 0 ? &SLOW : &QUICK);
        msg->tag = i / 2;
        enum lp2p_err err = lp2p_outbox_send(self, &sender->outbox, to, &msg);
        LP2P_CHECK(msg == NULL);
        outcome.kept += err == LP2P_OK;
        outcome.refused += err == LP2P_ELIMIT;
    }
    struct lp2p_msg *msg = lp2p_msg_new(&SLOW);
    outcome.gone += lp2p_outbox_send(self, &sender->outbox, LP2P_REF_NONE, &msg) == LP2P_EGONE;
    return LP2P_OK;
}

static enum lp2p_verdict again(struct lp2p_actor *self, void *state, unsigned timer)
{
    struct sender *sender = state;
    assert_int_equal(timer, 3);
    lp2p_outbox_retry(self, &sender->outbox);
    outcome.len = sender->outbox.len;
    return LP2P_CONTINUE;
}

static void end(struct lp2p_actor *self, void *state, enum lp2p_verdict why)
{
    (void)self;
    (void)why;
    lp2p_outbox_fini(&((struct sender *)state)->outbox);
}

static enum lp2p_err no_init(struct lp2p_actor *self, void *state, const void *arg)
{
    (void)self;
    (void)state;
    (void)arg;
    return LP2P_OK;
}

static void run_outbox(size_t max)
{
    memset(&got, 0, sizeof(got));
    memset(&outcome, 0, sizeof(outcome));
    struct lp2p_actor_ops receiver = receiver_ops;
    receiver.init = no_init;
    const struct lp2p_actor_ops sender = {
        .name = "sender", .state_size = sizeof(struct sender), .init = begin, .on_timer = again, .fini = end};
    const struct lp2p_child_spec children[] = {
        {.id = "receiver", .ops = &receiver, .restart = LP2P_PERMANENT, .mailbox_max = 4},
        {.id = "sender", .ops = &sender, .arg = &max, .restart = LP2P_PERMANENT},
    };
    const struct lp2p_sup_spec sup = {.children = children, .children_len = 2, .period_ms = 1};
    const struct lp2p_child_spec root = {.id = "root", .ops = &lp2p_supervisor_ops, .arg = &sup};
    struct simnet *sim = simnet_new(1, 1, 0);
    struct lp2p_rt_config config = {
        .root = &root, .simulated = true, .seed = 3, .sim_io = simhost_io(simnet_host(sim, 1))};
    struct lp2p_rt *rt = NULL;
    assert_int_equal(lp2p_rt_start(&config, &rt, NULL), LP2P_OK);
    lp2p_sim_run(rt, LP2P_SEC(60));
    assert_int_equal(lp2p_rt_stop(&rt), 0);
    simnet_free(sim);
}

static void test_outbox_keeps_order_in_each_lane(void **state)
{
    (void)state;
    run_outbox(2 * SENT);
    assert_int_equal(outcome.kept, 2 * SENT);
    assert_int_equal(got.slow, SENT);
    assert_int_equal(got.quick, SENT);
    assert_int_equal(got.wrong, 0);
    assert_int_equal(outcome.len, 0);
    assert_int_equal(outcome.gone, 1);
}

static void test_outbox_is_bounded(void **state)
{
    (void)state;
    run_outbox(100);
    assert_int_equal(outcome.kept, 100 + 8); /* and what the mailbox took */
    assert_int_equal(outcome.refused, 2 * SENT - 108);
    assert_int_equal(got.slow + got.quick, 108);
    assert_int_equal(got.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_net_posix_connects_and_moves_bytes),
        cmocka_unit_test(test_net_posix_names_its_errors),
        cmocka_unit_test(test_shared_values),
        cmocka_unit_test(test_messages_dropped),
        cmocka_unit_test(test_leftover_round_trip),
        cmocka_unit_test(test_outbox_keeps_order_in_each_lane),
        cmocka_unit_test(test_outbox_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
