/* SPDX-License-Identifier: MIT */
#include "dht/codec.h"

#include "base/check.h"
#include "wire/pb.h"

#include "kad.pb.h"

#include <pb_encode.h>

enum { CONNECTION_NONE = 0, CONNECTION_CONNECTED = 1 };

enum lp2p_err lp2p_kad_message_decode(struct lp2p_span in, struct lp2p_kad_message *out)
{
    struct lp2p_pb_spans closer = {.items = out->closer, .max = LP2P_KAD_CLOSER_MAX};
    struct lp2p_pb_spans providers = {.items = out->providers, .max = LP2P_KAD_PROVIDERS_IN_MAX};
    out->key = out->record = lp2p_span(NULL, 0);
    lp2p_kadpb_Message message = lp2p_kadpb_Message_init_zero;
    message.key = lp2p_pb_read_span(&out->key);
    message.record = lp2p_pb_read_span(&out->record);
    message.closerPeers = lp2p_pb_read_spans(&closer);
    message.providerPeers = lp2p_pb_read_spans(&providers);
    enum lp2p_err err = lp2p_pb_decode(in, lp2p_kadpb_Message_fields, &message);
    out->type = (enum lp2p_kad_type)LP2P_MIN(message.type, LP2P_KAD_TYPES);
    out->closer_len = closer.len;
    out->providers_len = providers.len;
    if (err == LP2P_OK && message.type >= LP2P_KAD_TYPES) {
        err = LP2P_EUNSUPPORTED;
    }
    return err;
}

enum lp2p_err lp2p_kad_peer_decode(struct lp2p_span in, bool public_only, struct lp2p_kad_peer *out)
{
    struct lp2p_span addrs[LP2P_KAD_ADDRS_IN_MAX];
    struct lp2p_pb_spans list = {.items = addrs, .max = LP2P_KAD_ADDRS_IN_MAX};
    struct lp2p_span id = {NULL, 0};
    lp2p_kadpb_Peer peer = lp2p_kadpb_Peer_init_zero;
    peer.id = lp2p_pb_read_span(&id);
    peer.addrs = lp2p_pb_read_spans(&list);
    enum lp2p_err err = lp2p_pb_decode(in, lp2p_kadpb_Peer_fields, &peer);
    if (err == LP2P_OK) {
        err = lp2p_peer_id_parse(id, &out->id);
    }
    if (err != LP2P_OK) {
        return LP2P_EMALFORMED;
    }
    out->addrs_len = 0;
    out->connected = peer.connection == CONNECTION_CONNECTED;
    for (size_t i = 0; i < list.len; i++) {
        struct lp2p_multiaddr addr;
        if (lp2p_multiaddr_parse(addrs[i], &addr) == LP2P_OK) {
            lp2p_kad_peer_add(out, &addr, public_only);
        }
    }
    return LP2P_OK;
}

static enum lp2p_err append(struct lp2p_kad_writer *writer, const pb_msgdesc_t *desc, const void *message)
{
    size_t len = 0;
    enum lp2p_err err =
        lp2p_pb_encode(desc, message, writer->out + writer->len, writer->cap - writer->len, &len);
    if (err == LP2P_OK) {
        writer->len += len;
    }
    return err;
}

enum lp2p_err lp2p_kad_write_head(struct lp2p_kad_writer *writer, enum lp2p_kad_type type,
                                  struct lp2p_span key, const struct lp2p_kad_record *record)
{
    lp2p_kadpb_Message message = lp2p_kadpb_Message_init_zero;
    message.type = (uint32_t)type;
    message.key = lp2p_pb_write_span(&key);
    enum lp2p_err err = append(writer, lp2p_kadpb_Message_fields, &message);
    if (err != LP2P_OK || record == NULL) {
        return err;
    }
    lp2p_kadpb_Part part = lp2p_kadpb_Part_init_zero;
    part.has_record = true;
    part.record.key = lp2p_pb_write_span(&record->key);
    part.record.value = lp2p_pb_write_span(&record->value);
    part.record.timeReceived = lp2p_pb_write_span(&record->time_text);
    return append(writer, lp2p_kadpb_Part_fields, &part);
}

static bool put_bytes(pb_ostream_t *stream, uint32_t tag, const uint8_t *bytes, size_t len)
{
    return pb_encode_tag(stream, PB_WT_STRING, tag) && pb_encode_string(stream, bytes, len);
}

/* The fields of a Peer (kad.proto). */
static bool put_peer(pb_ostream_t *stream, const struct lp2p_kad_listed *listed, size_t addrs_max)
{
    const struct lp2p_kad_contact *contact = listed->contact;
    const uint8_t *packed = contact->packed;
    size_t addrs_len = LP2P_MIN(contact->addrs_len, addrs_max);
    bool good = put_bytes(stream, lp2p_kadpb_Peer_id_tag, contact->id.bytes, contact->id.len);
    for (size_t i = 0; good && i < addrs_len; i++) {
        good = put_bytes(stream, lp2p_kadpb_Peer_addrs_tag, packed + 1, packed[0]);
        packed += 1 + packed[0];
    }
    if (good && listed->connected) {
        good = pb_encode_tag(stream, PB_WT_VARINT, lp2p_kadpb_Peer_connection_tag) &&
               pb_encode_varint(stream, CONNECTION_CONNECTED);
    }
    return good;
}

/* Appends one peer with up to addrs_max of its addresses. Twenty of them make an answer: field by field this
 * takes an eighth of what the encoder takes that reads descriptors. */
static enum lp2p_err append_peer(struct lp2p_kad_writer *writer, const struct lp2p_kad_listed *listed,
                                 size_t addrs_max)
{
    uint32_t tag = listed->provider ? lp2p_kadpb_Part_provider_tag : lp2p_kadpb_Part_closer_tag;
    pb_ostream_t size = PB_OSTREAM_SIZING;
    pb_ostream_t stream = pb_ostream_from_buffer(writer->out + writer->len, writer->cap - writer->len);
    if (!put_peer(&size, listed, addrs_max) || !pb_encode_tag(&stream, PB_WT_STRING, tag) ||
        !pb_encode_varint(&stream, size.bytes_written) || !put_peer(&stream, listed, addrs_max)) {
        return LP2P_ELIMIT;
    }
    writer->len += stream.bytes_written;
    return LP2P_OK;
}

/* Upper estimate of a listed peer on the wire, without running the encoder. */
static size_t listed_bytes(const struct lp2p_kad_listed *listed, size_t addrs_max)
{
    size_t bytes = 12u + listed->contact->id.len;
    const uint8_t *packed = listed->contact->packed;
    for (size_t i = 0; i < LP2P_MIN(listed->contact->addrs_len, addrs_max); i++) {
        bytes += 3u + packed[0];
        packed += 1 + packed[0];
    }
    return bytes;
}

static size_t fitting_addrs(const struct lp2p_kad_listed *peers, size_t peers_len, size_t budget)
{
    size_t addrs_max = LP2P_KAD_ADDRS_MAX;
    for (; addrs_max > 1; addrs_max /= 2) {
        size_t bytes = 0;
        for (size_t i = 0; i < peers_len; i++) {
            bytes += listed_bytes(&peers[i], addrs_max);
        }
        if (bytes <= budget) {
            break;
        }
    }
    return addrs_max;
}

void lp2p_kad_write_peers(struct lp2p_kad_writer *writer, const struct lp2p_kad_listed *peers,
                          size_t peers_len)
{
    size_t soft = LP2P_MIN(writer->cap, LP2P_KAD_SOFT_MAX);
    size_t addrs_max = fitting_addrs(peers, peers_len, soft > writer->len ? soft - writer->len : 0);
    for (size_t i = 0; i < peers_len; i++) {
        /* A peer too large for the rest of the buffer is left out; a smaller one behind it may still fit. */
        if (append_peer(writer, &peers[i], addrs_max) != LP2P_OK) {
            continue;
        }
    }
}
