/* SPDX-License-Identifier: MIT */
#include "dht/validator.h"

/* The bytes of the value are a public key whose peer id is the rest of the key. */
static enum lp2p_err validate_pk(void *ctx, struct lp2p_span key, struct lp2p_span value)
{
    (void)ctx;
    static const size_t prefix_len = sizeof("/pk/") - 1;
    struct lp2p_peer_id named, actual;
    struct lp2p_public_key public_key;
    if (lp2p_peer_id_parse(lp2p_span_skip(key, prefix_len), &named) != LP2P_OK ||
        lp2p_public_key_parse(value, &public_key) != LP2P_OK) {
        return LP2P_EBADRECORD;
    }
    lp2p_peer_id_from_key(&public_key, &actual);
    return lp2p_peer_id_eq(&named, &actual) ? LP2P_OK : LP2P_EBADRECORD;
}

static const struct lp2p_kad_validator pk_validator = {.ns = "pk", .validate = validate_pk};

enum key_form { KEY_PLAIN, KEY_NAMESPACED, KEY_STRANGE };

/* js-libp2p splits the key at '/' and validates from three parts on; go-libp2p wants the first byte to be
 * '/'. A key with three parts that does not begin with '/' is refused by both, each in its way. */
static enum key_form form_of(struct lp2p_span key, struct lp2p_span *ns)
{
    size_t slashes = 0;
    size_t second = 0;
    for (size_t i = 0; i < key.len && slashes < 2; i++) {
        if (key.ptr[i] == '/') {
            slashes++;
            second = i;
        }
    }
    if (slashes < 2) {
        return KEY_PLAIN;
    }
    if (key.ptr[0] != '/' || second < 2) {
        return KEY_STRANGE;
    }
    *ns = lp2p_span(key.ptr + 1, second - 1);
    return KEY_NAMESPACED;
}

static const struct lp2p_kad_validator *find(const struct lp2p_kad_rules *rules, struct lp2p_span ns)
{
    for (size_t i = 0; i < rules->validators_len; i++) {
        if (lp2p_span_eq_str(ns, rules->validators[i].ns)) {
            return &rules->validators[i];
        }
    }
    return lp2p_span_eq_str(ns, pk_validator.ns) ? &pk_validator : NULL;
}

enum lp2p_err lp2p_kad_validate(const struct lp2p_kad_rules *rules, struct lp2p_span key,
                                struct lp2p_span value)
{
    struct lp2p_span ns;
    enum key_form form = form_of(key, &ns);
    if (form == KEY_PLAIN) {
        return LP2P_OK;
    }
    const struct lp2p_kad_validator *validator = form == KEY_NAMESPACED ? find(rules, ns) : NULL;
    if (validator == NULL) {
        return LP2P_EUNSUPPORTED;
    }
    return validator->validate(validator->ctx, key, value);
}

bool lp2p_kad_better(const struct lp2p_kad_rules *rules, struct lp2p_span key, struct lp2p_span a,
                     struct lp2p_span b)
{
    struct lp2p_span ns;
    if (form_of(key, &ns) != KEY_NAMESPACED) {
        return false;
    }
    const struct lp2p_kad_validator *validator = find(rules, ns);
    return validator != NULL && validator->better != NULL && validator->better(validator->ctx, key, a, b);
}
