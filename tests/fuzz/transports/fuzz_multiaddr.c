/* SPDX-License-Identifier: MIT
 * Multiaddrs: an accepted address survives bytes -> text -> bytes and text -> bytes -> text -> bytes
 * unchanged; what is kept by value always has a text. */
#include "base/check.h"
#include "wire/multiaddr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct lp2p_span bytes)
{
    static char text[4 * LP2P_MULTIADDR_WIRE_MAX];
    uint8_t back[LP2P_MULTIADDR_WIRE_MAX];
    size_t len = 0;
    LP2P_CHECK(lp2p_ma_to_text(bytes, text, sizeof(text)) == LP2P_OK);
    LP2P_CHECK(lp2p_ma_from_text(lp2p_span_str(text), back, sizeof(back), &len, NULL) == LP2P_OK);
    LP2P_CHECK(lp2p_span_eq(bytes, lp2p_span(back, len)));
}

static void by_value(struct lp2p_span bytes)
{
    struct lp2p_multiaddr addr;
    if (lp2p_multiaddr_parse(bytes, &addr) != LP2P_OK) {
        return;
    }
    char text[LP2P_MULTIADDR_TEXT_MAX];
    struct lp2p_ip_port ip_port;
    struct lp2p_peer_id peer;
    lp2p_multiaddr_text(&addr, text);
    (void)lp2p_multiaddr_scope(&addr);
    if (lp2p_multiaddr_peer(&addr, &peer) == LP2P_OK) {
        struct lp2p_multiaddr again = addr;
        lp2p_multiaddr_strip_peer(&again);
        LP2P_CHECK(again.len == 0 || lp2p_ma_check(lp2p_multiaddr_span(&again)) == LP2P_OK);
        if (again.len > 0) {
            LP2P_CHECK(lp2p_multiaddr_add_peer(&again, &peer) == LP2P_OK && lp2p_multiaddr_eq(&again, &addr));
        }
    }
    if (lp2p_multiaddr_ip_tcp(&addr, &ip_port) == LP2P_OK) {
        struct lp2p_multiaddr made;
        lp2p_multiaddr_from_ip_tcp(ip_port.ip, ip_port.ip_len, ip_port.port, &made);
        LP2P_CHECK(made.len <= addr.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lp2p_span in = lp2p_span(data, size);
    if (lp2p_ma_check(in) == LP2P_OK) {
        round_trip(in);
        by_value(in);
    }
    uint8_t bytes[LP2P_MULTIADDR_WIRE_MAX];
    char why[LP2P_MULTIADDR_WHY_MAX];
    size_t len = 0;
    memset(why, 1, sizeof(why));
    enum lp2p_err err = lp2p_ma_from_text(in, bytes, sizeof(bytes), &len, why);
    if (err == LP2P_OK) {
        LP2P_CHECK(lp2p_ma_check(lp2p_span(bytes, len)) == LP2P_OK);
        round_trip(lp2p_span(bytes, len));
    } else {
        LP2P_CHECK(memchr(why, '\0', sizeof(why)) != NULL && why[0] != '\0');
    }
    return 0;
}
