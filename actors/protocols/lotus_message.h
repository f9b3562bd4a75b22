/* SPDX-License-Identifier: MIT
 * The Lotus message: one JSON object, the whole content of one stream of /lotus/message/1.0.0. Building it,
 * reading it with all checks of a receiver, and the filter of duplicates. Pure; no actor. */
#ifndef LP2P_ACTORS_PROTOCOLS_LOTUS_MESSAGE_H
#define LP2P_ACTORS_PROTOCOLS_LOTUS_MESSAGE_H

#include "actors/p2p.h"
#include "base/buf.h"
#include "base/rand.h"

#define LP2P_LOTUS_MESSAGE_PROTOCOL "/lotus/message/1.0.0"
#define LP2P_LOTUS_MESSAGE_MAX 100000 /* bytes of a message that a receiver accepts */
#define LP2P_LOTUS_SKEW_MS 300000     /* largest distance of a timestamp from the local clock, either way */
#define LP2P_LOTUS_HASH_BYTES 32

/** Builds the JSON text that is sent: type, protocol, payload (JSON text, checked) and to are taken from
 * `message`; from is our peer id text; timestamp and messageId are made here. *json owns the text (not
 * NUL-terminated). EINVAL: no type, text that is not UTF-8, payload that is not JSON. ELIMIT: larger than a
 * receiver accepts. ENOMEM. `why` (may be NULL) becomes a static text for people. */
enum lp2p_err lp2p_lotus_message_build(const struct lp2p_message *message, const char *from, uint64_t now_ms,
                                       const struct lp2p_rand *rand, struct lp2p_slice *json,
                                       const char **why) LP2P_MUST_CHECK;

/** A message that was read. The texts of `view` live as long as this; view.json is borrowed from what was
 * parsed. */
struct lp2p_lotus_message {
    struct lp2p_message
        view; /* absent: protocol, payload, to are NULL. A NUL inside of a text ends it early */
    struct lp2p_span type, from, to, message_id, protocol; /* full length; absent ones are empty */
    uint8_t hash[LP2P_LOTUS_HASH_BYTES]; /* for the filter of duplicates: HMAC-SHA256 of type, from, to,
                                            messageId */
    void *doc;
    char *payload;
};
/** Reads and validates; the clock's check is left out when now_ms is 0. EOVERSIZE, EMALFORMED (not JSON),
 * EPROTO (a required field is missing or of the wrong type), EEXPIRED (timestamp too far away), ENOMEM. On
 * failure there is nothing to release. */
enum lp2p_err lp2p_lotus_message_parse(struct lp2p_span json, uint64_t now_ms, struct lp2p_lotus_message *out,
                                       const char **why) LP2P_MUST_CHECK;
void lp2p_lotus_message_fini(struct lp2p_lotus_message *message);

/** The duplicate hash of these fields; `to` may be empty. */
void lp2p_lotus_message_hash(struct lp2p_span type, struct lp2p_span from, struct lp2p_span to,
                             struct lp2p_span message_id, uint8_t out[LP2P_LOTUS_HASH_BYTES]);

/* Hashes of messages seen: at most 10,000; beyond, the oldest 1,000 are forgotten. No expiry by time. */
#define LP2P_LOTUS_SEEN_MAX 10000
#define LP2P_LOTUS_SEEN_DROP 1000

struct lp2p_lotus_seen;
/** The source seeds the index, so that a sender cannot aim at it. NULL: no memory. */
struct lp2p_lotus_seen *lp2p_lotus_seen_new(const struct lp2p_rand *rand);
void lp2p_lotus_seen_free(struct lp2p_lotus_seen *seen);
/** Remembers the hash; true when it was there already. */
bool lp2p_lotus_seen_add(struct lp2p_lotus_seen *seen, const uint8_t hash[LP2P_LOTUS_HASH_BYTES]);
size_t lp2p_lotus_seen_len(const struct lp2p_lotus_seen *seen);

#endif
