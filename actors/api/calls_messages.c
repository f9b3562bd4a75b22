/* SPDX-License-Identifier: MIT
 * The public calls that send Lotus messages. */
#include "actors/api/node.h"
#include "actors/api/op_private.h"
#include "actors/api/system_rand.h"
#include "actors/protocols/lotus_message.h"

#include <stdio.h>
#include <stdlib.h>

/* Builds the message and everything but its receivers; on success *op is set (if out is) and *m holds a
 * reference to it. */
static enum lp2p_err prepare(struct lp2p_node *node, const struct lp2p_message *message,
                             const char *stream_protocol, struct lp2p_op **out, struct lp2p_op **op,
                             struct lp2p_m_message_send **m)
{
    const char *protocol = stream_protocol == NULL ? LP2P_LOTUS_MESSAGE_PROTOCOL : stream_protocol;
    struct lp2p_slice json = {0};
    if (node == NULL || message == NULL || protocol[0] != '/' || strlen(protocol) >= LP2P_PROTOCOL_ID_MAX) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = lp2p_lotus_message_build(message, node->ctx.self_text, lp2p_gate_wall_ms(),
                                                 &lp2p_system_rand, &json, NULL);
    if (err != LP2P_OK) {
        return err;
    }
    err = lp2p_node_op(node, out, op);
    if (err == LP2P_OK) {
        *m = LP2P_NEW(MESSAGE_SEND, message_send);
        if (*m == NULL) {
            lp2p_op_free(*op);
            err = LP2P_ENOMEM;
        }
    }
    if (err != LP2P_OK) {
        lp2p_slice_drop(&json);
        return err;
    }
    (void)snprintf((*m)->stream_protocol, sizeof((*m)->stream_protocol), "%s", protocol);
    (*m)->json = json;
    (*m)->msg.bytes = json.len;
    (*m)->op = lp2p_op_ref(*op);
    lp2p_op_set_bytes(*op, lp2p_slice_span(&json));
    return LP2P_OK;
}

enum lp2p_err lp2p_node_send_to(struct lp2p_node *node, const char *peer, const struct lp2p_message *message,
                                const char *stream_protocol, struct lp2p_op **out)
{
    struct lp2p_peer_id id;
    struct lp2p_op *op = NULL;
    struct lp2p_m_message_send *m = NULL;
    enum lp2p_err err = lp2p_parse_peer(peer, &id);
    if (err != LP2P_OK || (err = prepare(node, message, stream_protocol, out, &op, &m)) != LP2P_OK) {
        return err;
    }
    m->peer = id;
    return lp2p_node_submit(node, LP2P_TO_MESSAGES, &m->msg, op, out);
}

/* ---- broadcast */

static bool names_peer(const char *const *texts, size_t len, const struct lp2p_peer_id *peer)
{
    for (size_t i = 0; i < len; i++) {
        struct lp2p_peer_id id;
        if (lp2p_parse_peer(texts[i], &id) == LP2P_OK && lp2p_peer_id_eq(&id, peer)) {
            return true;
        }
    }
    return false;
}

static enum lp2p_err check_names(const char *const *texts, size_t len)
{
    struct lp2p_peer_id id;
    enum lp2p_err err = texts == NULL && len > 0 ? LP2P_EINVAL : LP2P_OK;
    for (size_t i = 0; i < len && err == LP2P_OK; i++) {
        err = lp2p_parse_peer(texts[i], &id);
    }
    return err;
}

/* Puts references to those of the connected peers that shall get it into the message. */
static enum lp2p_err choose_peers(struct lp2p_node *node, const struct lp2p_broadcast *options,
                                  struct lp2p_m_message_send *m)
{
    struct lp2p_op *list = NULL;
    enum lp2p_err err = lp2p_node_list_peers(node, true, NULL, &list);
    if (err != LP2P_OK) {
        return err;
    }
    size_t len = 0;
    struct lp2p_peer_info *const *infos = lp2p_op_infos(list, &len);
    m->peers = calloc(len == 0 ? 1 : len, sizeof(struct lp2p_peer_info *));
    err = m->peers == NULL ? LP2P_ENOMEM : LP2P_OK;
    for (size_t i = 0; i < len && err == LP2P_OK; i++) {
        const struct lp2p_peer_id *id = &infos[i]->id;
        bool wanted = options == NULL || options->include_only_len == 0 ||
                      names_peer(options->include_only, options->include_only_len, id);
        if (wanted && !(options != NULL && names_peer(options->exclude, options->exclude_len, id))) {
            m->peers[m->peers_len++] = lp2p_peer_info_ref(infos[i]);
        }
    }
    lp2p_op_free(list);
    return err;
}

enum lp2p_err lp2p_node_broadcast(struct lp2p_node *node, const struct lp2p_message *message,
                                  const struct lp2p_broadcast *options, struct lp2p_op **out)
{
    struct lp2p_op *op = NULL;
    struct lp2p_m_message_send *m = NULL;
    enum lp2p_err err = LP2P_OK;
    if (options != NULL) {
        err = check_names(options->exclude, options->exclude_len);
        err = err != LP2P_OK ? err : check_names(options->include_only, options->include_only_len);
    }
    if (err == LP2P_OK) {
        err = prepare(node, message, options == NULL ? NULL : options->stream_protocol, out, &op, &m);
    }
    if (err != LP2P_OK) {
        return err;
    }
    m->deliver_local = true;
    err = choose_peers(node, options, m);
    if (err != LP2P_OK) {
        struct lp2p_msg *msg = &m->msg;
        lp2p_msg_drop(&msg);
        lp2p_op_free(op);
        return err;
    }
    return lp2p_node_submit(node, LP2P_TO_MESSAGES, &m->msg, op, out);
}
