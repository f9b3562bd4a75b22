/* SPDX-License-Identifier: MIT */
#include "tls/record.h"

#include "tls/aead.h"

#include <sodium.h>

/* RFC 8446 section 5.1 */
enum { TYPE_ALERT = 21, TYPE_HANDSHAKE = 22, TYPE_DATA = 23 };
enum { MESSAGE_NEW_SESSION_TICKET = 4, MESSAGE_KEY_UPDATE = 24 };

#define UPDATE_SIZE 27                   /* bytes of the record that announces new keys */
#define UPDATE_AFTER ((uint64_t)1 << 23) /* records; section 5.5 allows 2^24.5 of full size for AES-GCM */
#define EMPTY_MAX 32                     /* records in a row without data; a server's tickets are two or so */
#define MESSAGE_MAX 65536 /* bytes; the largest ticket is a little more than its 65,535 bytes */

/* HKDF-Expand-Label with an empty context (section 7.1), for at most one block of SHA-256. */
static void expand(const uint8_t secret[LP2P_TLS_SECRET], const char *label, uint8_t *out, size_t len)
{
    uint8_t info[32] = {0, (uint8_t)len}, block[crypto_auth_hmacsha256_BYTES];
    size_t label_len = strlen(label);
    info[2] = (uint8_t)(6 + label_len);
    memcpy(info + 3, "tls13 ", 6);
    memcpy(info + 9, label, label_len);
    info[9 + label_len] = 0;  /* no context */
    info[10 + label_len] = 1; /* HKDF: the first block */
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, secret, LP2P_TLS_SECRET);
    crypto_auth_hmacsha256_update(&state, info, 11 + label_len);
    crypto_auth_hmacsha256_final(&state, block);
    memcpy(out, block, len);
    sodium_memzero(&state, sizeof(state));
    sodium_memzero(block, sizeof(block));
}

static void half_init(struct lp2p_tls_half *half, const uint8_t secret[LP2P_TLS_SECRET])
{
    memmove(half->secret, secret, LP2P_TLS_SECRET);
    expand(half->secret, "iv", half->iv, sizeof(half->iv));
    half->seq = 0;
}

/* Section 7.2: the next generation of keys. */
static void half_update(enum lp2p_tls_suite suite, struct lp2p_tls_half *half)
{
    uint8_t secret[LP2P_TLS_SECRET];
    expand(half->secret, "traffic upd", secret, sizeof(secret));
    half_init(half, secret);
    sodium_memzero(secret, sizeof(secret));
    lp2p_tls_aead_free(suite, half->cipher);
    half->cipher = NULL;
}

/** The cipher of this direction, and the nonce of its next record (section 5.3). */
static bool half_ready(enum lp2p_tls_suite suite, struct lp2p_tls_half *half, bool seals,
                       uint8_t nonce[LP2P_TLS_NONCE])
{
    if (half->cipher == NULL) {
        uint8_t key[32];
        expand(half->secret, "key", key, lp2p_tls_aead_key_size(suite));
        half->cipher = lp2p_tls_aead_new(suite, key, seals);
        sodium_memzero(key, sizeof(key));
    }
    memcpy(nonce, half->iv, LP2P_TLS_NONCE);
    for (unsigned i = 0; i < 8; i++) {
        nonce[LP2P_TLS_NONCE - 1 - i] ^= (uint8_t)(half->seq >> (8 * i));
    }
    return half->cipher != NULL;
}

void lp2p_tls_records_init(struct lp2p_tls_records *records, const struct lp2p_tls_secrets *secrets,
                           bool client)
{
    *records = (struct lp2p_tls_records){
        .suite = secrets->suite, .client = client, .update_after = UPDATE_AFTER, .empty_max = EMPTY_MAX};
    half_init(&records->send, secrets->send);
    half_init(&records->recv, secrets->recv);
}

void lp2p_tls_records_fini(struct lp2p_tls_records *records)
{
    lp2p_tls_aead_free(records->suite, records->send.cipher);
    lp2p_tls_aead_free(records->suite, records->recv.cipher);
    sodium_memzero(records, sizeof(*records));
    records->end = LP2P_ECLOSED;
    records->closed = true;
}

size_t lp2p_tls_records_memory_bytes(const struct lp2p_tls_records *records)
{
    size_t ciphers = (size_t)(records->send.cipher != NULL) + (size_t)(records->recv.cipher != NULL);
    return ciphers * lp2p_tls_aead_memory_bytes(records->suite);
}

/* Sealing */

/** What a record carries; parts of the content may lie elsewhere. */
struct content {
    uint8_t type;
    size_t len;
    const struct lp2p_secure_part *parts;
    size_t parts_len;
};

static enum lp2p_err seal_content(struct lp2p_tls_records *records, uint8_t *record,
                                  const struct content *content, size_t *size)
{
    uint8_t nonce[LP2P_TLS_NONCE];
    size_t inner = content->len + 1, len = inner + LP2P_TLS_TAG;
    if (!half_ready(records->suite, &records->send, true, nonce)) {
        return LP2P_ENOMEM;
    }
    record[0] = TYPE_DATA;
    record[1] = 3;
    record[2] = 3;
    record[3] = (uint8_t)(len >> 8);
    record[4] = (uint8_t)len;
    record[LP2P_TLS_HEAD + content->len] = content->type;
    enum lp2p_err err = lp2p_tls_aead_seal_parts(records->suite, records->send.cipher, nonce,
                                                 lp2p_span(record, LP2P_TLS_HEAD), record + LP2P_TLS_HEAD,
                                                 inner, content->parts, content->parts_len);
    records->send.seq++;
    *size = LP2P_TLS_HEAD + len;
    return err;
}

static enum lp2p_err seal_type(struct lp2p_tls_records *records, uint8_t *record, uint8_t type, size_t len,
                               size_t *size)
{
    return seal_content(records, record, &(struct content){.type = type, .len = len}, size);
}

/** Announces new keys with the old ones and takes the new ones into use. */
static enum lp2p_err seal_update(struct lp2p_tls_records *records, uint8_t out[UPDATE_SIZE])
{
    static const uint8_t update_not_requested[] = {MESSAGE_KEY_UPDATE, 0, 0, 1, 0};
    size_t size = 0;
    memcpy(out + LP2P_TLS_HEAD, update_not_requested, sizeof(update_not_requested));
    enum lp2p_err err = seal_type(records, out, TYPE_HANDSHAKE, sizeof(update_not_requested), &size);
    if (err == LP2P_OK) {
        half_update(records->suite, &records->send);
        records->update_due = false;
    }
    return err;
}

enum lp2p_err lp2p_tls_records_seal_parts(struct lp2p_tls_records *records, uint8_t *record, size_t plain_len,
                                          const struct lp2p_secure_part *parts, size_t parts_len,
                                          size_t *size)
{
    const struct content content = {TYPE_DATA, plain_len, parts, parts_len};
    size_t ahead = 0;
    *size = 0;
    if (records->closed) {
        return LP2P_ECLOSED;
    }
    if (plain_len > LP2P_TLS_PLAIN_MAX) {
        return LP2P_EINVAL;
    }
    if (records->update_due || records->send.seq >= records->update_after) {
        memmove(record + UPDATE_SIZE + LP2P_TLS_HEAD, record + LP2P_TLS_HEAD, plain_len);
        enum lp2p_err err = seal_update(records, record);
        if (err != LP2P_OK) {
            return err;
        }
        ahead = UPDATE_SIZE;
    }
    enum lp2p_err err = seal_content(records, record + ahead, &content, size);
    *size += ahead;
    return err;
}

enum lp2p_err lp2p_tls_records_seal(struct lp2p_tls_records *records, uint8_t *record, size_t plain_len,
                                    size_t *size)
{
    return lp2p_tls_records_seal_parts(records, record, plain_len, NULL, 0, size);
}

static size_t seal_alert(struct lp2p_tls_records *records, uint8_t level, uint8_t alert, uint8_t *out)
{
    size_t size = 0;
    records->closed = true;
    out[LP2P_TLS_HEAD] = level;
    out[LP2P_TLS_HEAD + 1] = alert;
    return seal_type(records, out, TYPE_ALERT, 2, &size) == LP2P_OK ? size : 0;
}

size_t lp2p_tls_records_close(struct lp2p_tls_records *records, uint8_t out[LP2P_TLS_CLOSE_SIZE])
{
    return records->closed ? 0 : seal_alert(records, 1 /* warning */, 0 /* close_notify */, out);
}

size_t lp2p_tls_alert_record(const struct lp2p_tls_secrets *secrets, uint8_t alert,
                             uint8_t out[LP2P_TLS_CLOSE_SIZE])
{
    struct lp2p_tls_records records;
    lp2p_tls_records_init(&records, secrets, false);
    size_t size = seal_alert(&records, 2 /* fatal */, alert, out);
    lp2p_tls_records_fini(&records);
    return size;
}

/* Opening */

enum lp2p_err lp2p_tls_record_size(struct lp2p_span in, size_t *size)
{
    *size = 0;
    if (in.len < LP2P_TLS_HEAD) {
        return LP2P_OK;
    }
    size_t len = (size_t)in.ptr[3] << 8 | in.ptr[4];
    if (in.ptr[0] != TYPE_DATA || in.ptr[1] != 3) {
        return LP2P_EMALFORMED;
    }
    if (len > LP2P_TLS_RECORD_MAX - LP2P_TLS_HEAD) {
        return LP2P_EOVERSIZE;
    }
    if (len < 1 + LP2P_TLS_TAG) {
        return LP2P_EMALFORMED;
    }
    *size = LP2P_TLS_HEAD + len;
    return LP2P_OK;
}

enum lp2p_err lp2p_tls_alert_error(uint8_t alert)
{
    switch (alert) { /* section 6 */
    case 0:          /* close_notify */
        return LP2P_EEOF;
    case 40:  /* handshake_failure */
    case 120: /* no_application_protocol */
        return LP2P_ENEGOTIATION;
    case 70: /* protocol_version */
        return LP2P_EVERSION;
    case 42:  /* bad_certificate */
    case 43:  /* unsupported_certificate */
    case 44:  /* certificate_revoked */
    case 45:  /* certificate_expired */
    case 46:  /* certificate_unknown */
    case 48:  /* unknown_ca */
    case 49:  /* access_denied */
    case 116: /* certificate_required */
        return LP2P_ECERTREFUSED;
    default:
        return LP2P_ECONNRESET;
    }
}

static enum lp2p_err on_alert(struct lp2p_span alert)
{
    if (alert.len != 2) {
        return LP2P_EMALFORMED;
    }
    return alert.ptr[1] == 90 /* user_canceled: close_notify follows */ ? LP2P_OK
                                                                        : lp2p_tls_alert_error(alert.ptr[1]);
}

/** A message of the handshake is complete as far as it has to be known. */
static enum lp2p_err on_message(struct lp2p_tls_records *records, bool last_in_record)
{
    size_t len = (size_t)records->message[1] << 16 | (size_t)records->message[2] << 8 | records->message[3];
    if (records->message[0] == MESSAGE_KEY_UPDATE) {
        /* Section 5.1: nothing follows an update under the old key. */
        if (len != 1 || records->message[4] > 1 || !last_in_record) {
            return LP2P_EPROTO;
        }
        records->update_due |= records->message[4] == 1;
        half_update(records->suite, &records->recv);
        return LP2P_OK;
    }
    if (records->message[0] != MESSAGE_NEW_SESSION_TICKET || !records->client || len > MESSAGE_MAX) {
        return LP2P_EPROTO; /* a server is sent no ticket, and nobody offered to be asked for a certificate
                               later */
    }
    records->skip = (uint32_t)len;
    return LP2P_OK;
}

/** Messages may lie several in a record, or one in several records. */
static enum lp2p_err on_handshake(struct lp2p_tls_records *records, struct lp2p_span in)
{
    enum lp2p_err err = in.len == 0 ? LP2P_EPROTO : LP2P_OK; /* section 5.1: no empty fragments */
    while (in.len > 0 && err == LP2P_OK) {
        if (records->skip > 0) {
            size_t part = in.len < records->skip ? in.len : records->skip;
            records->skip -= (uint32_t)part;
            in = lp2p_span_skip(in, part);
            continue;
        }
        records->message[records->message_len++] = in.ptr[0];
        in = lp2p_span_skip(in, 1);
        if (records->message_len == (records->message[0] == MESSAGE_KEY_UPDATE ? 5 : 4)) {
            records->message_len = 0;
            err = on_message(records, in.len == 0);
        }
    }
    return err;
}

static enum lp2p_err on_content(struct lp2p_tls_records *records, uint8_t type, struct lp2p_span content,
                                struct lp2p_span *plain)
{
    bool in_message = records->skip > 0 || records->message_len > 0;
    if (type == TYPE_DATA && content.len > 0 && !in_message) {
        records->empty = 0;
        *plain = content;
        return LP2P_OK;
    }
    if (type != TYPE_HANDSHAKE && in_message) {
        return LP2P_EPROTO; /* section 5.1: a message is not interleaved with anything */
    }
    if (++records->empty > records->empty_max) {
        return LP2P_EFLOOD;
    }
    switch (type) {
    case TYPE_DATA:
        return LP2P_OK;
    case TYPE_ALERT:
        return on_alert(content);
    case TYPE_HANDSHAKE:
        return on_handshake(records, content);
    default:
        return LP2P_EPROTO;
    }
}

static enum lp2p_err open_record(struct lp2p_tls_records *records, uint8_t *record, size_t size,
                                 struct lp2p_span *plain)
{
    uint8_t nonce[LP2P_TLS_NONCE];
    size_t framed = 0, len = size - LP2P_TLS_HEAD - LP2P_TLS_TAG;
    uint8_t *inner = record + LP2P_TLS_HEAD;
    enum lp2p_err err = lp2p_tls_record_size(lp2p_span(record, size), &framed);
    if (err != LP2P_OK || framed == 0 || framed != size) {
        return err != LP2P_OK ? err : LP2P_EMALFORMED;
    }
    if (!half_ready(records->suite, &records->recv, false, nonce)) {
        return LP2P_ENOMEM;
    }
    err = lp2p_tls_aead_open(records->suite, records->recv.cipher, nonce, lp2p_span(record, LP2P_TLS_HEAD),
                             inner, len);
    if (err != LP2P_OK) {
        return err;
    }
    records->recv.seq++;
    while (len > 0 && inner[len - 1] == 0) {
        len--; /* padding (section 5.4) */
    }
    if (len == 0) {
        return LP2P_EPROTO; /* no type */
    }
    if (len - 1 > LP2P_TLS_PLAIN_MAX + 1) {
        return LP2P_EOVERSIZE;
    }
    return on_content(records, inner[len - 1], lp2p_span(inner, len - 1), plain);
}

enum lp2p_err lp2p_tls_records_open(struct lp2p_tls_records *records, uint8_t *record, size_t size,
                                    struct lp2p_span *plain)
{
    *plain = lp2p_span(NULL, 0);
    if (records->end == LP2P_OK) {
        records->end = open_record(records, record, size, plain);
    }
    return records->end;
}
