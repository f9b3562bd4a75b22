/* SPDX-License-Identifier: MIT */
#include "websocket/first_bytes.h"

#include "base/check.h"

/* No entry is the beginning of another one, so the first that matches is the only one. */
static const struct {
    enum lp2p_first_bytes kind;
    size_t len;
    const char *bytes;
} beginnings[] = {
    {LP2P_FIRST_MULTISTREAM, 20, "\x13/multistream/1.0.0\n"},
    {LP2P_FIRST_TLS, 2, "\x16\x03"},
    {LP2P_FIRST_PROXY_V1, 6, "PROXY "},
    {LP2P_FIRST_PROXY_V2, 12, "\r\n\r\n\0\r\nQUIT\n"},
    {LP2P_FIRST_HTTP, 4, "GET "},
    {LP2P_FIRST_HTTP, 5, "HEAD "},
    {LP2P_FIRST_HTTP, 5, "POST "},
    {LP2P_FIRST_HTTP, 4, "PUT "},
    {LP2P_FIRST_HTTP, 7, "DELETE "},
    {LP2P_FIRST_HTTP, 8, "CONNECT "},
    {LP2P_FIRST_HTTP, 8, "OPTIONS "},
    {LP2P_FIRST_HTTP, 6, "TRACE "},
    {LP2P_FIRST_HTTP, 6, "PATCH "},
    {LP2P_FIRST_HTTP, 6, "PRI * "}, /* HTTP/2 without asking first */
};

enum lp2p_first_bytes lp2p_first_bytes_of(struct lp2p_span in)
{
    bool more = in.len == 0;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(beginnings) && in.len > 0; i++) {
        size_t part = LP2P_MIN(in.len, beginnings[i].len);
        if (memcmp(in.ptr, beginnings[i].bytes, part) == 0) {
            if (part == beginnings[i].len) {
                return beginnings[i].kind;
            }
            more = true;
        }
    }
    return more ? LP2P_FIRST_MORE : LP2P_FIRST_UNKNOWN;
}
