/* SPDX-License-Identifier: MIT
 * A remote side under full control of the test: it speaks the protocols itself, and lies or stops wherever it
 * is told to. */
#ifndef LP2P_TESTS_LINK_RAW_H
#define LP2P_TESTS_LINK_RAW_H

#include "link_world.h"

struct raw {
    struct world *world;
    const struct lp2p_net *net;
    int fd;
    struct lp2p_private_key key;
    struct lp2p_noise_identity identity;
    struct lp2p_noise *noise;
    struct lp2p_mux *mux; /* a yamux session, after raw_handshake */
    uint8_t in[1 << 18];  /* received and not understood */
    size_t in_len;
    uint64_t sent, budget; /* bytes sent, and how many may be: then it falls silent */
    bool ended;            /* the node closed or reset the connection */
    int muxer;             /* index agreed by the extension, -1: none */
    size_t skip;           /* plaintext in front of the session's: the answers of a negotiation */
};

/** Connected to the node. Free with raw_free, which closes. */
struct raw *raw_new(struct world *world, struct node *node);
/** The same from this machine. */
struct raw *raw_new_from(struct world *world, struct node *node, const struct lp2p_net *net);
void raw_free(struct raw *raw);
void raw_close(struct raw *raw);
/** Sends all of it, as far as the budget goes. */
void raw_send(struct raw *raw, const void *bytes, size_t len);
/** Takes what is there into `in`. */
void raw_receive(struct raw *raw);
/** Waits until the node has closed the connection (a minute). */
bool raw_until_ended(struct raw *raw);
/** Does the whole upgrade as dialer; false: the budget was used up or the node closed. */
bool raw_handshake(struct raw *raw);
/** Seals one Noise message and sends it. */
void raw_send_sealed(struct raw *raw, const void *plain, size_t len);
/** Sends what the yamux session has to say; feeds it what arrived. */
void raw_mux_turn(struct raw *raw);
/** Waits for the next event of the session; kind NONE: the connection has ended. The caller drops event.data.
 */
struct lp2p_mux_event raw_mux_event(struct raw *raw);
/** Lets a moment pass. */
void raw_pause(struct raw *raw);

#endif
