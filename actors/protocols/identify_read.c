/* SPDX-License-Identifier: MIT
 * The reader of identify: bounds while bytes come in, and at the end one pass over what a peer says of
 * itself, which is hostile until it is checked (libp2p specs identify/README.md; limits of our own in
 * identify.h). */
#include "actors/protocols/identify.h"

#include "identify.pb.h"
#include "wire/envelope.h"
#include "wire/multihash.h"
#include "wire/pb.h"

#include <stddef.h>
#include <stdlib.h>

#define PROTOCOLS_SEEN_MAX 1024 /* entries looked at before duplicates are removed */
#define ADDRS_SEEN_MAX 256

void lp2p_identify_reader_init(struct lp2p_identify_reader *reader)
{
    memset(reader, 0, sizeof(*reader));
    lp2p_frame_reader_init(&reader->frames, LP2P_IDENTIFY_MESSAGE_MAX);
}

void lp2p_identify_reader_fini(struct lp2p_identify_reader *reader)
{
    lp2p_frame_reader_fini(&reader->frames);
    lp2p_buf_drop(&reader->buf);
    memset(reader, 0, sizeof(*reader));
}

static enum lp2p_err keep(struct lp2p_identify_reader *reader, struct lp2p_span message)
{
    if (reader->messages == LP2P_IDENTIFY_MESSAGES_MAX ||
        message.len > LP2P_IDENTIFY_TOTAL_MAX - reader->len) {
        return LP2P_EOVERSIZE;
    }
    if (message.len > 0) {
        struct lp2p_buf *buf = lp2p_buf_new(reader->len + message.len); /* mostly there is one message only */
        if (buf == NULL) {
            return LP2P_ENOMEM;
        }
        if (reader->len > 0) {
            memcpy(buf->bytes, reader->buf->bytes, reader->len);
        }
        memcpy(buf->bytes + reader->len, message.ptr, message.len);
        lp2p_buf_drop(&reader->buf);
        reader->buf = buf;
    }
    reader->len += message.len;
    reader->ends[reader->messages++] = reader->len;
    return LP2P_OK;
}

enum lp2p_err lp2p_identify_reader_feed(struct lp2p_identify_reader *reader, struct lp2p_span in)
{
    for (;;) {
        struct lp2p_span message;
        enum lp2p_err err = lp2p_frame_read(&reader->frames, &in, &message);
        if (err == LP2P_EAGAIN) {
            return LP2P_OK;
        }
        if (err == LP2P_OK) {
            err = keep(reader, message);
        }
        if (err != LP2P_OK) {
            return err;
        }
    }
}

/* ---- addresses */

/* Whether an address can be of use, told by a peer that we reach at `remote`: what is nearer than the way to
 * it is not. */
static bool in_reach(const struct lp2p_multiaddr *addr, const struct lp2p_multiaddr *remote)
{
    enum lp2p_ma_scope scope = lp2p_multiaddr_scope(addr);
    if (scope == LP2P_SCOPE_UNSPECIFIED) {
        return false;
    }
    switch (remote->len > 0 ? lp2p_multiaddr_scope(remote) : LP2P_SCOPE_LOOPBACK) {
    case LP2P_SCOPE_LINK_LOCAL:
    case LP2P_SCOPE_PRIVATE:
        return scope != LP2P_SCOPE_LOOPBACK;
    case LP2P_SCOPE_PUBLIC:
        return scope == LP2P_SCOPE_PUBLIC;
    case LP2P_SCOPE_LOOPBACK:
    case LP2P_SCOPE_UNSPECIFIED:
    default:
        return true;
    }
}

/* Removes a /p2p suffix that names the peer; false for one that names another, and for what is then empty. */
static bool strip_own_peer(struct lp2p_multiaddr *addr, const struct lp2p_peer_id *peer)
{
    struct lp2p_peer_id named;
    if (lp2p_multiaddr_peer(addr, &named) == LP2P_OK) {
        if (!lp2p_peer_id_eq(&named, peer)) {
            return false;
        }
        lp2p_multiaddr_strip_peer(addr);
    }
    return addr->len > 0;
}

static size_t add_addr(struct lp2p_multiaddr *addrs, size_t len, struct lp2p_multiaddr *addr,
                       const struct lp2p_peer_id *peer, const struct lp2p_multiaddr *remote)
{
    if (len == LP2P_IDENTIFY_ADDRS_MAX || !strip_own_peer(addr, peer) || !in_reach(addr, remote)) {
        return len;
    }
    for (size_t i = 0; i < len; i++) {
        if (lp2p_multiaddr_eq(&addrs[i], addr)) {
            return len;
        }
    }
    addrs[len] = *addr;
    return len + 1;
}

/* The addresses of the signed record, when it is valid, of this peer and of any use. */
static bool read_record(struct lp2p_span sealed, const struct lp2p_peer_id *peer,
                        const struct lp2p_multiaddr *remote, struct lp2p_multiaddr *addrs, size_t *len,
                        uint64_t *seq)
{
    struct lp2p_peer_record *record = sealed.len > 0 ? malloc(sizeof(*record)) : NULL;
    *len = 0;
    /* The highest sequence number could never be replaced again. */
    if (record != NULL && lp2p_peer_record_open(sealed, record) == LP2P_OK &&
        lp2p_peer_id_eq(&record->peer, peer) && record->seq != UINT64_MAX) {
        for (size_t i = 0; i < record->addrs_len; i++) {
            *len = add_addr(addrs, *len, &record->addrs[i], peer, remote);
        }
        *seq = record->seq;
    }
    free(record);
    return *len > 0;
}

static enum lp2p_err take_addrs(const struct lp2p_pb_spans *listed, struct lp2p_span sealed,
                                const struct lp2p_peer_id *peer, const struct lp2p_multiaddr *remote,
                                struct lp2p_identify_info *info)
{
    struct lp2p_multiaddr *addrs = malloc(LP2P_IDENTIFY_ADDRS_MAX * sizeof(*addrs));
    size_t len = 0;
    if (addrs == NULL) {
        return LP2P_ENOMEM;
    }
    info->certified = read_record(sealed, peer, remote, addrs, &len, &info->record_seq);
    for (size_t i = 0; !info->certified && i < listed->len; i++) {
        struct lp2p_multiaddr addr;
        if (lp2p_multiaddr_parse(listed->items[i], &addr) == LP2P_OK) {
            len = add_addr(addrs, len, &addr, peer, remote);
        }
    }
    enum lp2p_err err = LP2P_OK;
    if (info->certified || listed->len > 0) {
        info->addrs = lp2p_addrs_new(addrs, len);
        err = info->addrs == NULL ? LP2P_ENOMEM : LP2P_OK;
    }
    free(addrs);
    return err;
}

/* ---- protocols */

/* Ids are shown to people and compared as texts: visible ASCII and UTF-8 bytes, no control characters. */
bool lp2p_identify_keeps(struct lp2p_span id)
{
    if (id.len == 0 || id.len >= LP2P_PROTOCOL_ID_MAX) {
        return false;
    }
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] < 0x21 || id.ptr[i] == 0x7f) {
            return false;
        }
    }
    char text[LP2P_PROTOCOL_ID_MAX];
    lp2p_printable(id, text, sizeof(text));
    return strlen(text) == id.len && memcmp(text, id.ptr, id.len) == 0;
}

/* The list is cut down to those that we keep, in place. */
static enum lp2p_err take_protocols(struct lp2p_pb_spans *listed, struct lp2p_identify_info *info)
{
    struct lp2p_span *items = listed->items;
    size_t len = 0;
    for (size_t i = 0; i < listed->len && len < LP2P_IDENTIFY_PROTOCOLS_MAX; i++) {
        bool wanted = lp2p_identify_keeps(items[i]);
        for (size_t k = 0; wanted && k < len; k++) {
            wanted = !lp2p_span_eq(items[k], items[i]);
        }
        if (wanted) {
            items[len++] = items[i];
        }
    }
    if (listed->len == 0) {
        return LP2P_OK;
    }
    info->protocols = lp2p_strings_new(items, len);
    return info->protocols == NULL ? LP2P_ENOMEM : LP2P_OK;
}

/* ---- the whole */

/* The key may be absent; one that is there must give the connection's identity, or nothing of the message
 * counts. */
static enum lp2p_err check_key(struct lp2p_span encoded, const struct lp2p_peer_id *peer)
{
    struct lp2p_public_key key;
    struct lp2p_peer_id id;
    if (encoded.len == 0) {
        return LP2P_OK;
    }
    if (lp2p_public_key_parse(encoded, &key) != LP2P_OK) {
        return LP2P_EBADKEY;
    }
    lp2p_peer_id_from_key(&key, &id);
    return lp2p_peer_id_eq(&id, peer) ? LP2P_OK : LP2P_EWRONGPEER;
}

/* Where the fields of all messages end up; the spans point into the reader's bytes. */
struct fields {
    struct lp2p_span key, observed, version, agent, record;
    struct lp2p_pb_spans addrs, protocols;
    struct lp2p_span addr_items[ADDRS_SEEN_MAX], protocol_items[PROTOCOLS_SEEN_MAX];
};

static enum lp2p_err decode_all(const struct lp2p_identify_reader *reader, struct fields *fields)
{
    lp2p_idpb_Identify pb = lp2p_idpb_Identify_init_zero;
    fields->addrs = (struct lp2p_pb_spans){.items = fields->addr_items, .max = ADDRS_SEEN_MAX};
    fields->protocols = (struct lp2p_pb_spans){.items = fields->protocol_items, .max = PROTOCOLS_SEEN_MAX};
    pb.publicKey = lp2p_pb_read_span(&fields->key);
    pb.listenAddrs = lp2p_pb_read_spans(&fields->addrs);
    pb.protocols = lp2p_pb_read_spans(&fields->protocols);
    pb.observedAddr = lp2p_pb_read_span(&fields->observed);
    pb.protocolVersion = lp2p_pb_read_span(&fields->version);
    pb.agentVersion = lp2p_pb_read_span(&fields->agent);
    pb.signedPeerRecord = lp2p_pb_read_span(&fields->record);
    size_t start = 0;
    for (unsigned i = 0; i < reader->messages; i++) {
        if (reader->ends[i] == start) {
            continue; /* an empty message says nothing; without any other there are no bytes at all */
        }
        /* Callbacks stay in place between messages, so that each of them adds to the same lists. */
        struct lp2p_span message = lp2p_span(reader->buf->bytes + start, reader->ends[i] - start);
        enum lp2p_err err = lp2p_pb_decode(message, lp2p_idpb_Identify_fields, &pb);
        if (err != LP2P_OK) {
            return err;
        }
        start = reader->ends[i];
    }
    return LP2P_OK;
}

/* Keeps what was proven as it came: no copy, for it is known already more often than not. */
static void keep_proofs(struct lp2p_buf *buf, const struct fields *fields, const struct lp2p_peer_id *peer,
                        struct lp2p_identify_info *info)
{
    if (info->certified) {
        info->record = lp2p_slice_of(buf, buf->bytes + (fields->record.ptr - buf->bytes), fields->record.len);
    }
    if (fields->key.len > 0 && peer->bytes[0] != LP2P_MH_IDENTITY) {
        info->key = lp2p_slice_of(buf, buf->bytes + (fields->key.ptr - buf->bytes), fields->key.len);
    }
}

static enum lp2p_err take_fields(struct lp2p_buf *buf, struct fields *fields, const struct lp2p_peer_id *peer,
                                 const struct lp2p_multiaddr *remote, struct lp2p_identify_info *info)
{
    enum lp2p_err err = check_key(fields->key, peer);
    if (err == LP2P_OK) {
        err = take_addrs(&fields->addrs, fields->record, peer, remote, info);
    }
    if (err == LP2P_OK) {
        err = take_protocols(&fields->protocols, info);
    }
    if (err != LP2P_OK) {
        return err;
    }
    /* Over a relay rust tells a bare /p2p/ID: it parses, and nothing but a hint is made of it. */
    if (fields->observed.len == 0 || lp2p_multiaddr_parse(fields->observed, &info->observed) != LP2P_OK) {
        info->observed.len = 0;
    }
    keep_proofs(buf, fields, peer, info);
    lp2p_printable(fields->agent, info->agent, sizeof(info->agent));
    lp2p_printable(fields->version, info->protocol_version, sizeof(info->protocol_version));
    return LP2P_OK;
}

enum lp2p_err lp2p_identify_reader_finish(struct lp2p_identify_reader *reader,
                                          const struct lp2p_peer_id *peer,
                                          const struct lp2p_multiaddr *remote,
                                          struct lp2p_identify_info *info)
{
    memset(info, 0, sizeof(*info));
    if (!lp2p_frame_reader_idle(&reader->frames)) {
        return LP2P_ETRUNCATED;
    }
    if (reader->messages == 0) {
        return LP2P_EEOF;
    }
    struct fields *fields = malloc(sizeof(*fields));
    if (fields == NULL) {
        return LP2P_ENOMEM;
    }
    memset(fields, 0, offsetof(struct fields, addr_items)); /* the lists behind it say how long they are */
    enum lp2p_err err = decode_all(reader, fields);
    if (err == LP2P_OK) {
        err = take_fields(reader->buf, fields, peer, remote, info);
    }
    free(fields);
    if (err != LP2P_OK) {
        lp2p_identify_info_drop(info);
    }
    return err;
}

void lp2p_identify_info_drop(struct lp2p_identify_info *info)
{
    lp2p_addrs_drop(&info->addrs);
    lp2p_strings_drop(&info->protocols);
    lp2p_slice_drop(&info->record);
    lp2p_slice_drop(&info->key);
    memset(info, 0, sizeof(*info));
}
