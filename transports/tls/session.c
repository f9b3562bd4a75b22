/* SPDX-License-Identifier: MIT */
#include "tls/session.h"

#include "base/check.h"
#include "tls/handshake.h"
#include "tls/names.h"
#include "tls/web.h"

#include <sodium.h>

#include <stdlib.h>

#define TAKEN_MAX 131072 /* bytes of a handshake of the other side: chains of the web are long */
#define OUT_MAX 65536    /* bytes that wait to be drained */

static const char *const HTTP_ALPN[] = {"http/1.1", NULL};

/** Until the handshake is over and its last byte drained. */
struct shake {
    struct lp2p_tls_handshake handshake;
    struct lp2p_tls_web *web;
    char server_name[LP2P_TLS_NAME_MAX + 1];
};

struct lp2p_tls_session {
    enum lp2p_tls_session_state state;
    enum lp2p_err err; /* ENDED: why */
    struct shake *shake;
    struct lp2p_tls_records records;
    struct lp2p_tls_buffer in;  /* a record that is not complete */
    struct lp2p_tls_buffer out; /* sealed */
    size_t plain_at, plain_len; /* decrypted bytes, inside of `in`, that read has not given */
};

static void shake_free(struct lp2p_tls_session *session)
{
    if (session->shake != NULL) {
        lp2p_tls_handshake_fini(&session->shake->handshake);
        lp2p_tls_web_release(session->shake->web);
        free(session->shake);
        session->shake = NULL;
    }
}

static void end(struct lp2p_tls_session *session, enum lp2p_err err)
{
    if (session->state != LP2P_TLS_SESSION_ENDED) {
        session->state = LP2P_TLS_SESSION_ENDED;
        session->err = err;
    }
}

struct lp2p_tls_session *lp2p_tls_session_new(struct lp2p_tls_web *web, const char *server_name,
                                              const struct lp2p_rand *rand, int64_t wall_s)
{
    size_t name_len = server_name == NULL ? 0 : strlen(server_name);
    if (name_len > LP2P_TLS_NAME_MAX || (web->peer == LP2P_TLS_PEER_ROOTS && name_len == 0)) {
        return NULL;
    }
    struct lp2p_tls_session *session = calloc(1, sizeof(*session));
    struct shake *shake = calloc(1, sizeof(*shake));
    if (session == NULL || shake == NULL) {
        free(session);
        free(shake);
        return NULL;
    }
    session->shake = shake;
    session->out.max = OUT_MAX;
    shake->web = lp2p_tls_web_hold(web);
    if (name_len > 0) {
        memcpy(shake->server_name, server_name, name_len);
    }
    const struct lp2p_tls_task task = {.credentials = web->credentials,
                                       .server = web->peer == LP2P_TLS_PEER_NOBODY,
                                       .peer = web->peer,
                                       .alpn = HTTP_ALPN,
                                       .server_name = name_len > 0 ? shake->server_name : NULL,
                                       .rand = rand,
                                       .wall_s = wall_s};
    if (lp2p_tls_handshake_init(&shake->handshake, web->backend, &task, TAKEN_MAX) != LP2P_OK) {
        lp2p_tls_session_free(session);
        return NULL;
    }
    return session;
}

void lp2p_tls_session_free(struct lp2p_tls_session *session)
{
    if (session == NULL) {
        return;
    }
    shake_free(session);
    lp2p_tls_records_fini(&session->records);
    lp2p_tls_buffer_fini(&session->in);
    lp2p_tls_buffer_fini(&session->out);
    free(session);
}

enum lp2p_tls_session_state lp2p_tls_session_state(const struct lp2p_tls_session *session)
{
    return session->state;
}

/* Feeding */

static enum lp2p_err feed_handshake(struct lp2p_tls_session *session, struct lp2p_span *in)
{
    size_t used = 0;
    int alpn = -1;
    enum lp2p_err err = lp2p_tls_handshake_feed(&session->shake->handshake, *in, &used);
    *in = lp2p_span_skip(*in, used);
    if (err == LP2P_OK && session->shake->handshake.done) {
        lp2p_tls_handshake_finish(&session->shake->handshake, &session->records, &alpn);
        session->state = LP2P_TLS_SESSION_OPEN;
    }
    return err;
}

/** Collects what is missing of a record; opens it when it is whole. */
static enum lp2p_err feed_record(struct lp2p_tls_session *session, struct lp2p_span *in)
{
    struct lp2p_tls_buffer *kept = &session->in;
    size_t have = lp2p_tls_buffer_waiting(kept), size = 0;
    enum lp2p_err err =
        lp2p_tls_record_size(have >= LP2P_TLS_HEAD ? lp2p_span(kept->bytes, have) : *in, &size);
    if (have > 0 && have < LP2P_TLS_HEAD) {
        size = 0;
        err = LP2P_OK;
    }
    size_t part = LP2P_MIN((size > 0 ? size : LP2P_TLS_HEAD) - have, in->len);
    if (err == LP2P_OK) {
        err = lp2p_tls_buffer_append(kept, lp2p_span(in->ptr, part));
    }
    if (err != LP2P_OK) {
        return err;
    }
    *in = lp2p_span_skip(*in, part);
    if (size == 0 || have + part < size) {
        return LP2P_OK;
    }
    struct lp2p_span plain;
    err = lp2p_tls_records_open(&session->records, kept->bytes, size, &plain);
    if (err == LP2P_OK && plain.len > 0) {
        session->plain_at = (size_t)(plain.ptr - kept->bytes);
        session->plain_len = plain.len;
    } else {
        lp2p_tls_buffer_fini(kept);
    }
    return err;
}

enum lp2p_err lp2p_tls_session_feed(struct lp2p_tls_session *session, struct lp2p_span in, lp2p_time now,
                                    size_t *used)
{
    size_t given = in.len;
    enum lp2p_err err = LP2P_OK;
    (void)now;
    *used = 0;
    while (in.len > 0 && session->state != LP2P_TLS_SESSION_ENDED && session->plain_len == 0) {
        err = session->state == LP2P_TLS_SESSION_HANDSHAKE ? feed_handshake(session, &in)
                                                           : feed_record(session, &in);
        *used = given - in.len;
        if (err != LP2P_OK) {
            end(session, err);
        }
    }
    if (session->state != LP2P_TLS_SESSION_ENDED) {
        return LP2P_OK;
    }
    return session->err == LP2P_EEOF ? LP2P_OK : session->err; /* the end is told by read */
}

/* Draining, reading and writing */

bool lp2p_tls_session_wants_drain(const struct lp2p_tls_session *session)
{
    return lp2p_tls_buffer_waiting(&session->out) > 0 ||
           (session->shake != NULL && lp2p_tls_buffer_waiting(&session->shake->handshake.out) > 0);
}

size_t lp2p_tls_session_drain(struct lp2p_tls_session *session, uint8_t *out, size_t cap, lp2p_time now)
{
    size_t len = 0;
    (void)now;
    if (session->shake != NULL) {
        len = lp2p_tls_buffer_take(&session->shake->handshake.out, out, cap);
        if (session->state != LP2P_TLS_SESSION_HANDSHAKE &&
            lp2p_tls_buffer_waiting(&session->shake->handshake.out) == 0) {
            shake_free(session);
        }
    }
    return session->shake != NULL ? len : len + lp2p_tls_buffer_take(&session->out, out + len, cap - len);
}

bool lp2p_tls_session_holds_input(const struct lp2p_tls_session *session)
{
    return session->plain_len > 0;
}

enum lp2p_err lp2p_tls_session_read(struct lp2p_tls_session *session, uint8_t *out, size_t cap, size_t *got)
{
    *got = 0;
    if (session->plain_len == 0) {
        return session->state == LP2P_TLS_SESSION_ENDED ? session->err : LP2P_EAGAIN;
    }
    *got = LP2P_MIN(cap, session->plain_len);
    memcpy(out, session->in.bytes + session->plain_at, *got);
    session->plain_at += *got;
    session->plain_len -= *got;
    if (session->plain_len == 0) {
        lp2p_tls_buffer_fini(&session->in);
    }
    return LP2P_OK;
}

enum lp2p_err lp2p_tls_session_write(struct lp2p_tls_session *session, struct lp2p_span in, size_t *put)
{
    *put = 0;
    if (session->state == LP2P_TLS_SESSION_ENDED) {
        return session->err == LP2P_EEOF ? LP2P_ECLOSED : session->err;
    }
    if (session->state == LP2P_TLS_SESSION_HANDSHAKE) {
        return LP2P_EAGAIN;
    }
    while (*put < in.len) {
        size_t part = LP2P_MIN(in.len - *put, (size_t)LP2P_TLS_PLAIN_MAX), size = 0;
        uint8_t *record = lp2p_tls_buffer_reserve(&session->out, LP2P_TLS_HEAD + part + LP2P_TLS_TAIL);
        if (record == NULL) {
            return *put > 0 || lp2p_tls_buffer_waiting(&session->out) > 0 ? (*put > 0 ? LP2P_OK : LP2P_EAGAIN)
                                                                          : LP2P_ENOMEM;
        }
        memcpy(record + LP2P_TLS_HEAD, in.ptr + *put, part);
        enum lp2p_err err = lp2p_tls_records_seal(&session->records, record, part, &size);
        if (err != LP2P_OK) {
            return err;
        }
        session->out.len += size;
        *put += part;
    }
    return LP2P_OK;
}

void lp2p_tls_session_close(struct lp2p_tls_session *session)
{
    uint8_t record[LP2P_TLS_CLOSE_SIZE];
    if (session->state == LP2P_TLS_SESSION_OPEN ||
        (session->state == LP2P_TLS_SESSION_ENDED && session->err == LP2P_EEOF)) {
        size_t len = lp2p_tls_records_close(&session->records, record);
        session->out.max = 0; /* the last word always fits */
        (void)(lp2p_tls_buffer_append(&session->out, lp2p_span(record, len)) == LP2P_OK);
    }
}

size_t lp2p_tls_session_memory_bytes(const struct lp2p_tls_session *session)
{
    size_t shake = 0;
    if (session->shake != NULL) {
        shake =
            sizeof(*session->shake) + session->shake->handshake.in.cap + session->shake->handshake.out.cap;
    }
    return sizeof(*session) + shake + session->in.cap + session->out.cap +
           lp2p_tls_records_memory_bytes(&session->records);
}
