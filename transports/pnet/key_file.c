/* SPDX-License-Identifier: MIT */
#include "pnet/pnet.h"

#include <sodium.h>

/** Cuts the next line off the front of *text, without its end; lines may end in CR LF. false: there is no line end. */
static bool next_line(struct lp2p_span *text, struct lp2p_span *line)
{
    const uint8_t *feed = text->len > 0 ? memchr(text->ptr, '\n', text->len) : NULL;
    if (feed == NULL) {
        return false;
    }
    size_t len = (size_t)(feed - text->ptr);
    *line = lp2p_span(text->ptr, len > 0 && text->ptr[len - 1] == '\r' ? len - 1 : len);
    *text = lp2p_span_skip(*text, len + 1);
    return true;
}

/** Editors leave line ends behind the key. */
static struct lp2p_span without_line_ends(struct lp2p_span text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r')) {
        text.len--;
    }
    return text;
}

static bool decode(struct lp2p_span encoding, struct lp2p_span body, uint8_t *out)
{
    struct lp2p_span text = without_line_ends(body);
    size_t len = 0;
    if (lp2p_span_eq_str(encoding, "/base16/")) {
        return text.len == 2 * LP2P_PNET_KEY_BYTES &&
               sodium_hex2bin(out, LP2P_PNET_KEY_BYTES, (const char *)text.ptr, text.len, NULL, &len, NULL) == 0 &&
               len == LP2P_PNET_KEY_BYTES;
    }
    if (lp2p_span_eq_str(encoding, "/base64/")) {
        return text.len == 44 &&
               sodium_base642bin(out, LP2P_PNET_KEY_BYTES, (const char *)text.ptr, text.len, NULL, &len, NULL,
                                 sodium_base64_VARIANT_ORIGINAL) == 0 &&
               len == LP2P_PNET_KEY_BYTES;
    }
    /* Raw bytes may look like a line end themselves: only what is behind them may be one. */
    if (!lp2p_span_eq_str(encoding, "/bin/") || body.len < LP2P_PNET_KEY_BYTES ||
        without_line_ends(lp2p_span_skip(body, LP2P_PNET_KEY_BYTES)).len != 0) {
        return false;
    }
    memcpy(out, body.ptr, LP2P_PNET_KEY_BYTES);
    return true;
}

enum lp2p_err lp2p_pnet_key_read(struct lp2p_span file, struct lp2p_pnet_key *key)
{
    struct lp2p_span head, encoding;
    bool good = file.len <= LP2P_PNET_FILE_MAX && next_line(&file, &head) &&
                lp2p_span_eq_str(head, "/key/swarm/psk/1.0.0/") && next_line(&file, &encoding) &&
                decode(encoding, file, key->bytes);
    if (!good) {
        lp2p_pnet_key_wipe(key);
        return LP2P_EMALFORMED;
    }
    return LP2P_OK;
}
