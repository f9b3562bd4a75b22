/* SPDX-License-Identifier: MIT
 * What becomes of a request when its receiver has ended without reading it: the hooks of LP2P_REQUESTS
 * (actors/messages.h) for lp2p_msg_class.unread. Any thread; each uses nothing but the message. */
#ifndef LP2P_ACTORS_LINK_UNREAD_H
#define LP2P_ACTORS_LINK_UNREAD_H

#include "runtime/message.h"

/** The message itself, to where it was sent. */
struct lp2p_msg *lp2p_unread_again(struct lp2p_msg **msg, enum lp2p_err why);

/* Answers to who sent it, or to whom it names. */
struct lp2p_msg *lp2p_unread_stream_open(struct lp2p_msg **msg, enum lp2p_err why);
struct lp2p_msg *lp2p_unread_peer_stream_open(struct lp2p_msg **msg, enum lp2p_err why);
/** The owner did not get the stream, so it was not opened. Only of those that it asked for. */
struct lp2p_msg *lp2p_unread_stream_opened(struct lp2p_msg **msg, enum lp2p_err why);
struct lp2p_msg *lp2p_unread_dial(struct lp2p_msg **msg, enum lp2p_err why);
struct lp2p_msg *lp2p_unread_resolve(struct lp2p_msg **msg, enum lp2p_err why);
struct lp2p_msg *lp2p_unread_dht_request(struct lp2p_msg **msg, enum lp2p_err why);
struct lp2p_msg *lp2p_unread_proxied(struct lp2p_msg **msg, enum lp2p_err why);

#endif
