/* SPDX-License-Identifier: MIT */
#include "wire/envelope.h"

#include "base/check.h"
#include "wire/pb.h"
#include "wire/varint.h"

#include "envelope.pb.h"
#include "peer_record.pb.h"

#include <stdlib.h>

#define ENVELOPE_MAX (64u * 1024u) /* bytes; the largest record that this node makes has 17 KiB */

static const char record_domain[] = "libp2p-peer-record";
static const uint8_t record_type[] = {0x03, 0x01}; /* not a uvarint: see go-libp2p core/peer/record.go */

static size_t put_field(uint8_t *out, struct lp2p_span field)
{
    size_t size = lp2p_varint_put(out, field.len);
    if (field.len > 0) {
        memcpy(out + size, field.ptr, field.len);
    }
    return size + field.len;
}

/* RFC/0002 "Signature Production": each part with its length. The caller frees ptr; NULL when memory is
 * short. */
static struct lp2p_span signed_bytes(const char *domain, struct lp2p_span type, struct lp2p_span payload)
{
    struct lp2p_span parts[] = {lp2p_span_str(domain), type, payload};
    size_t size = parts[0].len + type.len + payload.len + 3 * LP2P_VARINT_MAX;
    uint8_t *bytes = malloc(size);
    size_t len = 0;
    for (size_t i = 0; bytes != NULL && i < LP2P_ARRAY_LEN(parts); i++) {
        len += put_field(bytes + len, parts[i]);
    }
    return lp2p_span(bytes, len);
}

enum lp2p_err lp2p_envelope_open(struct lp2p_span in, const char *domain, struct lp2p_span payload_type,
                                 struct lp2p_envelope *out)
{
    if (in.len > ENVELOPE_MAX) {
        return LP2P_EOVERSIZE;
    }
    struct lp2p_span key, signature;
    lp2p_envelope_Envelope message = {
        .public_key = lp2p_pb_read_span(&key),
        .payload_type = lp2p_pb_read_span(&out->payload_type),
        .payload = lp2p_pb_read_span(&out->payload),
        .signature = lp2p_pb_read_span(&signature),
    };
    enum lp2p_err err = lp2p_pb_decode(in, lp2p_envelope_Envelope_fields, &message);
    if (err != LP2P_OK) {
        return err;
    }
    if (!lp2p_span_eq(out->payload_type, payload_type)) {
        return LP2P_EBADRECORD;
    }
    err = lp2p_public_key_parse(key, &out->key);
    if (err != LP2P_OK) {
        return err == LP2P_EMALFORMED ? err : LP2P_EBADKEY;
    }
    struct lp2p_span text = signed_bytes(domain, payload_type, out->payload);
    if (text.ptr == NULL) {
        return LP2P_ENOMEM;
    }
    err = lp2p_public_key_verify(&out->key, text, signature);
    free((void *)(uintptr_t)text.ptr);
    return err;
}

enum lp2p_err lp2p_envelope_seal(const struct lp2p_private_key *key, const char *domain,
                                 struct lp2p_span payload_type, struct lp2p_span payload, uint8_t *out,
                                 size_t cap, size_t *len)
{
    if (domain[0] == '\0' || payload_type.len == 0) {
        return LP2P_EINVAL; /* go-libp2p core/record/envelope.go refuses both */
    }
    if (payload.len > ENVELOPE_MAX || payload_type.len > ENVELOPE_MAX) {
        return LP2P_ELIMIT;
    }
    struct lp2p_span text = signed_bytes(domain, payload_type, payload);
    if (text.ptr == NULL) {
        return LP2P_ENOMEM;
    }
    uint8_t signature[LP2P_SIGNATURE_MAX];
    struct lp2p_span encoded = lp2p_public_key_encoded(&key->public_key),
                     sig = lp2p_span(signature, lp2p_private_key_sign(key, text, signature));
    free((void *)(uintptr_t)text.ptr);
    if (sig.len == 0) {
        return LP2P_ESIGNATURE;
    }
    lp2p_envelope_Envelope message = {
        .public_key = lp2p_pb_write_span(&encoded),
        .payload_type = lp2p_pb_write_span(&payload_type),
        .payload = lp2p_pb_write_span(&payload),
        .signature = lp2p_pb_write_span(&sig),
    };
    return lp2p_pb_encode(lp2p_envelope_Envelope_fields, &message, out, cap, len);
}

/* Peer records */

static bool read_address(pb_istream_t *stream, const pb_field_t *field, void **arg)
{
    (void)field;
    struct lp2p_peer_record *record = *arg;
    struct lp2p_span bytes;
    lp2p_record_PeerRecord_AddressInfo info = {.multiaddr = lp2p_pb_read_span(&bytes)};
    if (!pb_decode(stream, lp2p_record_PeerRecord_AddressInfo_fields, &info)) {
        return false;
    }
    /* One bad address does not spoil the others (go-libp2p core/peer/record.go). */
    if (record->addrs_len < LP2P_RECORD_ADDRS_MAX &&
        lp2p_multiaddr_parse(bytes, &record->addrs[record->addrs_len]) == LP2P_OK) {
        record->addrs_len++;
    }
    return true;
}

enum lp2p_err lp2p_peer_record_open(struct lp2p_span envelope, struct lp2p_peer_record *out)
{
    struct lp2p_envelope opened;
    enum lp2p_err err =
        lp2p_envelope_open(envelope, record_domain, lp2p_span(record_type, sizeof(record_type)), &opened);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_span peer;
    out->addrs_len = 0;
    lp2p_record_PeerRecord message = {
        .peer_id = lp2p_pb_read_span(&peer),
        .addresses = {.funcs.decode = read_address, .arg = out},
    };
    err = lp2p_pb_decode(opened.payload, lp2p_record_PeerRecord_fields, &message);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_peer_id signer;
    lp2p_peer_id_from_key(&opened.key, &signer);
    if (!lp2p_span_eq(peer, lp2p_peer_id_span(&signer))) {
        return LP2P_EBADRECORD;
    }
    out->peer = signer;
    out->seq = message.seq;
    return LP2P_OK;
}

static bool write_addresses(pb_ostream_t *stream, const pb_field_t *field, void *const *arg)
{
    const struct lp2p_peer_record *record = *arg;
    for (size_t i = 0; i < record->addrs_len; i++) {
        struct lp2p_span bytes = lp2p_multiaddr_span(&record->addrs[i]);
        lp2p_record_PeerRecord_AddressInfo info = {.multiaddr = lp2p_pb_write_span(&bytes)};
        if (!pb_encode_tag_for_field(stream, field) ||
            !pb_encode_submessage(stream, lp2p_record_PeerRecord_AddressInfo_fields, &info)) {
            return false;
        }
    }
    return true;
}

enum lp2p_err lp2p_peer_record_seal(const struct lp2p_private_key *key, const struct lp2p_peer_record *record,
                                    uint8_t *out, size_t cap, size_t *len)
{
    if (record->addrs_len > LP2P_RECORD_ADDRS_MAX) {
        return LP2P_EINVAL;
    }
    struct lp2p_span peer = lp2p_peer_id_span(&record->peer);
    lp2p_record_PeerRecord message = {
        .peer_id = lp2p_pb_write_span(&peer),
        .seq = record->seq,
        .addresses = {.funcs.encode = write_addresses, .arg = (void *)(uintptr_t)record},
    };
    size_t size = lp2p_pb_size(lp2p_record_PeerRecord_fields, &message);
    uint8_t *payload = size == 0 ? NULL : malloc(size);
    if (payload == NULL) {
        return LP2P_ENOMEM;
    }
    enum lp2p_err err = lp2p_pb_encode(lp2p_record_PeerRecord_fields, &message, payload, size, &size);
    if (err == LP2P_OK) {
        err = lp2p_envelope_seal(key, record_domain, lp2p_span(record_type, sizeof(record_type)),
                                 lp2p_span(payload, size), out, cap, len);
    }
    free(payload);
    return err;
}
