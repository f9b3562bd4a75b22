/* SPDX-License-Identifier: MIT */
#include "actors/messages.h"

#include "actors/link/unread.h"

#include <stdlib.h>

/* A message may be dropped anywhere: in a mailbox whose actor has ended, by a sender that cannot wait, or by
 * the runtime after a handler that left it. Whoever waits for an operation must hear of it even then, so a
 * dropped operation is a finished one; an operation that is already finished is not changed by this. */
static void give_up(struct lp2p_op **op)
{
    if (*op != NULL) {
        lp2p_op_finish(*op, LP2P_ECLOSED, NULL);
        lp2p_op_drop(op);
    }
}

static void drop_slices(struct lp2p_slice *slices, unsigned len)
{
    LP2P_CHECK(len <= LP2P_SLICES_MAX);
    for (unsigned i = 0; i < len; i++) {
        lp2p_slice_drop(&slices[i]);
    }
}

#define AS(type) ((struct lp2p_m_##type *)(void *)msg)

static void drop_upgraded(struct lp2p_msg *msg)
{
    struct lp2p_m_upgraded *m = AS(upgraded);
    lp2p_carrier_close(&m->carrier);
    lp2p_secure_free(m->secure);
    m->secure = NULL;
    lp2p_slice_drop(&m->leftover);
}

static void drop_dial(struct lp2p_msg *msg)
{
    lp2p_addrs_drop(&AS(dial)->named);
    lp2p_addrs_drop(&AS(dial)->addrs);
    lp2p_addrs_drop(&AS(dial)->own);
}

static void drop_resolved(struct lp2p_msg *msg)
{
    lp2p_addrs_drop(&AS(resolved)->addrs);
    lp2p_addrs_drop(&AS(resolved)->names);
}

static void drop_listening(struct lp2p_msg *msg)
{
    lp2p_addrs_drop(&AS(listening)->addrs);
}

static void drop_conn_bytes(struct lp2p_msg *msg)
{
    drop_slices(AS(conn_bytes)->slices, AS(conn_bytes)->slices_len);
}

static void drop_conn_write(struct lp2p_msg *msg)
{
    lp2p_buf_drop(&AS(conn_write)->buf);
    for (unsigned i = 0; i < AS(conn_write)->holes.len; i++) {
        lp2p_slice_drop(&AS(conn_write)->holes.of[i].data);
    }
}

static void drop_protocols_changed(struct lp2p_msg *msg)
{
    lp2p_protocols_drop(&AS(protocols_changed)->protocols);
}

static void drop_stream_open(struct lp2p_msg *msg)
{
    give_up(&AS(stream_open)->op);
}

static void drop_stream_opened(struct lp2p_msg *msg)
{
    give_up(&AS(stream_opened)->op);
}

static void drop_stream_open_failed(struct lp2p_msg *msg)
{
    struct lp2p_m_stream_open_failed *m = AS(stream_open_failed);
    if (m->op != NULL) {
        lp2p_op_finish(m->op, m->reason == LP2P_OK ? LP2P_ECLOSED : m->reason, "%s", m->text);
        lp2p_op_drop(&m->op);
    }
}

static void drop_stream_data(struct lp2p_msg *msg)
{
    drop_slices(AS(stream_data)->slices, AS(stream_data)->slices_len);
}

static void drop_stream_write(struct lp2p_msg *msg)
{
    drop_slices(AS(stream_write)->slices, AS(stream_write)->slices_len);
    if (AS(stream_write)->source != NULL) {
        AS(stream_write)->source->drop(AS(stream_write)->source);
        AS(stream_write)->source = NULL;
    }
}

static void drop_peer_stream_open(struct lp2p_msg *msg)
{
    lp2p_addrs_drop(&AS(peer_stream_open)->hints);
    give_up(&AS(peer_stream_open)->op);
}

static void drop_connect(struct lp2p_msg *msg)
{
    lp2p_addrs_drop(&AS(connect)->addrs);
    give_up(&AS(connect)->op);
}

static void drop_disconnect(struct lp2p_msg *msg)
{
    give_up(&AS(disconnect)->op);
}

static void drop_register(struct lp2p_msg *msg)
{
    give_up(&AS(register)->op);
}

static void drop_identified(struct lp2p_msg *msg)
{
    lp2p_addrs_drop(&AS(identified)->addrs);
    lp2p_strings_drop(&AS(identified)->protocols);
    lp2p_slice_drop(&AS(identified)->record);
    lp2p_slice_drop(&AS(identified)->key);
}

static void drop_peer_found(struct lp2p_msg *msg)
{
    lp2p_addrs_drop(&AS(peer_found)->addrs);
}

static void drop_list_peers(struct lp2p_msg *msg)
{
    give_up(&AS(list_peers)->op);
}

static void drop_list_addrs(struct lp2p_msg *msg)
{
    give_up(&AS(list_addrs)->op);
}

static void drop_peer(struct lp2p_msg *msg)
{
    lp2p_peer_info_drop(&AS(peer)->info);
}

static void drop_self_changed(struct lp2p_msg *msg)
{
    lp2p_self_info_drop(&AS(self_changed)->self);
}

static void drop_message_send(struct lp2p_msg *msg)
{
    struct lp2p_m_message_send *m = AS(message_send);
    for (size_t i = 0; m->peers != NULL && i < m->peers_len; i++) {
        lp2p_peer_info_drop(&m->peers[i]);
    }
    free(m->peers);
    m->peers = NULL;
    lp2p_slice_drop(&m->json);
    give_up(&m->op);
}

static void drop_message(struct lp2p_msg *msg)
{
    lp2p_slice_drop(&AS(message)->json);
}

static void drop_dht_request(struct lp2p_msg *msg)
{
    lp2p_slice_drop(&AS(dht_request)->key);
    lp2p_slice_drop(&AS(dht_request)->value);
    give_up(&AS(dht_request)->op);
}

static void drop_dht_done(struct lp2p_msg *msg)
{
    lp2p_slice_drop(&AS(dht_done)->value);
}

static void drop_announce(struct lp2p_msg *msg)
{
    lp2p_slice_drop(&AS(announce)->json);
    give_up(&AS(announce)->op);
}

static void drop_discover(struct lp2p_msg *msg)
{
    give_up(&AS(discover)->op);
}

static void drop_user_stream(struct lp2p_msg *msg)
{
    lp2p_stream_free(AS(user_stream)->stream);
    AS(user_stream)->stream = NULL;
}

static void drop_notify(struct lp2p_msg *msg)
{
    lp2p_peer_info_drop(&AS(notify)->info);
    lp2p_slice_drop(&AS(notify)->json);
    lp2p_op_drop(&AS(notify)->op); /* finished already: this was only the word of it */
}

static void drop_tag(struct lp2p_msg *msg)
{
    give_up(&AS(tag)->op);
}

static void drop_store_batch(struct lp2p_msg *msg)
{
    lp2p_buf_drop(&AS(store_batch)->buf);
}

/* Kinds that hold nothing. */
#define drop_attempt_ended NULL
#define drop_proxied NULL
#define drop_admitted NULL
#define drop_arrived NULL
#define drop_dial_ended NULL
#define drop_dial_cancel NULL
#define drop_resolve NULL
#define drop_interfaces_changed NULL
#define drop_conn_attach NULL
#define drop_conn_credit NULL
#define drop_conn_wrote NULL
#define drop_conn_ended NULL
#define drop_link_up NULL
#define drop_link_ended NULL
#define drop_link_status NULL
#define drop_link_refused NULL
#define drop_link_close NULL
#define drop_stream_mark NULL
#define drop_stream_reset NULL
#define drop_stream_bytes NULL
#define drop_peer_gone NULL
#define drop_protect NULL
#define drop_registered NULL
#define drop_subscribe NULL
#define drop_message_route NULL
#define drop_store_mark NULL

#define REQUEST(NAME, type, which, hook)                                                                     \
    _Static_assert(sizeof(struct lp2p_m_##type) <= LP2P_MSG_SIZE_MAX, #NAME " fits in a message");           \
    const struct lp2p_msg_class LP2P_M_##NAME = {                                                            \
        .name = #NAME,                                                                                       \
        .size = sizeof(struct lp2p_m_##type),                                                                \
        .lane = LP2P_LANE_##which,                                                                           \
        .drop = drop_##type,                                                                                 \
        .unread = hook,                                                                                      \
    };
#define MESSAGE(NAME, type, which) REQUEST(NAME, type, which, NULL)
#define HOOKED(NAME, type, which, hook) REQUEST(NAME, type, which, lp2p_unread_##hook)
LP2P_MESSAGES(MESSAGE)
LP2P_REQUESTS(HOOKED)
