/* SPDX-License-Identifier: MIT
 * The file behind the store: peers by their ids in an LMDB environment, in DIR/peers. One process at a time (DIR/lock), one
 * thread at a time. Each write is one transaction: after a crash the file holds all of it or nothing, and what was
 * acknowledged is there. */
#ifndef LP2P_STORE_DB_H
#define LP2P_STORE_DB_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_DB_BYTES_MAX (128u << 20) /* of the file; beyond: ELIMIT */
#define LP2P_DB_RESERVE (16u << 20)    /* beyond that, for taking away when it is full: each change is a copy */
#define LP2P_DB_KEY_MAX 44             /* bytes: a peer id */

struct lp2p_db;

/** Makes the directory if need be. EEXIST: another process uses it. EIO, EVERSION (a newer format), ENOMEM; `detail` tells what
 *  and where. A file that is no database, or that has lost its end, is moved aside, and a new one is begun: OK, and `detail` tells
 *  that (else it is empty). */
enum lp2p_err lp2p_db_open(const char *dir, struct lp2p_db **out, char *detail, size_t detail_cap) LP2P_MUST_CHECK;
void lp2p_db_close(struct lp2p_db *db); /* NULL-safe */

/** Appends one change to a batch of *len bytes: the value of a key, or with an empty value that the key is gone. ELIMIT: cap. */
enum lp2p_err lp2p_batch_put(uint8_t *batch, size_t cap, size_t *len, struct lp2p_span key,
                             struct lp2p_span value) LP2P_MUST_CHECK;
/** Takes the first change off a batch. EMALFORMED. */
enum lp2p_err lp2p_batch_take(struct lp2p_span *batch, struct lp2p_span *key, struct lp2p_span *value) LP2P_MUST_CHECK;

/** Writes a batch and waits until the disk has it. EMALFORMED, ELIMIT (full), EIO: nothing of it was written. A batch that only
 *  takes away is written to a full file too. */
enum lp2p_err lp2p_db_write(struct lp2p_db *db, struct lp2p_span batch) LP2P_MUST_CHECK;
/** Calls fn for each key and value, which are valid during the whole call of lp2p_db_each. */
enum lp2p_err lp2p_db_each(struct lp2p_db *db, void (*fn)(void *user, struct lp2p_span key, struct lp2p_span value),
                           void *user, void (*end)(void *user)) LP2P_MUST_CHECK;
size_t lp2p_db_len(struct lp2p_db *db); /* keys of peers */
/** Which file, and why the last call that failed did; for people. */
const char *lp2p_db_why(const struct lp2p_db *db);

/** The key of what is none of a peer: the number of the newest signed record of our own, 8 bytes, the highest first. Written in a
 *  batch like the others; lp2p_db_each does not show it. */
#define LP2P_DB_OWN_SEQ "own-seq"
void lp2p_db_own_seq_put(uint64_t seq, uint8_t out[8]);
/** 0: none was kept, or what is there is no number. */
uint64_t lp2p_db_own_seq(struct lp2p_db *db);

#endif
