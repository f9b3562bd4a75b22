/* SPDX-License-Identifier: MIT */
#include "actors/link/muxer.h"

#include "runtime/pool.h"

struct lp2p_link_stream *lp2p_streams_find(const struct lp2p_muxer *muxer, uint64_t handle)
{
    return (struct lp2p_link_stream *)lp2p_mux_map_get(&muxer->by_handle, handle);
}

struct lp2p_link_stream *lp2p_streams_add(struct lp2p_muxer *muxer, uint64_t handle,
                                          enum lp2p_link_stream_state state)
{
    struct lp2p_link_stream *stream = lp2p_pool_alloc(sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    *stream = (struct lp2p_link_stream){0};
    if (lp2p_mux_map_put(&muxer->by_handle, handle, stream) != LP2P_OK) {
        lp2p_pool_free(stream, sizeof(*stream));
        return NULL;
    }
    stream->handle = handle;
    stream->state = state;
    stream->outbound = state == LP2P_LINK_NEGOTIATING_OUT;
    muxer->negotiating_in += state == LP2P_LINK_NEGOTIATING_IN;
    lp2p_list_push_back(&muxer->streams, &stream->link);
    return stream;
}

void lp2p_streams_end_negotiation(struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    muxer->negotiating_in -= stream->state == LP2P_LINK_NEGOTIATING_IN;
    lp2p_heap_remove(&muxer->negotiations, &stream->deadline);
    lp2p_mss_free(stream->mss);
    stream->mss = NULL;
    lp2p_msg_drop(&stream->open);
}

void lp2p_streams_opened(struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    LP2P_CHECK(stream->state != LP2P_LINK_OPEN);
    if (!stream->outbound || lp2p_mss_confirmed(stream->mss)) {
        lp2p_streams_end_negotiation(muxer, stream);
    }
    stream->state = LP2P_LINK_OPEN;
    muxer->open_len += !stream->internal;
    LP2P_COUNT(muxer->ctx, streams_opened, 1);
    LP2P_COUNT(muxer->ctx, streams_open, 1);
}

void lp2p_streams_remove(struct lp2p_muxer *muxer, struct lp2p_link_stream *stream)
{
    if (muxer->kept == stream) {
        muxer->kept = NULL;
    }
    if (stream->state == LP2P_LINK_OPEN) {
        muxer->open_len -= !stream->internal;
        LP2P_COUNT(muxer->ctx, streams_open, -1);
    }
    if (stream->state != LP2P_LINK_OPEN || stream->mss != NULL) {
        lp2p_streams_end_negotiation(muxer, stream);
    }
    if (stream->batch != NULL) {
        struct lp2p_msg *msg = &stream->batch->msg;
        stream->batch = NULL;
        lp2p_msg_drop(&msg);
    }
    lp2p_list_remove(&stream->batched);
    lp2p_list_remove(&stream->link);
    lp2p_mux_map_remove(&muxer->by_handle, stream->handle);
    lp2p_pool_free(stream, sizeof(*stream));
}

struct lp2p_stream_id lp2p_streams_id(const struct lp2p_actor *self, const struct lp2p_link_stream *stream)
{
    return (struct lp2p_stream_id){.muxer = lp2p_self(self), .stream = stream->handle};
}

unsigned lp2p_streams_count(const struct lp2p_muxer *muxer, uint64_t protocol_hash)
{
    unsigned count = 0;
    LP2P_LIST_FOREACH(it, &muxer->streams)
    {
        const struct lp2p_link_stream *stream = LP2P_LIST_ENTRY(it, struct lp2p_link_stream, link);
        count +=
            stream->state == LP2P_LINK_OPEN && !stream->outbound && stream->protocol_hash == protocol_hash;
    }
    return count;
}
