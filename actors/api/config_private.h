/* SPDX-License-Identifier: MIT
 * What the files behind the configuration's setters share. */
#ifndef LP2P_API_CONFIG_PRIVATE_H
#define LP2P_API_CONFIG_PRIVATE_H

#include "actors/config.h"

#define LP2P_CONNECTIONS_MIN_DEFAULT 10
#define LP2P_CONNECTIONS_MAX_DEFAULT 50

/** Keeps the text for lp2p_config_detail; returns err. config may be NULL. */
enum lp2p_err lp2p_config_fail(struct lp2p_config *config, enum lp2p_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Walks over a comma separated list: the next item without surrounding blanks, false at the end. */
bool lp2p_config_next_item(const char **rest, struct lp2p_span *item);
/** Fails with a text that names the item and what was expected. */
enum lp2p_err lp2p_config_bad_item(struct lp2p_config *config, const char *what, struct lp2p_span item, const char *expected);

/** Reads "ed25519", "secp256k1", "ecdsa", "rsa", "rsa-3072"..; bits 0: the type's own. */
bool lp2p_key_type_parse(const char *text, enum lp2p_key_type *type, unsigned *bits);
/** Without an identity, but with a data directory: that of DIR/identity.key, made if need be. */
enum lp2p_err lp2p_config_own_identity(struct lp2p_config *config) LP2P_MUST_CHECK;
/** A new key from the system's random source, as a PrivateKey protobuf. */
enum lp2p_err lp2p_key_make(enum lp2p_key_type type, unsigned bits, uint8_t *out, size_t cap,
                            size_t *len) LP2P_MUST_CHECK;

/** The last value of `name` in the text of an .env file, as dotenv reads it: NAME=value or `export
 * NAME=value`, quotes ' " `, comments. NUL-terminated in out, cut at cap. False when the name does not occur.
 */
bool lp2p_env_find(struct lp2p_span text, const char *name, char *out, size_t cap);
/** JavaScript's Number(text): NaN when it is not a number, 0 for blanks. */
double lp2p_env_number(const char *text);

#endif
