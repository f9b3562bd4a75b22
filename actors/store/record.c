/* SPDX-License-Identifier: MIT */
#include "actors/store/record.h"

#include "base/check.h"
#include "wire/varint.h"

#define VERSION 2
#define VERSION_BARE 1 /* without record and key */

/* ---- writing: into a buffer that may turn out to be too small */

struct writer {
    uint8_t *out;
    size_t cap, len; /* len above cap: it did not fit */
};

static void put_number(struct writer *w, uint64_t value)
{
    uint8_t bytes[LP2P_VARINT_MAX];
    /* Uvarints have 63 bits; what is larger (a sequence number) loses nothing but its order beyond that. */
    size_t n = lp2p_varint_put(bytes, LP2P_MIN(value, (uint64_t)INT64_MAX));
    if (w->len + n <= w->cap) {
        memcpy(w->out + w->len, bytes, n);
    }
    w->len += n;
}

static void put_bytes(struct writer *w, struct lp2p_span bytes)
{
    put_number(w, bytes.len);
    if (bytes.len > 0 && w->len + bytes.len <= w->cap) {
        memcpy(w->out + w->len, bytes.ptr, bytes.len);
    }
    w->len += bytes.len;
}

enum lp2p_err lp2p_stored_peer_write(const struct lp2p_peer_entry *entry, uint8_t *out, size_t cap,
                                     size_t *len)
{
    struct writer w = {out, cap, 0};
    size_t addrs = entry->addrs == NULL ? 0 : entry->addrs->len, tags = 0;
    size_t protocols =
        entry->protocols == NULL ? 0 : LP2P_MIN(entry->protocols->len, LP2P_STORE_PROTOCOLS_MAX);
    put_number(&w, VERSION);
    put_number(&w, entry->last_seen_ms); /* first: pruning reads no further */
    put_bytes(&w, lp2p_peer_id_span(&entry->id));
    put_number(&w, entry->record_seq);
    put_number(&w, entry->connected_ms);
    put_number(&w, entry->rtt_ns);
    put_bytes(&w, lp2p_span_str(entry->agent));
    put_bytes(&w, lp2p_span_str(entry->protocol_version));
    put_number(&w, addrs);
    for (size_t i = 0; i < addrs; i++) {
        put_number(&w, entry->notes[i].source);
        put_number(&w, entry->notes[i].seen_s);
        put_bytes(&w, lp2p_multiaddr_span(&entry->addrs->items[i]));
    }
    put_number(&w, protocols);
    for (size_t i = 0; i < protocols; i++) {
        put_bytes(&w, lp2p_span_str(entry->protocols->items[i]));
    }
    for (size_t i = 0; i < LP2P_PEER_TAGS_MAX; i++) {
        tags += entry->tags[i].name[0] != '\0';
    }
    put_number(&w, tags);
    for (size_t i = 0; i < LP2P_PEER_TAGS_MAX; i++) {
        if (entry->tags[i].name[0] != '\0') {
            put_bytes(&w, lp2p_span_str(entry->tags[i].name));
            put_number(&w, (uint32_t)entry->tags[i].value);
        }
    }
    put_bytes(&w, lp2p_slice_span(&entry->record));
    put_bytes(&w, lp2p_slice_span(&entry->key));
    *len = w.len;
    return w.len <= cap ? LP2P_OK : LP2P_ELIMIT;
}

/* ---- reading: after the first fault nothing more is taken */

struct reader {
    struct lp2p_span in;
    bool bad;
};

static uint64_t take_number(struct reader *r, uint64_t max)
{
    uint64_t value = 0;
    if (!r->bad && (lp2p_varint_take(&r->in, &value) != LP2P_OK || value > max)) {
        r->bad = true;
    }
    return r->bad ? 0 : value;
}

static struct lp2p_span take_bytes(struct reader *r, size_t max)
{
    size_t len = (size_t)take_number(r, LP2P_MIN(max, r->in.len));
    if (r->bad || len > r->in.len) {
        r->bad = true;
        return lp2p_span(NULL, 0);
    }
    struct lp2p_span bytes = lp2p_span(r->in.ptr, len);
    r->in = lp2p_span_skip(r->in, len);
    return bytes;
}

static struct lp2p_span take_text(struct reader *r, size_t max)
{
    struct lp2p_span text = take_bytes(r, max);
    r->bad = r->bad || (text.len > 0 && memchr(text.ptr, 0, text.len) != NULL);
    return text;
}

static void take_addr(struct reader *r, struct lp2p_stored_peer *out)
{
    struct lp2p_addr_note note = {0};
    note.source = (uint8_t)take_number(r, LP2P_ADDR_MANUAL);
    note.seen_s = (uint32_t)take_number(r, UINT32_MAX);
    struct lp2p_span bytes = take_bytes(r, LP2P_MULTIADDR_MAX);
    if (r->bad || lp2p_multiaddr_parse(bytes, &out->addrs[out->addrs_len]) != LP2P_OK) {
        r->bad = true;
        return;
    }
    out->notes[out->addrs_len++] = note;
}

static void take_tag(struct reader *r, struct lp2p_stored_peer *out)
{
    struct lp2p_span name = take_text(r, LP2P_TAG_NAME_MAX - 1);
    uint32_t value = (uint32_t)take_number(r, UINT32_MAX);
    if (r->bad || name.len == 0) {
        r->bad = true;
        return;
    }
    struct lp2p_tag *tag = &out->tags[out->tags_len++];
    *tag = (struct lp2p_tag){.value = (int32_t)value};
    memcpy(tag->name, name.ptr, name.len);
}

static enum lp2p_err take_head(struct reader *r, uint64_t *version, uint64_t *seen)
{
    *version = take_number(r, INT64_MAX);
    if (!r->bad && *version != VERSION && *version != VERSION_BARE) {
        return LP2P_EVERSION;
    }
    *seen = take_number(r, INT64_MAX);
    return r->bad ? LP2P_EMALFORMED : LP2P_OK;
}

enum lp2p_err lp2p_stored_peer_read(struct lp2p_span in, struct lp2p_stored_peer *out)
{
    struct reader r = {in, in.len > LP2P_STORE_PEER_MAX};
    uint64_t version;
    out->addrs_len = out->protocols_len = out->tags_len = 0;
    out->record = out->key = lp2p_span(NULL, 0);
    enum lp2p_err err = take_head(&r, &version, &out->last_seen_ms);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_span id = take_bytes(&r, LP2P_PEER_ID_MAX);
    if (r.bad || lp2p_peer_id_parse(id, &out->id) != LP2P_OK) {
        return LP2P_EMALFORMED;
    }
    out->record_seq = take_number(&r, INT64_MAX);
    out->connected_ms = take_number(&r, INT64_MAX);
    out->rtt_ns = take_number(&r, INT64_MAX);
    out->agent = take_text(&r, sizeof(((struct lp2p_peer_entry *)0)->agent) - 1);
    out->protocol_version = take_text(&r, sizeof(((struct lp2p_peer_entry *)0)->protocol_version) - 1);
    for (uint64_t n = take_number(&r, LP2P_PEER_ADDRS_MAX); n > 0 && !r.bad; n--) {
        take_addr(&r, out);
    }
    for (uint64_t n = take_number(&r, LP2P_STORE_PROTOCOLS_MAX); n > 0 && !r.bad; n--) {
        out->protocols[out->protocols_len++] = take_text(&r, LP2P_PROTOCOL_ID_MAX - 1);
    }
    for (uint64_t n = take_number(&r, LP2P_PEER_TAGS_MAX); n > 0 && !r.bad; n--) {
        take_tag(&r, out);
    }
    if (version != VERSION_BARE) {
        out->record = take_bytes(&r, LP2P_PEER_RECORD_MAX);
        out->key = take_bytes(&r, LP2P_PUBLIC_KEY_MAX);
    }
    return r.bad || r.in.len > 0 ? LP2P_EMALFORMED : LP2P_OK;
}

uint64_t lp2p_stored_peer_seen(struct lp2p_span in)
{
    struct reader r = {in, false};
    uint64_t version, seen = 0;
    return take_head(&r, &version, &seen) == LP2P_OK ? seen : 0;
}

/* ---- what the record proves */

static bool lists(const struct lp2p_peer_record *record, const struct lp2p_multiaddr *addr)
{
    for (size_t i = 0; i < record->addrs_len; i++) {
        struct lp2p_multiaddr told = record->addrs[i];
        struct lp2p_peer_id named;
        if (lp2p_multiaddr_peer(&told, &named) == LP2P_OK && lp2p_peer_id_eq(&named, &record->peer)) {
            lp2p_multiaddr_strip_peer(&told); /* as it is kept in an entry */
        }
        if (lp2p_multiaddr_eq(&told, addr)) {
            return true;
        }
    }
    return false;
}

bool lp2p_stored_peer_genuine(const struct lp2p_stored_peer *peer, struct lp2p_peer_record *scratch)
{
    if (peer->record.len == 0) {
        return true;
    }
    if (lp2p_peer_record_open(peer->record, scratch) != LP2P_OK || !lp2p_peer_id_eq(&scratch->peer, &peer->id) ||
        LP2P_MIN(scratch->seq, (uint64_t)INT64_MAX) != peer->record_seq) {
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < peer->addrs_len; i++) {
        good = good && (peer->notes[i].source != LP2P_ADDR_CERTIFIED || lists(scratch, &peer->addrs[i]));
    }
    return good;
}

void lp2p_stored_peer_distrust(struct lp2p_stored_peer *peer)
{
    size_t len = 0;
    for (size_t i = 0; i < peer->addrs_len; i++) {
        if (peer->notes[i].source != LP2P_ADDR_CERTIFIED) {
            peer->addrs[len] = peer->addrs[i];
            peer->notes[len++] = peer->notes[i];
        }
    }
    peer->addrs_len = len;
    peer->record = lp2p_span(NULL, 0);
    peer->record_seq = 0;
}
