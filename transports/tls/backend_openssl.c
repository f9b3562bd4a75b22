/* SPDX-License-Identifier: MIT
 * Handshakes by OpenSSL's libssl (3.0 and newer), over memory. The secrets come by the callback that is meant
 * for logs of keys, as text; there is no other way to them. */
#include "base/check.h"
#include "tls/backend.h"
#include "tls/names.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

struct lp2p_tls_credentials {
    SSL_CTX *ctx;
};

struct lp2p_tls_engine {
    struct lp2p_tls_task task;
    SSL *ssl;
    BIO *in, *out; /* belong to ssl */
    struct lp2p_tls_secrets secrets;
    enum lp2p_err verdict;
};

#define ALPN_MAX 256 /* bytes of our list on the wire */

/* Callbacks; the engine is the SSL object's own data. */

static struct lp2p_tls_engine *engine_of(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/** "LABEL client-random secret", all in hexadecimal. */
static void on_secret(const SSL *ssl, const char *line)
{
    struct lp2p_tls_engine *engine = engine_of(ssl);
    bool of_client = strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0;
    const char *text = strrchr(line, ' ');
    if ((!of_client && strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) != 0) ||
        strlen(text + 1) != 2 * LP2P_TLS_SECRET) {
        return;
    }
    uint8_t *out = of_client == engine->task.server ? engine->secrets.recv : engine->secrets.send;
    for (size_t i = 0; i < LP2P_TLS_SECRET; i++) {
        out[i] = (uint8_t)(hex_digit(text[1 + 2 * i]) << 4 | hex_digit(text[2 + 2 * i]));
    }
}

/** The spec of libp2p: the first entry of the client's list that the server has. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                   unsigned int in_len, void *ctx)
{
    const struct lp2p_tls_engine *engine = engine_of(ssl);
    (void)ctx;
    for (unsigned int at = 0; at < in_len; at += 1u + in[at]) {
        struct lp2p_span offered = lp2p_span(in + at + 1, in[at]);
        for (size_t i = 0; engine->task.alpn[i] != NULL; i++) {
            if (lp2p_span_eq_str(offered, engine->task.alpn[i])) {
                *out = offered.ptr;
                *out_len = (unsigned char)offered.len;
                return SSL_TLSEXT_ERR_OK;
            }
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum lp2p_err judge_one(struct lp2p_tls_engine *engine, X509 *certificate)
{
    uint8_t *der = NULL;
    int len = i2d_X509(certificate, &der);
    enum lp2p_err err = LP2P_ENOMEM;
    if (len > 0) {
        err = engine->task.judge(engine->task.judge_ctx, lp2p_span(der, (size_t)len));
    }
    OPENSSL_free(der);
    return err;
}

static enum lp2p_err reason_of_chain(int error)
{
    switch (error) {
    case X509_V_OK:
        return LP2P_OK;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return LP2P_EEXPIRED;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return LP2P_EWRONGPEER;
    case X509_V_ERR_OUT_OF_MEM:
        return LP2P_ENOMEM;
    default:
        return LP2P_EAUTH;
    }
}

/** In place of the library's verification. */
static int on_certificate(X509_STORE_CTX *store, void *ctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct lp2p_tls_engine *engine = engine_of(ssl);
    (void)ctx;
    if (engine->task.peer == LP2P_TLS_PEER_ANY) {
        return 1;
    }
    if (engine->task.peer == LP2P_TLS_PEER_ROOTS) {
        int good = X509_verify_cert(store);
        engine->verdict = reason_of_chain(X509_STORE_CTX_get_error(store));
        return good == 1;
    }
    if (sk_X509_num(X509_STORE_CTX_get0_untrusted(store)) != 1) {
        engine->verdict = LP2P_EPROTO; /* one certificate, not a chain */
    } else {
        engine->verdict = judge_one(engine, X509_STORE_CTX_get0_cert(store));
    }
    X509_STORE_CTX_set_error(store, engine->verdict == LP2P_OK         ? X509_V_OK
                                    : engine->verdict == LP2P_EEXPIRED ? X509_V_ERR_CERT_HAS_EXPIRED
                                                                       : X509_V_ERR_CERT_REJECTED);
    return engine->verdict == LP2P_OK;
}

/* Credentials */

static void credentials_free(struct lp2p_tls_credentials *credentials)
{
    if (credentials != NULL) {
        SSL_CTX_free(credentials->ctx);
        free(credentials);
    }
}

static bool configure(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_cert_list(ctx, 4 * 16384);
    SSL_CTX_set_keylog_callback(ctx, on_secret);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, on_certificate, NULL);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256") == 1 &&
           SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1 &&
           SSL_CTX_set1_sigalgs_list(ctx, "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:"
                                          "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
                                          "RSA+SHA256:RSA+SHA384:RSA+SHA512") == 1;
}

static enum lp2p_err load_chain(SSL_CTX *ctx, const struct lp2p_tls_material *material)
{
    for (size_t i = 0; i < material->chain_len; i++) {
        const uint8_t *at = material->chain[i].ptr;
        X509 *certificate = d2i_X509(NULL, &at, (long)material->chain[i].len);
        bool good = certificate != NULL && (i == 0 ? SSL_CTX_use_certificate(ctx, certificate)
                                                   : SSL_CTX_add1_chain_cert(ctx, certificate)) == 1;
        X509_free(certificate);
        if (!good) {
            return LP2P_EMALFORMED;
        }
    }
    return LP2P_OK;
}

static enum lp2p_err load_key(SSL_CTX *ctx, struct lp2p_span der)
{
    const uint8_t *at = der.ptr;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)der.len);
    bool good = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return good ? LP2P_OK : LP2P_EBADKEY;
}

static void load_roots(SSL_CTX *ctx, const struct lp2p_tls_material *material)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    for (size_t i = 0; i < material->roots_len; i++) {
        const uint8_t *at = material->roots[i].ptr;
        X509 *root = d2i_X509(NULL, &at, (long)material->roots[i].len);
        if (root != NULL) {
            (void)X509_STORE_add_cert(store, root); /* what cannot be read vouches for nothing */
        }
        X509_free(root);
    }
}

static enum lp2p_err credentials_new(const struct lp2p_tls_material *material, const struct lp2p_rand *rand,
                                     struct lp2p_tls_credentials **out)
{
    (void)rand; /* the library has a source of its own */
    struct lp2p_tls_credentials *credentials = calloc(1, sizeof(*credentials));
    if (credentials == NULL || (credentials->ctx = SSL_CTX_new(TLS_method())) == NULL ||
        !configure(credentials->ctx)) {
        credentials_free(credentials);
        return LP2P_ENOMEM;
    }
    enum lp2p_err err = load_chain(credentials->ctx, material);
    if (err == LP2P_OK && material->chain_len > 0) {
        err = load_key(credentials->ctx, material->key);
    }
    load_roots(credentials->ctx, material);
    ERR_clear_error();
    if (err != LP2P_OK) {
        credentials_free(credentials);
        return err;
    }
    *out = credentials;
    return LP2P_OK;
}

/* The engine */

static void engine_free(struct lp2p_tls_engine *engine)
{
    if (engine != NULL) {
        SSL_free(engine->ssl);
        OPENSSL_cleanse(engine, sizeof(*engine));
        free(engine);
    }
}

static bool offer_alpn(SSL *ssl, const char *const *alpn)
{
    uint8_t list[ALPN_MAX];
    unsigned int at = 0;
    for (size_t i = 0; alpn[i] != NULL; i++) {
        size_t len = strlen(alpn[i]);
        if (len == 0 || len > 255 || len + 1 > sizeof(list) - at) {
            return false;
        }
        list[at] = (uint8_t)len;
        memcpy(list + at + 1, alpn[i], len);
        at += 1u + (unsigned int)len;
    }
    return SSL_set_alpn_protos(ssl, list, at) == 0;
}

/** A client of the web: whom it asks for, and by which clock it judges. */
static bool name_server(SSL *ssl, const struct lp2p_tls_task *task)
{
    uint8_t address[16];
    bool is_address = task->server_name != NULL && lp2p_tls_name_address(task->server_name, address) > 0;
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (task->peer == LP2P_TLS_PEER_ROOTS) {
        X509_VERIFY_PARAM_set_time(param, (time_t)task->wall_s);
        if ((is_address ? X509_VERIFY_PARAM_set1_ip_asc(param, task->server_name)
                        : SSL_set1_host(ssl, task->server_name)) != 1) {
            return false;
        }
    }
    return task->server_name == NULL || is_address || SSL_set_tlsext_host_name(ssl, task->server_name) == 1;
}

static struct lp2p_tls_engine *engine_new(const struct lp2p_tls_task *task)
{
    struct lp2p_tls_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL || (engine->ssl = SSL_new(task->credentials->ctx)) == NULL) {
        free(engine);
        return NULL;
    }
    engine->task = *task;
    engine->in = BIO_new(BIO_s_mem());
    engine->out = BIO_new(BIO_s_mem());
    if (engine->in == NULL || engine->out == NULL) {
        BIO_free(engine->in);
        BIO_free(engine->out);
        engine_free(engine);
        return NULL;
    }
    SSL_set_bio(engine->ssl, engine->in, engine->out);
    SSL_set_app_data(engine->ssl, engine);
    if (task->server) {
        SSL_set_accept_state(engine->ssl);
        SSL_set_verify(engine->ssl,
                       task->peer == LP2P_TLS_PEER_ASKED ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                                         : SSL_VERIFY_NONE,
                       NULL);
        return engine;
    }
    SSL_set_connect_state(engine->ssl);
    SSL_set_verify(engine->ssl, SSL_VERIFY_PEER, NULL);
    if (!offer_alpn(engine->ssl, task->alpn) || !name_server(engine->ssl, task)) {
        engine_free(engine);
        return NULL;
    }
    return engine;
}

/** The room's word for what the library says. */
static enum lp2p_err reason(const struct lp2p_tls_engine *engine, unsigned long error)
{
    if (engine->verdict != LP2P_OK) {
        return engine->verdict;
    }
    switch (ERR_GET_REASON(error)) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return LP2P_EVERSION;
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return LP2P_ENEGOTIATION;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return LP2P_EPROTO;
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
    case SSL_R_DATA_LENGTH_TOO_LONG:
        return LP2P_EOVERSIZE;
    case SSL_R_UNKNOWN_CERTIFICATE_TYPE:
        return LP2P_EUNSUPPORTED;
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_DIGEST_CHECK_FAILED:
    case SSL_R_BAD_SIGNATURE:
        return LP2P_EAUTH;
    case ERR_R_MALLOC_FAILURE:
        return LP2P_ENOMEM;
    default:
        break;
    }
    int alert = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) - SSL_AD_REASON_OFFSET : -1;
    return alert >= 0 && alert < 256 ? LP2P_ECERTREFUSED : LP2P_EMALFORMED;
}

static bool collect_output(struct lp2p_tls_engine *engine)
{
    char *bytes = NULL;
    long len = BIO_get_mem_data(engine->out, &bytes);
    if (len > 0 && lp2p_tls_buffer_append(engine->task.out, lp2p_span(bytes, (size_t)len)) != LP2P_OK) {
        return false;
    }
    (void)BIO_reset(engine->out);
    return true;
}

static enum lp2p_err engine_step(struct lp2p_tls_engine *engine, struct lp2p_span record)
{
    enum lp2p_err err = LP2P_OK;
    ERR_clear_error();
    if (record.len > 0 && BIO_write(engine->in, record.ptr, (int)record.len) != (int)record.len) {
        return LP2P_ENOMEM;
    }
    int rc = SSL_do_handshake(engine->ssl);
    if (rc != 1) {
        err = SSL_get_error(engine->ssl, rc) == SSL_ERROR_WANT_READ ? LP2P_EAGAIN
                                                                    : reason(engine, ERR_peek_error());
    }
    ERR_clear_error();
    if (!collect_output(engine)) {
        return LP2P_ENOMEM;
    }
    if (err == LP2P_OK) {
        bool aes = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(engine->ssl)) == LP2P_TLS_AES_128_GCM;
        engine->secrets.suite = aes ? LP2P_TLS_AES_128_GCM : LP2P_TLS_CHACHA20;
    }
    return err;
}

static void engine_result(const struct lp2p_tls_engine *engine, struct lp2p_tls_secrets *secrets, int *alpn)
{
    const unsigned char *chosen = NULL;
    unsigned int len = 0;
    SSL_get0_alpn_selected(engine->ssl, &chosen, &len);
    *secrets = engine->secrets;
    *alpn = -1;
    for (int i = 0; len > 0 && engine->task.alpn[i] != NULL; i++) {
        if (lp2p_span_eq_str(lp2p_span(chosen, len), engine->task.alpn[i])) {
            *alpn = i;
        }
    }
}

const struct lp2p_tls_backend lp2p_tls_openssl = {
    .name = "openssl",
    .credentials_new = credentials_new,
    .credentials_free = credentials_free,
    .engine_new = engine_new,
    .engine_step = engine_step,
    .engine_result = engine_result,
    .engine_free = engine_free,
};
