/* SPDX-License-Identifier: MIT
 * The HTTP upgrade: both roles against hostile bytes; the outcome does not depend on how they are cut, and never takes more
 * than the limit. In answers to a client the byte 0xaa stands for the right accept value. */
#include "base/check.h"
#include "websocket/first_bytes.h"
#include "websocket/proxy.h"
#include "websocket/upgrade.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    unsigned judged;
    bool misled;
    enum lp2p_err err;
    struct lp2p_ws_upgrade_event event;
    size_t used, said_len;
    uint8_t said[4096];
};

static bool trust_odd(void *ctx, const struct lp2p_ip_port *hop)
{
    (void)ctx;
    return (hop->ip[hop->ip_len - 1] & 1) != 0;
}

/* As a node judges that has proxies which it trusts. */
static enum lp2p_err judge(void *ctx, const char *forwarded)
{
    struct outcome *out = ctx;
    struct lp2p_ip_port client;
    enum lp2p_err err = lp2p_forwarded_client(lp2p_span_str(forwarded), trust_odd, NULL, &client);
    LP2P_CHECK(forwarded[0] != '?' || err != LP2P_ENOTFOUND); /* what was cut is not taken for nothing */
    out->judged++;
    out->misled = err == LP2P_EMALFORMED;
    return out->misled ? err : LP2P_OK;
}

static struct lp2p_ws_upgrade *begin(bool client)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_ws_upgrade *upgrade =
        client ? lp2p_ws_upgrade_client("host:1", "/", &rand, NULL) : lp2p_ws_upgrade_server(NULL);
    LP2P_CHECK(upgrade != NULL);
    return upgrade;
}

static void run(bool client, struct lp2p_span in, size_t piece, struct outcome *out)
{
    struct lp2p_ws_upgrade *upgrade = begin(client);
    *out = (struct outcome){.err = LP2P_OK};
    lp2p_ws_upgrade_judge(upgrade, judge, out);
    if (client) {
        (void)lp2p_ws_upgrade_drain(upgrade, out->said, sizeof(out->said), 0);
    }
    while (out->used < in.len && out->err == LP2P_OK && out->event.kind == LP2P_WS_UPGRADE_NONE) {
        size_t part = LP2P_MIN(piece, in.len - out->used), used = 0;
        uint8_t *bytes = malloc(part);
        memcpy(bytes, in.ptr + out->used, part);
        out->err = lp2p_ws_upgrade_feed(upgrade, lp2p_span(bytes, part), 0, &used);
        free(bytes);
        LP2P_CHECK(used <= part);
        out->used += used;
        lp2p_ws_upgrade_next(upgrade, &out->event);
        LP2P_CHECK(used == part || out->event.kind != LP2P_WS_UPGRADE_NONE);
        LP2P_CHECK((out->event.kind == LP2P_WS_UPGRADE_FAILED) == (out->err != LP2P_OK));
    }
    LP2P_CHECK(out->used <= LP2P_WS_UPGRADE_BYTES_MAX);
    out->said_len = lp2p_ws_upgrade_drain(upgrade, out->said, sizeof(out->said), 0);
    LP2P_CHECK(client == (out->said_len == 0) || out->event.kind == LP2P_WS_UPGRADE_NONE);
    LP2P_CHECK(strlen(lp2p_ws_upgrade_forwarded(upgrade)) <= LP2P_WS_FORWARDED_MAX);
    LP2P_CHECK(out->judged == (!client && (out->event.status == 101 || out->misled)));
    LP2P_CHECK(!out->misled || (out->err == LP2P_EMALFORMED && out->event.status == 400));
    lp2p_ws_upgrade_free(upgrade);
}

/** The answer with the accept value of the fixed key put in. */
static struct lp2p_span with_accept(struct lp2p_span in, uint8_t *out, size_t cap)
{
    struct lp2p_ws_upgrade *client = begin(true);
    char request[2048], accept[29];
    size_t len = lp2p_ws_upgrade_drain(client, (uint8_t *)request, sizeof(request) - 1, 0), at = 0;
    request[len] = '\0';
    lp2p_ws_accept_value(lp2p_span(strstr(request, "Key: ") + 5, 24), accept);
    lp2p_ws_upgrade_free(client);
    for (size_t i = 0; i < in.len && at + 28 <= cap; i++) {
        if (in.ptr[i] == 0xaa) {
            memcpy(out + at, accept, 28);
            at += 28;
        } else {
            out[at++] = in.ptr[i];
        }
    }
    return lp2p_span(out, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t answer[20000];
    if (size < 2) {
        return 0;
    }
    bool client = (data[0] & 1) != 0;
    struct lp2p_span in = lp2p_span(data + 2, size - 2);
    struct outcome whole, cut;
    (void)lp2p_first_bytes_of(in);
    if (client) {
        in = with_accept(in, answer, sizeof(answer));
    }
    run(client, in, SIZE_MAX / 2, &whole);
    run(client, in, 1u + data[1], &cut);
    LP2P_CHECK(whole.err == cut.err && whole.event.kind == cut.event.kind);
    LP2P_CHECK(whole.event.status == cut.event.status);
    LP2P_CHECK(whole.err != LP2P_OK || whole.used == cut.used); /* where garbage begins is told at the end of a piece */
    LP2P_CHECK(lp2p_span_eq(lp2p_span(whole.said, whole.said_len), lp2p_span(cut.said, cut.said_len)));
    return 0;
}
