/* SPDX-License-Identifier: MIT
 * Carriers (WebSocket, outer TLS, private network, stacked) at both ends of a line that takes and gives bytes as the input says. The
 * first byte chooses the stack and whether the remote end is honest. An honest one: all that was written arrives, in order, and nothing
 * else. One that speaks only the lowest layer and says anything above it: every call ends, and who goes on as long as a carrier says
 * that it holds something comes to an end. */
#include "actors/link/carrier_pnet.h"
#include "actors/link/carrier_tls.h"
#include "actors/link/carrier_ws.h"
#include "base/check.h"
#include "websocket/upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TLS = 1, WS = 2, PNET = 4, SERVER_IS_REMOTE = 8, HOSTILE = 16, WITH_UPGRADE = 32 };

#define NOW ((int64_t)1795000000)
#define WIRE_MAX (1u << 18)
#define IDLE_MAX 4096 /* reads in a row that bring nothing; a carrier reads at most 32 empty frames at once */

/** What one end has sent. */
struct wire {
    uint8_t bytes[WIRE_MAX];
    size_t len, arrived; /* of them the other end can read so many */
    size_t room;         /* so many more are taken */
    bool ended;
};

struct end {
    struct lp2p_carrier *carrier; /* NULL: closed */
    bool ready, over;
    uint32_t written, got; /* bytes of this end's stream: sent by it; read by the other one */
};

static struct wire wires[2];
static struct end ends[2];
static bool hostile, damaged, closed;
static uint64_t moved; /* bytes onto the line and off it */
static struct lp2p_span in;
static struct lp2p_rand_seeded gen;
static struct lp2p_rand source;
static struct lp2p_tls_web *server, *client;

/* ---- the line */

static enum lp2p_err line_read(void *ctx, int fd, void *out, size_t len, size_t *got)
{
    struct wire *wire = &wires[1 - fd];
    (void)ctx;
    *got = LP2P_MIN(len, wire->arrived);
    if (*got == 0) {
        return wire->ended && wire->len == 0 ? LP2P_OK : LP2P_EAGAIN;
    }
    memcpy(out, wire->bytes, *got);
    memmove(wire->bytes, wire->bytes + *got, wire->len - *got);
    wire->len -= *got;
    wire->arrived -= *got;
    moved += *got;
    return LP2P_OK;
}

static enum lp2p_err line_writev(void *ctx, int fd, const struct iovec *iov, int iov_len, size_t *put)
{
    struct wire *wire = &wires[fd];
    (void)ctx;
    *put = 0;
    for (int i = 0; i < iov_len; i++) {
        size_t part = LP2P_MIN(iov[i].iov_len, LP2P_MIN(wire->room, WIRE_MAX - wire->len));
        if (part > 0) {
            memcpy(wire->bytes + wire->len, iov[i].iov_base, part);
        }
        wire->len += part;
        wire->room -= part;
        *put += part;
        moved += part;
        if (part < iov[i].iov_len) {
            return *put > 0 ? LP2P_OK : LP2P_EAGAIN;
        }
    }
    return LP2P_OK;
}

static void line_close(void *ctx, int fd)
{
    (void)ctx;
    wires[fd].ended = true;
}

static const struct lp2p_net net = {.read = line_read, .writev = line_writev, .close = line_close};

/* ---- the ends */

static struct lp2p_carrier *make(unsigned how, int end)
{
    struct lp2p_carrier *carrier = lp2p_carrier_tcp(&net, end), *next = NULL;
    bool is_client = end == 0;
    if ((how & TLS) != 0) {
        struct lp2p_tls_session *session =
            lp2p_tls_session_new(is_client ? client : server, is_client ? "localhost" : NULL, &source, NOW);
        next = lp2p_carrier_tls(&carrier, &session);
        LP2P_CHECK(next != NULL);
        carrier = next;
    }
    if ((how & WS) != 0) {
        const struct lp2p_ws_start start = {.client = is_client, .rand = &source, .host = "host:1"};
        next = lp2p_carrier_ws(&carrier, &start);
        LP2P_CHECK(next != NULL);
        carrier = next;
    }
    if ((how & PNET) != 0) {
        const struct lp2p_pnet_key key = {.bytes = {7}};
        next = lp2p_carrier_pnet(&carrier, &key, &source);
        LP2P_CHECK(next != NULL);
        carrier = next;
    }
    return carrier;
}

static void fail(struct end *end, enum lp2p_err err)
{
    end->over = true;
    LP2P_CHECK(hostile || damaged || closed || err == LP2P_OK);
}

static void set_up(struct end *end)
{
    if (end->carrier != NULL && !end->ready && !end->over) {
        enum lp2p_err err = end->carrier->ops->set_up(end->carrier, 0);
        end->ready = err == LP2P_OK;
        if (err != LP2P_OK && err != LP2P_EAGAIN) {
            fail(end, err);
        }
        LP2P_CHECK(end->carrier->memory_bytes < WIRE_MAX);
    }
}

static uint8_t plain_byte(uint32_t number)
{
    return (uint8_t)(number * 7 + (number >> 8));
}

/** Writes up to len bytes: of the stream, or, if this is the hostile end, of the input. */
static void write_some(struct end *end, size_t len, bool raw)
{
    uint8_t plain[8192];
    size_t put = 0;
    if (end->carrier == NULL || !end->ready || end->over) {
        return;
    }
    len = LP2P_MIN(len, raw ? in.len : sizeof(plain));
    for (size_t i = 0; i < len && !raw; i++) {
        plain[i] = plain_byte(end->written + (uint32_t)i);
    }
    uint8_t *from = raw ? (uint8_t *)(uintptr_t)in.ptr : plain;
    const struct iovec iov[2] = {{from, len / 3}, {from + len / 3, len - len / 3}};
    enum lp2p_err err = end->carrier->ops->writev(end->carrier, iov, 2, &put);
    LP2P_CHECK(put <= len);
    end->written += (uint32_t)put;
    if (raw) {
        in = lp2p_span_skip(in, len);
    }
    if (err != LP2P_OK && err != LP2P_EAGAIN) {
        fail(end, err);
    }
    LP2P_CHECK(end->carrier->memory_bytes < 4 * (size_t)WIRE_MAX);
}

/** Reads once; false: there was nothing. */
static bool read_some(int which, size_t cap)
{
    struct end *end = &ends[which], *other = &ends[1 - which];
    static uint8_t plain[8192];
    size_t got = 0;
    if (end->carrier == NULL || !end->ready || end->over || cap == 0) {
        return false;
    }
    cap = LP2P_MIN(cap, sizeof(plain));
    enum lp2p_err err = end->carrier->ops->read(end->carrier, plain, cap, &got);
    LP2P_CHECK(got <= cap && (err == LP2P_OK || got == 0));
    for (size_t i = 0; i < got && !hostile && !damaged; i++) {
        LP2P_CHECK(other->got < other->written && plain[i] == plain_byte(other->got));
        other->got++;
    }
    if (err != LP2P_EAGAIN && got == 0) {
        fail(end, closed && err == LP2P_OK ? LP2P_OK : LP2P_EEOF);
    }
    return got > 0;
}

static void flush(struct end *end)
{
    size_t put = 0;
    if (end->carrier != NULL && end->ready && !end->over && lp2p_carrier_wants_write(end->carrier)) {
        enum lp2p_err err = end->carrier->ops->writev(end->carrier, NULL, 0, &put);
        if (err != LP2P_OK && err != LP2P_EAGAIN) {
            fail(end, err);
        }
    }
}

static void step(uint8_t what, uint8_t number, bool remote)
{
    struct end *end = &ends[what & 1];
    struct wire *wire = &wires[what & 1];
    switch (what >> 1 & 7) {
    case 0:
        set_up(end);
        flush(end);
        break;
    case 1:
        write_some(end, hostile && (what & 1) == remote ? number : number * (size_t)37, hostile && (what & 1) == remote);
        break;
    case 2:
        (void)read_some(what & 1, number * (size_t)19);
        break;
    case 3:
        wire->room += number * (size_t)97;
        break;
    case 4:
        wire->arrived = LP2P_MIN(wire->len, wire->arrived + (number == 255 ? WIRE_MAX : number));
        break;
    case 5:
        closed = true;
        lp2p_carrier_close(&end->carrier);
        break;
    case 6:
        if (wire->len > wire->arrived) {
            damaged = true;
            wire->bytes[wire->arrived + number % (wire->len - wire->arrived)] ^= (uint8_t)(1u << (what >> 5));
        }
        break;
    default: /* all goes well for a while */
        for (int i = 0; i < 4; i++) {
            wires[i & 1].room = WIRE_MAX;
            set_up(&ends[i & 1]);
            flush(&ends[i & 1]);
            wires[i & 1].arrived = wires[i & 1].len;
        }
        break;
    }
}

/** As the actors do it: as long as something moves, or a carrier says that it has something. */
static void wind_down(void)
{
    unsigned idle = 0;
    wires[0].arrived = wires[0].len; /* from here on bytes arrive with the step that sends them */
    wires[1].arrived = wires[1].len;
    for (bool busy = true; busy;) {
        uint64_t before = moved;
        bool read = false, holds = false;
        for (int i = 0; i < 2; i++) {
            if (ends[1 - i].carrier == NULL || ends[1 - i].over) {
                wires[i].len = wires[i].arrived = 0; /* nobody takes it off the line, and it need not fit */
            }
            wires[i].room = WIRE_MAX;
            set_up(&ends[i]);
            flush(&ends[i]);
            wires[i].arrived = wires[i].len;
        }
        for (int i = 0; i < 2; i++) {
            read = read_some(i, 8192) || read;
            holds = holds || (ends[i].carrier != NULL && ends[i].ready && !ends[i].over &&
                              (lp2p_carrier_holds_input(ends[i].carrier) || lp2p_carrier_wants_write(ends[i].carrier)));
        }
        busy = read || holds || before != moved;
        idle = read ? 0 : idle + 1;
        LP2P_CHECK(idle < IDLE_MAX);
    }
    for (int i = 0; i < 2; i++) {
        LP2P_CHECK(hostile || damaged || closed || (ends[i].ready && !ends[i].over && ends[i].got == ends[i].written));
    }
}

static void prepare(void)
{
    static const char *const names[] = {"localhost"};
    lp2p_rand_seeded_init(&gen, 1);
    source = lp2p_rand_seeded_source(&gen);
    LP2P_CHECK(lp2p_tls_web_self_made(NULL, names, 1, &source, NOW, &server) == LP2P_OK);
    LP2P_CHECK(lp2p_tls_web_client_unverified(NULL, &source, &client) == LP2P_OK);
}

/** Writes a text as the remote end, without any layer above its own. */
static void say(int remote, const char *text)
{
    struct lp2p_span rest = in;
    in = lp2p_span_str(text);
    write_some(&ends[remote], in.len, true);
    in = rest;
}

/** The remote end begins with a right HTTP upgrade, so that the frames behind it are reached. */
static void say_upgrade(int remote)
{
    static char request[2048];
    char answer[256], accept[29];
    size_t got = 0;
    for (int i = 0; i < 8; i++) {
        step(14, 0, remote);
    }
    if (!ends[remote].ready) {
        return;
    }
    if (remote == 0) {
        say(remote, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
        return;
    }
    enum lp2p_err err = ends[remote].carrier->ops->read(ends[remote].carrier, request, sizeof(request) - 1, &got);
    request[got] = '\0';
    const char *key = strstr(request, "Key: ");
    LP2P_CHECK(err == LP2P_OK && key != NULL && strlen(key) > 29);
    lp2p_ws_accept_value(lp2p_span((const uint8_t *)key + 5, 24), accept);
    (void)snprintf(answer, sizeof(answer), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                           "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    say(remote, answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 20000) {
        return 0;
    }
    if (server == NULL) {
        prepare();
    }
    unsigned how = data[0];
    int remote = (how & SERVER_IS_REMOTE) != 0;
    memset(ends, 0, sizeof(ends));
    for (int i = 0; i < 2; i++) {
        wires[i].len = wires[i].arrived = wires[i].room = 0;
        wires[i].ended = false;
    }
    lp2p_rand_seeded_init(&gen, 2);
    hostile = (how & HOSTILE) != 0;
    damaged = closed = false;
    ends[remote].carrier = make(hostile ? how & TLS : how, remote);
    ends[1 - remote].carrier = make(how, 1 - remote);
    in = lp2p_span(data + 1, size - 1);
    if (hostile && (how & WITH_UPGRADE) != 0 && (how & WS) != 0) {
        say_upgrade(remote);
    }
    for (int steps = 0; steps < 1000 && in.len >= 2; steps++) {
        uint8_t what = in.ptr[0], number = in.ptr[1];
        in = lp2p_span_skip(in, 2);
        step(what, number, remote);
    }
    wind_down();
    lp2p_carrier_close(&ends[0].carrier);
    lp2p_carrier_close(&ends[1].carrier);
    return 0;
}
