/* SPDX-License-Identifier: MIT
 * TXT answers and what a resolution makes of them: every answer is the fuzzer's, behind a byte that is half of its length. It ends,
 * asks and gives no more than it may, and what it gives has no name in it. */
#include "actors/resolver/dns_text.h"
#include "actors/resolver/resolution.h"
#include "base/check.h"
#include "wire/endpoint.h"

#include <stdlib.h>

/** A whole DNS message; what is none is taken as a list of addresses, each behind a byte of length. */
static struct lp2p_addrs *make_records(struct lp2p_span message)
{
    static struct lp2p_multiaddr addrs[LP2P_RESOLVE_ADDRS_MAX];
    struct lp2p_dns_text result;
    size_t len = 0;
    if (lp2p_dns_text_read(message, addrs, LP2P_RESOLVE_ADDRS_MAX, &result) == LP2P_OK) {
        LP2P_CHECK(result.len <= LP2P_RESOLVE_ADDRS_MAX);
        return lp2p_addrs_new(addrs, result.len);
    }
    while (message.len > 0 && len < LP2P_RESOLVE_ADDRS_MAX) {
        size_t size = LP2P_MIN((size_t)message.ptr[0], message.len - 1);
        if (lp2p_multiaddr_parse(lp2p_span(message.ptr + 1, size), &addrs[len]) == LP2P_OK) {
            len++;
        }
        message = lp2p_span_skip(message, size + 1);
    }
    return lp2p_addrs_new(addrs, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lp2p_span rest = lp2p_span(data, size);
    struct lp2p_multiaddr asked;
    size_t len = rest.len > 0 ? LP2P_MIN((size_t)rest.ptr[0], rest.len - 1) : 0;
    if (len == 0 || lp2p_multiaddr_parse(lp2p_span(rest.ptr + 1, len), &asked) != LP2P_OK) {
        struct lp2p_addrs *records = make_records(rest);
        lp2p_addrs_drop(&records);
        return 0;
    }
    rest = lp2p_span_skip(rest, len + 1);
    struct lp2p_resolution *resolution = lp2p_resolution_new(&asked);
    struct lp2p_dns_question question;
    unsigned number, questions = 0;
    while (lp2p_resolution_next(resolution, &number, &question)) {
        size_t part = rest.len == 0 ? 0 : LP2P_MIN(rest.len - 1, (size_t)2 * rest.ptr[0]);
        rest = lp2p_span_skip(rest, rest.len > 0);
        struct lp2p_addrs *records = make_records(lp2p_span(rest.ptr, part));
        lp2p_resolution_answer(resolution, number, part == 0 ? LP2P_ENOTFOUND : LP2P_OK, records);
        lp2p_addrs_drop(&records);
        rest = lp2p_span_skip(rest, part);
        LP2P_CHECK(++questions <= LP2P_RESOLVE_LOOKUPS_MAX);
    }
    LP2P_CHECK(lp2p_resolution_done(resolution));
    const struct lp2p_multiaddr *addrs, *names;
    const char *text;
    enum lp2p_err err = lp2p_resolution_result(resolution, &addrs, &names, &len, &text);
    LP2P_CHECK((err == LP2P_OK) == (len > 0) && len <= LP2P_RESOLVE_ADDRS_MAX && strlen(text) < LP2P_RESOLVE_TEXT_MAX);
    for (size_t i = 0; i < len; i++) {
        struct lp2p_span value;
        for (uint32_t code = LP2P_MA_DNS; code <= LP2P_MA_DNSADDR; code++) {
            LP2P_CHECK(lp2p_multiaddr_find(&addrs[i], code, &value) == LP2P_ENOTFOUND);
        }
    }
    lp2p_resolution_free(resolution);
    return 0;
}
