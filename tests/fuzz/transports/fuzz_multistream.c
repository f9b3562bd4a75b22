/* SPDX-License-Identifier: MIT
 * multistream-select: both roles against hostile bytes, and the two roles against each other. The first byte
 * says who is played and how the input is cut. */
#include "base/check.h"
#include "multistream/multistream.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const ids[] = {"/noise", "/a", "/yamux/1.0.0"};

static int match_ids(void *ctx, struct lp2p_span protocol)
{
    unsigned served = *(const unsigned *)ctx;
    for (int i = 0; i < (int)LP2P_ARRAY_LEN(ids); i++) {
        if ((served >> i & 1) != 0 && lp2p_span_eq_str(protocol, ids[i])) {
            return i;
        }
    }
    return -1;
}

static size_t feed_checked(struct lp2p_mss *mss, struct lp2p_span in, enum lp2p_err *err)
{
    size_t used = 0;
    *err = lp2p_mss_feed(mss, in, 0, &used);
    LP2P_CHECK(used <= in.len);
    return used;
}

static void against_bytes(struct lp2p_mss *mss, struct lp2p_span in, size_t piece, bool drain)
{
    unsigned selected = 0, failed = 0;
    enum lp2p_err err = LP2P_OK;
    while (err == LP2P_OK && in.len > 0) {
        uint8_t out[600];
        struct lp2p_mss_event event;
        size_t used = feed_checked(mss, lp2p_span(in.ptr, LP2P_MIN(piece, in.len)), &err);
        if (drain) {
            (void)lp2p_mss_drain(mss, out, sizeof(out), 0);
        }
        for (lp2p_mss_next(mss, &event); event.kind != LP2P_MSS_NONE; lp2p_mss_next(mss, &event)) {
            selected += event.kind == LP2P_MSS_SELECTED;
            failed += event.kind == LP2P_MSS_FAILED;
            LP2P_CHECK(event.kind != LP2P_MSS_FAILED || event.reason == err);
        }
        LP2P_CHECK(selected <= 1 && failed <= 1);
        if (used < LP2P_MIN(piece, in.len)) {
            LP2P_CHECK(selected + failed > 0);
            break;
        }
        in = lp2p_span_skip(in, used);
    }
    LP2P_CHECK((err != LP2P_OK) == (failed == 1));
    lp2p_mss_free(mss);
}

/* The two roles talk until both are done; both must come to the same result. */
static void against_each_other(size_t n, bool lazy, unsigned served, size_t piece)
{
    struct lp2p_mss *sides[2] = {lp2p_mss_new_dialer(ids, n, lazy),
                                 lp2p_mss_new_listener(match_ids, &served)};
    if (sides[0] == NULL || sides[1] == NULL) {
        abort();
    }
    int chosen[2] = {-1, -1};
    enum lp2p_err errs[2] = {LP2P_OK, LP2P_OK};
    for (int turn = 0; turn < 2000 && errs[0] == LP2P_OK; turn++) {
        int from = turn % 2, to = 1 - from;
        uint8_t bytes[64];
        size_t len = lp2p_mss_drain(sides[from], bytes, LP2P_MIN(piece, sizeof(bytes)), 0);
        if (len > 0) {
            LP2P_CHECK(feed_checked(sides[to], lp2p_span(bytes, len), &errs[to]) == len);
        }
        struct lp2p_mss_event event;
        lp2p_mss_next(sides[to], &event);
        if (event.kind == LP2P_MSS_SELECTED) {
            chosen[to] = event.index;
        }
    }
    int want = -1;
    for (int i = (int)n - 1; i >= 0; i--) {
        want = (served >> i & 1) != 0 ? i : want;
    }
    LP2P_CHECK(errs[0] == (want < 0 ? LP2P_ENEGOTIATION : LP2P_OK) && errs[1] == LP2P_OK);
    LP2P_CHECK(chosen[1] == want && (chosen[0] == want || (lazy && want < 0)));
    LP2P_CHECK(want < 0 || (lp2p_mss_confirmed(sides[0]) && lp2p_mss_confirmed(sides[1])));
    lp2p_mss_free(sides[0]);
    lp2p_mss_free(sides[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned all = 7;
    static const char header[] = "\x13/multistream/1.0.0\n";
    static uint8_t buffer[4096];
    if (size < 2 || size > sizeof(buffer) - sizeof(header)) {
        return 0;
    }
    struct lp2p_span in = lp2p_span(data + 2, size - 2);
    size_t piece = 1 + (size_t)data[1];
    if ((data[0] & 4) != 0) { /* behind a good header, where most of the machine is */
        memcpy(buffer, header, sizeof(header) - 1);
        memcpy(buffer + sizeof(header) - 1, in.ptr, in.len);
        in = lp2p_span(buffer, in.len + sizeof(header) - 1);
    }
    struct lp2p_mss *mss = (data[0] & 1) != 0
                               ? lp2p_mss_new_dialer(ids, 1 + (data[0] >> 4) % 3, (data[0] & 2) != 0)
                               : lp2p_mss_new_listener(match_ids, &all);
    if (mss == NULL) {
        abort();
    }
    uint8_t out[600];
    if ((data[0] & 8) != 0) {
        (void)lp2p_mss_drain(mss, out, sizeof(out), 0);
    }
    against_bytes(mss, in, piece, (data[0] & 8) != 0);
    against_each_other(1 + (data[0] >> 4) % 3, (data[0] & 2) != 0, data[0] >> 2 & 7, piece);
    return 0;
}
