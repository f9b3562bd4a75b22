/* SPDX-License-Identifier: MIT
 * The record layer of TLS 1.3 after the handshake (RFC 8446 section 5), sealing and opening in place: what
 * the libraries leave behind is two secrets, and this is all that a connection keeps. Alerts, updates of keys
 * and the messages that may follow a handshake are dealt with here. Owned by one actor. */
#ifndef LP2P_TLS_RECORD_H
#define LP2P_TLS_RECORD_H

#include "secure/secure.h"
#include "tls/backend.h"

#define LP2P_TLS_HEAD 5          /* bytes: type, version, length */
#define LP2P_TLS_TAIL 44         /* bytes: inner type and tag, and the shift of an announcement of new keys */
#define LP2P_TLS_PLAIN_MAX 16383 /* bytes in a record; mbedTLS takes no more, the type counts with it */
#define LP2P_TLS_RECORD_MAX (LP2P_TLS_HEAD + 16384 + 256)
#define LP2P_TLS_CLOSE_SIZE 24 /* bytes of the record that says that nothing follows */

/** One direction. */
struct lp2p_tls_half {
    uint8_t secret[LP2P_TLS_SECRET], iv[12];
    uint64_t seq;
    void *cipher; /* made with the first record */
};

struct lp2p_tls_records {
    enum lp2p_tls_suite suite;
    bool client;
    bool update_due;   /* the other side asked for new keys of ours */
    bool closed;       /* we said that nothing follows */
    enum lp2p_err end; /* what every further open gives */
    struct lp2p_tls_half send, recv;
    uint64_t update_after;           /* records sealed with one key */
    uint32_t empty, empty_max;       /* records in a row that carried no data, and their limit */
    uint32_t skip;                   /* bytes of a message of the handshake that still come, to be ignored */
    uint8_t message[5], message_len; /* its front: type, length, and the body of an update */
};

void lp2p_tls_records_init(struct lp2p_tls_records *records, const struct lp2p_tls_secrets *secrets,
                           bool client);
/** Wipes; harmless on a zeroed object and when repeated. */
void lp2p_tls_records_fini(struct lp2p_tls_records *records);

/** What another side's alert means to the owner of a connection: EEOF, ENEGOTIATION, EVERSION, ECERTREFUSED,
 * or ECONNRESET. */
enum lp2p_err lp2p_tls_alert_error(uint8_t alert);
/** Bytes of the record at the front of `in`; 0: its header is not complete. EMALFORMED; EOVERSIZE. */
enum lp2p_err lp2p_tls_record_size(struct lp2p_span in, size_t *size) LP2P_MUST_CHECK;
/** Opens one whole record of this size; *plain lies in it, and is empty for all that is not data. EEOF:
 * close_notify; other alerts as above; EAUTH, EMALFORMED, EPROTO, EFLOOD, ENOMEM. All are final. */
enum lp2p_err lp2p_tls_records_open(struct lp2p_tls_records *records, uint8_t *record, size_t size,
                                    struct lp2p_span *plain) LP2P_MUST_CHECK;
/** Seals the plain_len bytes at record + LP2P_TLS_HEAD, with LP2P_TLS_TAIL bytes of room behind them. EINVAL;
 * ECLOSED; ENOMEM. */
enum lp2p_err lp2p_tls_records_seal(struct lp2p_tls_records *records, uint8_t *record, size_t plain_len,
                                    size_t *size) LP2P_MUST_CHECK;
/** The same for a plaintext parts of which still lie elsewhere. */
enum lp2p_err lp2p_tls_records_seal_parts(struct lp2p_tls_records *records, uint8_t *record, size_t plain_len,
                                          const struct lp2p_secure_part *parts, size_t parts_len,
                                          size_t *size) LP2P_MUST_CHECK;
/** Writes close_notify; 0: it was said, or memory is short. */
size_t lp2p_tls_records_close(struct lp2p_tls_records *records, uint8_t out[LP2P_TLS_CLOSE_SIZE]);
/** Writes the record of a fatal alert as the first with these secrets; 0: memory is short. */
size_t lp2p_tls_alert_record(const struct lp2p_tls_secrets *secrets, uint8_t alert,
                             uint8_t out[LP2P_TLS_CLOSE_SIZE]);
/** Heap bytes behind the object. */
size_t lp2p_tls_records_memory_bytes(const struct lp2p_tls_records *records);

#endif
