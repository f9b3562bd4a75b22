/* SPDX-License-Identifier: MIT */
#include "actors/protocols/ping.h"

size_t lp2p_ping_echo_feed(struct lp2p_ping_echo *echo, struct lp2p_span in, uint8_t *out)
{
    size_t whole = (echo->part_len + in.len) / LP2P_PING_BYTES * LP2P_PING_BYTES;
    if (whole == 0) {
        if (in.len > 0) {
            memcpy(echo->part + echo->part_len, in.ptr, in.len);
            echo->part_len = (uint8_t)(echo->part_len + in.len);
        }
        return 0;
    }
    size_t taken = whole - echo->part_len;
    memcpy(out, echo->part, echo->part_len);
    memcpy(out + echo->part_len, in.ptr, taken);
    echo->part_len = (uint8_t)(in.len - taken);
    memcpy(echo->part, in.ptr + taken, echo->part_len);
    return whole;
}

void lp2p_ping_probe_init(struct lp2p_ping_probe *probe, const struct lp2p_rand *rand)
{
    lp2p_rand_fill(rand, probe->sent, sizeof(probe->sent));
    probe->got = 0;
}

enum lp2p_err lp2p_ping_probe_feed(struct lp2p_ping_probe *probe, struct lp2p_span in)
{
    if (in.len > (size_t)(LP2P_PING_BYTES - probe->got)) {
        return LP2P_EPROTO;
    }
    if (in.len > 0 && memcmp(probe->sent + probe->got, in.ptr, in.len) != 0) {
        return LP2P_EPROTO;
    }
    probe->got = (uint8_t)(probe->got + in.len);
    return probe->got == LP2P_PING_BYTES ? LP2P_OK : LP2P_EAGAIN;
}
