/* SPDX-License-Identifier: MIT
 * PROXY headers, first bytes and X-Forwarded-For: a verdict never changes when more bytes come, and a client that is named is an
 * address of one of the two families. */
#include "base/check.h"
#include "websocket/first_bytes.h"
#include "websocket/proxy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const struct lp2p_ip_port *addr)
{
    LP2P_CHECK(addr->ip_len == 4 || addr->ip_len == 16);
}

/* Grows the input byte by byte: after the first verdict nothing changes. */
static void read_growing(struct lp2p_span in)
{
    struct lp2p_proxy_header first = {0};
    enum lp2p_err verdict = LP2P_OK;
    enum lp2p_first_bytes kind = LP2P_FIRST_MORE;
    for (size_t len = 0; len <= in.len; len++) {
        struct lp2p_proxy_header header;
        uint8_t *bytes = malloc(len + 1);
        memcpy(bytes, in.ptr, len);
        enum lp2p_err err = lp2p_proxy_read(lp2p_span(bytes, len), &header);
        enum lp2p_first_bytes now = lp2p_first_bytes_of(lp2p_span(bytes, len));
        free(bytes);
        LP2P_CHECK(header.size <= len && header.size <= LP2P_PROXY_BYTES_MAX);
        LP2P_CHECK(err == LP2P_OK || (header.size == 0 && !header.has_addresses));
        bool decided = verdict != LP2P_OK || first.size > 0;
        LP2P_CHECK(!decided || (err == verdict && header.size == first.size));
        LP2P_CHECK(decided || err != LP2P_OK || header.size > 0 || len < LP2P_PROXY_BYTES_MAX);
        LP2P_CHECK(kind == LP2P_FIRST_MORE || kind == now);
        if (header.has_addresses) {
            check_address(&header.source);
            check_address(&header.destination);
        }
        verdict = err;
        first = header;
        kind = now;
    }
}

static bool trust_some(void *ctx, const struct lp2p_ip_port *hop)
{
    check_address(hop);
    return (hop->ip[0] & 1) == *(const unsigned *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 700) {
        return 0;
    }
    struct lp2p_span in = lp2p_span(data + 1, size - 1);
    unsigned odd = data[0] & 1u;
    struct lp2p_ip_port client;
    read_growing(in);
    if (lp2p_forwarded_client(in, trust_some, &odd, &client) == LP2P_OK) {
        check_address(&client);
        LP2P_CHECK((client.ip[0] & 1) != odd);
    }
    return 0;
}
