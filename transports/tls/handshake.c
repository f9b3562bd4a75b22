/* SPDX-License-Identifier: MIT */
#include "tls/handshake.h"

#include "base/check.h"

#include <sodium.h>

/* RFC 8446 section 5.1 */
enum { TYPE_CHANGE_CIPHER_SPEC = 20, TYPE_ALERT = 21, TYPE_HANDSHAKE = 22, TYPE_DATA = 23 };

#define OUT_MAX 65536 /* bytes of ours: a chain of the web fits */

static enum lp2p_err step(struct lp2p_tls_handshake *handshake, struct lp2p_span record)
{
    enum lp2p_err err = handshake->backend->engine_step(handshake->engine, record);
    handshake->done = err == LP2P_OK;
    return err == LP2P_EAGAIN ? LP2P_OK : err;
}

enum lp2p_err lp2p_tls_handshake_init(struct lp2p_tls_handshake *handshake,
                                      const struct lp2p_tls_backend *backend,
                                      const struct lp2p_tls_task *task, size_t taken_max)
{
    struct lp2p_tls_task own = *task;
    *handshake = (struct lp2p_tls_handshake){
        .backend = backend, .server = task->server, .taken_max = taken_max, .out = {.max = OUT_MAX}};
    own.out = &handshake->out;
    handshake->engine = backend->engine_new(&own);
    if (handshake->engine == NULL) {
        return LP2P_ENOMEM;
    }
    return task->server ? LP2P_OK : step(handshake, lp2p_span(NULL, 0));
}

void lp2p_tls_handshake_fini(struct lp2p_tls_handshake *handshake)
{
    if (handshake->engine != NULL) {
        handshake->backend->engine_free(handshake->engine);
        handshake->engine = NULL;
    }
    lp2p_tls_buffer_fini(&handshake->in);
    lp2p_tls_buffer_fini(&handshake->out);
}

void lp2p_tls_handshake_finish(struct lp2p_tls_handshake *handshake, struct lp2p_tls_records *records,
                               int *alpn)
{
    struct lp2p_tls_secrets secrets;
    handshake->backend->engine_result(handshake->engine, &secrets, alpn);
    lp2p_tls_records_init(records, &secrets, !handshake->server);
    sodium_memzero(&secrets, sizeof(secrets));
    handshake->backend->engine_free(handshake->engine);
    handshake->engine = NULL;
}

/** Bytes of the record at the front, of any type; 0: its header is not complete. */
static enum lp2p_err record_size(struct lp2p_span in, size_t *size)
{
    *size = 0;
    if (in.len > 0 && (in.ptr[0] < TYPE_CHANGE_CIPHER_SPEC || in.ptr[0] > TYPE_DATA)) {
        return LP2P_EMALFORMED;
    }
    if (in.len < LP2P_TLS_HEAD) {
        return LP2P_OK;
    }
    size_t len = (size_t)in.ptr[3] << 8 | in.ptr[4];
    if (in.ptr[1] != 3 || len == 0) {
        return LP2P_EMALFORMED;
    }
    if (len > LP2P_TLS_RECORD_MAX - LP2P_TLS_HEAD) {
        return LP2P_EOVERSIZE;
    }
    *size = LP2P_TLS_HEAD + len;
    return LP2P_OK;
}

/** An alert in the clear: libraries tell less of it. It ends the handshake, whatever it says. */
static enum lp2p_err on_plain_alert(struct lp2p_span record)
{
    if (record.len != LP2P_TLS_HEAD + 2) {
        return LP2P_EMALFORMED;
    }
    enum lp2p_err err = lp2p_tls_alert_error(record.ptr[LP2P_TLS_HEAD + 1]);
    return err == LP2P_EEOF ? LP2P_ECONNRESET : err;
}

static enum lp2p_err on_record(struct lp2p_tls_handshake *handshake, struct lp2p_span record)
{
    handshake->taken += record.len;
    if (handshake->taken > handshake->taken_max) {
        return LP2P_EOVERSIZE;
    }
    return record.ptr[0] == TYPE_ALERT ? on_plain_alert(record) : step(handshake, record);
}

/** Takes what is missing of the record under way. */
static enum lp2p_err feed_once(struct lp2p_tls_handshake *handshake, struct lp2p_span *in)
{
    struct lp2p_tls_buffer *kept = &handshake->in;
    size_t have = lp2p_tls_buffer_waiting(kept), size = 0;
    enum lp2p_err err = record_size(have > 0 ? lp2p_span(kept->bytes, have) : *in, &size);
    if (err == LP2P_OK && have == 0 && size > 0 && size <= in->len) {
        struct lp2p_span record = lp2p_span(in->ptr, size);
        *in = lp2p_span_skip(*in, size);
        return on_record(handshake, record); /* whole in the input: not copied */
    }
    size_t part = LP2P_MIN((size > 0 ? size : LP2P_TLS_HEAD) - have, in->len);
    if (err == LP2P_OK) {
        err = lp2p_tls_buffer_append(kept, lp2p_span(in->ptr, part));
    }
    if (err != LP2P_OK) {
        return err;
    }
    *in = lp2p_span_skip(*in, part);
    have += part;
    if (size > 0 && have == size) {
        err = on_record(handshake, lp2p_span(kept->bytes, have));
        lp2p_tls_buffer_fini(kept);
    }
    return err;
}

enum lp2p_err lp2p_tls_handshake_feed(struct lp2p_tls_handshake *handshake, struct lp2p_span in, size_t *used)
{
    size_t given = in.len;
    *used = 0;
    while (in.len > 0 && !handshake->done && handshake->err == LP2P_OK) {
        handshake->err = feed_once(handshake, &in);
        *used = given - in.len;
    }
    return handshake->err;
}
