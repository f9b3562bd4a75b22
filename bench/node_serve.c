/* SPDX-License-Identifier: MIT */
#include "node.h"

/* The routing table can be filled from the inside only. */
#include "actors/api/node.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum lp2p_err node_wait(struct lp2p_op *op, struct lp2p_op **keep)
{
    enum lp2p_err err = lp2p_op_wait(op, 30000);
    if (err == LP2P_OK) {
        err = lp2p_op_result(op);
    }
    if (keep != NULL) {
        *keep = op;
    } else {
        lp2p_op_free(op);
    }
    return err;
}

struct lp2p_stream *node_open(struct lp2p_node *node, const char *peer, const char *protocol, enum lp2p_err *err)
{
    struct lp2p_op *op = NULL, *done = NULL;
    struct lp2p_stream *stream = NULL;
    *err = lp2p_stream_open(node, peer, &protocol, 1, &op);
    if (*err == LP2P_OK) {
        *err = node_wait(op, &done);
        stream = *err == LP2P_OK ? lp2p_op_stream(done) : NULL;
        lp2p_op_free(done);
    }
    return stream;
}

enum lp2p_err node_write_all(struct lp2p_stream *stream, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        size_t put = 0;
        enum lp2p_err err = lp2p_stream_write(stream, at, len, 30000, &put);
        if (err != LP2P_OK) {
            return err;
        }
        at += put;
        len -= put;
    }
    return LP2P_OK;
}

enum lp2p_err node_read_all(struct lp2p_stream *stream, void *out, size_t len)
{
    uint8_t *at = out;
    while (len > 0) {
        size_t got = 0;
        enum lp2p_err err = lp2p_stream_read(stream, at, len, 30000, &got);
        if (err != LP2P_OK || got == 0) {
            return err != LP2P_OK ? err : LP2P_ECLOSED;
        }
        at += got;
        len -= got;
    }
    return LP2P_OK;
}

/** 4 bytes: the size of a message; then messages, each of which is answered by a write of its own. */
static void *serve_stream(void *arg)
{
    struct lp2p_stream *stream = arg;
    uint8_t head[4], *buf = NULL;
    size_t have = 0, got = 1;
    enum lp2p_err err = node_read_all(stream, head, sizeof(head));
    size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    size_t cap = size + NODE_BLOCK_BYTES;
    if (err == LP2P_OK && size > 0 && size <= 4u << 20) {
        buf = malloc(cap);
    }
    while (buf != NULL && err == LP2P_OK && got > 0) {
        err = lp2p_stream_read(stream, buf + have, cap - have, -1, &got);
        have += err == LP2P_OK ? got : 0;
        size_t at = 0;
        for (; err == LP2P_OK && have - at >= size; at += size) {
            err = node_write_all(stream, buf + at, size);
        }
        memmove(buf, buf + at, have - at);
        have -= at;
    }
    if (err != LP2P_OK || buf == NULL) {
        lp2p_stream_reset(stream);
    } else {
        (void)lp2p_stream_close_write(stream);
    }
    free(buf);
    lp2p_stream_free(stream);
    return NULL;
}

static void on_stream(void *user, struct lp2p_node *node, struct lp2p_stream *stream)
{
    pthread_t thread;
    (void)user;
    (void)node;
    if (pthread_create(&thread, NULL, serve_stream, stream) == 0) {
        (void)pthread_detach(thread);
    } else {
        lp2p_stream_free(stream);
    }
}

enum lp2p_err node_serve_messages(struct lp2p_node *node)
{
    struct lp2p_handler handler = {
        .size = sizeof(handler), .name = "bench", .stream_protocol = "/bench/msg/1.0.0", .handle_stream = on_stream};
    return lp2p_node_register(node, &handler);
}

static enum lp2p_err tell_router(struct lp2p_node *node, const struct lp2p_msg_class *cls, struct lp2p_peer_info *info)
{
    struct lp2p_msg *msg = lp2p_msg_new(cls);
    if (msg == NULL) {
        return LP2P_ENOMEM;
    }
    ((struct lp2p_m_peer *)(void *)msg)->info = lp2p_peer_info_ref(info);
    return lp2p_gate_post(node->gate, LP2P_TO_ROUTER, msg);
}

/** A port at which connections are never answered: its queue is full. A peer that refuses would be thrown out of the table
 *  as soon as the node looks for itself. 0: none could be made. */
static uint16_t black_hole(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, len) != 0 || listen(listener, 0) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) != 0) {
        return 0;
    }
    for (int i = 0; i < 4; i++) { /* kept open as long as the program lives */
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fd, (struct sockaddr *)&at, len);
    }
    return ntohs(at.sin_port);
}

enum lp2p_err node_fill_table(struct lp2p_node *node, unsigned count)
{
    uint16_t port = black_hole();
    const char *kad = "/lotus/kad/1.0.0";
    struct lp2p_span protocols[] = {lp2p_span_str(kad)};
    enum lp2p_err err = port != 0 ? LP2P_OK : LP2P_EIO;
    for (unsigned i = 0; i < count && err == LP2P_OK; i++) {
        uint8_t key[68];
        char text[LP2P_PEER_TEXT_MAX];
        struct lp2p_peer_info *info = lp2p_peer_info_new();
        struct lp2p_multiaddr addr;
        lp2p_multiaddr_from_ip_tcp((const uint8_t[]){127, 0, 0, 1}, 4, port, &addr);
        err = info == NULL ? LP2P_ENOMEM : lp2p_key_generate(key);
        err = err == LP2P_OK ? lp2p_key_peer_id(key, sizeof(key), text) : err;
        err = err == LP2P_OK ? lp2p_peer_id_from_text(lp2p_span_str(text), &info->id) : err;
        if (err == LP2P_OK) {
            info->connected = true;
            info->addrs = lp2p_addrs_new(&addr, 1);
            info->protocols = lp2p_strings_new(protocols, 1);
            err = tell_router(node, &LP2P_M_PEER_CONNECTED, info);
        }
        while (err == LP2P_OK && (err = tell_router(node, &LP2P_M_PEER_DISCONNECTED, info)) == LP2P_EFULL) {
            err = LP2P_OK;
        }
        lp2p_peer_info_drop(&info);
        struct timespec pause = {.tv_nsec = 50000}; /* the router's mailbox is bounded */
        (void)nanosleep(&pause, NULL);
    }
    return err;
}
