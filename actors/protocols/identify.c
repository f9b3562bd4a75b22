/* SPDX-License-Identifier: MIT
 * Our own side of identify: what we send. What we read is in identify_read.c. */
#include "actors/protocols/identify.h"

#include "identify.pb.h"
#include "wire/pb.h"

#include <stdlib.h>

#define LIST_MAX 256 /* entries looked at of each of our own lists */

/* Encodes these entries; ELIMIT when they do not fit. */
static enum lp2p_err encode_some(const struct lp2p_context *ctx, struct lp2p_pb_spans *addrs,
                                 struct lp2p_pb_spans *protocols, uint8_t *out, size_t cap, size_t *len)
{
    struct lp2p_span key = lp2p_public_key_encoded(&ctx->public_key);
    struct lp2p_span version = lp2p_span_str(LP2P_IDENTIFY_VERSION);
    struct lp2p_span agent = lp2p_span_str(ctx->config.agent);
    lp2p_idpb_Identify pb = lp2p_idpb_Identify_init_zero;
    pb.publicKey = lp2p_pb_write_span(&key);
    pb.listenAddrs = lp2p_pb_write_spans(addrs);
    pb.protocols = lp2p_pb_write_spans(protocols);
    pb.protocolVersion = lp2p_pb_write_span(&version);
    pb.agentVersion = lp2p_pb_write_span(&agent);
    return lp2p_pb_encode(lp2p_idpb_Identify_fields, &pb, out, cap, len);
}

enum lp2p_err lp2p_identify_encode(const struct lp2p_context *ctx, const struct lp2p_addrs *addrs,
                                   const struct lp2p_strings *protocols, struct lp2p_slice *message)
{
    struct lp2p_span addr_items[LIST_MAX], protocol_items[LIST_MAX];
    struct lp2p_pb_spans addr_list = {.items = addr_items}, protocol_list = {.items = protocol_items};
    for (size_t i = 0; addrs != NULL && i < addrs->len && i < LP2P_IDENTIFY_ADDRS_MAX; i++) {
        addr_items[addr_list.len++] = lp2p_multiaddr_span(&addrs->items[i]);
    }
    for (size_t i = 0; protocols != NULL && i < protocols->len && i < LIST_MAX; i++) {
        protocol_items[protocol_list.len++] = lp2p_span_str(protocols->items[i]);
    }
    uint8_t out[LP2P_IDENTIFY_BASE_MAX];
    size_t len = 0;
    enum lp2p_err err = encode_some(ctx, &addr_list, &protocol_list, out, sizeof(out), &len);
    while (err == LP2P_ELIMIT && addr_list.len + protocol_list.len > 0) {
        if (addr_list.len > 0) {
            addr_list.len--;
        } else {
            protocol_list.len--;
        }
        err = encode_some(ctx, &addr_list, &protocol_list, out, sizeof(out), &len);
    }
    if (err != LP2P_OK) {
        return err;
    }
    *message = lp2p_slice_copy(out, len);
    return message->buf == NULL ? LP2P_ENOMEM : LP2P_OK;
}

/* Appends one framed message made of `base` and the fields of `extra` (protobufs merge when they are put one
 * behind the other). */
static enum lp2p_err append_frame(struct lp2p_slice *out, size_t cap, struct lp2p_span base,
                                  const lp2p_idpb_Identify *extra)
{
    size_t extra_len = lp2p_pb_size(lp2p_idpb_Identify_fields, extra);
    uint8_t prefix[9];
    size_t prefix_len = lp2p_frame_prefix(prefix, base.len + extra_len);
    if (cap - out->len < prefix_len + base.len + extra_len) {
        return LP2P_ELIMIT;
    }
    memcpy(out->ptr + out->len, prefix, prefix_len);
    out->len += (uint32_t)prefix_len;
    if (base.len > 0) {
        memcpy(out->ptr + out->len, base.ptr, base.len);
        out->len += (uint32_t)base.len;
    }
    size_t written = 0;
    enum lp2p_err err =
        lp2p_pb_encode(lp2p_idpb_Identify_fields, extra, out->ptr + out->len, cap - out->len, &written);
    out->len += (uint32_t)written;
    return err;
}

enum lp2p_err lp2p_identify_compose(struct lp2p_span message, const struct lp2p_multiaddr *observed,
                                    struct lp2p_span record, struct lp2p_slice *out)
{
    struct lp2p_buf *buf = lp2p_buf_new(LP2P_IDENTIFY_OUT_MAX);
    if (buf == NULL) {
        return LP2P_ENOMEM;
    }
    *out = (struct lp2p_slice){buf, buf->bytes, 0};
    struct lp2p_span seen = observed->len > 0 ? lp2p_multiaddr_span(observed) : (struct lp2p_span){0};
    struct lp2p_span sealed = record.len > 0 ? record : (struct lp2p_span){0};
    bool together = message.len + seen.len + sealed.len < LP2P_IDENTIFY_ONE_MAX;

    lp2p_idpb_Identify first = lp2p_idpb_Identify_init_zero, second = lp2p_idpb_Identify_init_zero;
    first.observedAddr = lp2p_pb_write_span(&seen);
    if (together) {
        first.signedPeerRecord = lp2p_pb_write_span(&sealed);
    }
    enum lp2p_err err = append_frame(out, LP2P_IDENTIFY_OUT_MAX, message, &first);
    if (err == LP2P_OK && !together && sealed.len > 0) {
        second.signedPeerRecord = lp2p_pb_write_span(&sealed);
        err = append_frame(out, LP2P_IDENTIFY_OUT_MAX, (struct lp2p_span){0}, &second);
        /* A record too large to be sent is left out: listenAddrs say the same, only unsigned. */
        err = err == LP2P_ELIMIT ? LP2P_OK : err;
    }
    if (err != LP2P_OK) {
        lp2p_slice_drop(out);
    }
    return err;
}
