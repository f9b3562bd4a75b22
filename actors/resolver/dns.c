/* SPDX-License-Identifier: MIT */
#define CARES_NO_DEPRECATED /* older c-ares has only what newer ones call deprecated */
#include "actors/resolver/dns.h"

#include "actors/resolver/dns_text.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>

enum state { WAITING, RUNNING, ANSWERED };

struct lp2p_lookup {
    struct lp2p_list link; /* in waiting, running or answered (longest unused first) */
    struct lp2p_dns *dns;
    struct lp2p_dns_question question;
    enum state state;
    unsigned held;
    bool urgent;
    bool stale; /* asked before the network changed: forgotten when it is let go */
    enum lp2p_err err;
    struct lp2p_addrs *records;
    lp2p_time expires;
};

struct lp2p_dns {
    struct lp2p_actor *self;
    ares_channel channel; /* NULL: none yet */
    const char *servers;
    unsigned timer;
    bool renew; /* as soon as nothing runs */
    struct lp2p_list waiting, running, answered;
    size_t waiting_len, running_len, answered_len;
    size_t ordinary_len; /* of those that run: not urgent */
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
    (void)ares_library_init(ARES_LIB_INIT_ALL);
}

/* ---- c-ares */

/** c-ares says which of its sockets it wants to hear of. If watching fails, its own time-out ends the question. */
static void on_socket(void *user, ares_socket_t fd, int readable, int writable)
{
    struct lp2p_dns *dns = user;
    unsigned interest = (readable ? LP2P_READABLE : 0) | (writable ? LP2P_WRITABLE : 0);
    if (interest == 0) {
        lp2p_fd_unwatch(dns->self, fd);
    } else if (lp2p_fd_watch(dns->self, fd, interest) != LP2P_OK) {
        lp2p_fd_unwatch(dns->self, fd);
    }
}

static enum lp2p_err open_channel(struct lp2p_dns *dns)
{
    (void)pthread_once(&library_once, library_init);
    struct ares_options options = {.timeout = LP2P_DNS_TRY_MS, .tries = LP2P_DNS_TRIES,
                                   .sock_state_cb = on_socket, .sock_state_cb_data = dns};
    const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    if (ares_init_options(&dns->channel, &options, mask) != ARES_SUCCESS) {
        dns->channel = NULL;
        return LP2P_EIO;
    }
    if (dns->servers[0] != '\0' && ares_set_servers_ports_csv(dns->channel, dns->servers) != ARES_SUCCESS) {
        ares_destroy(dns->channel);
        dns->channel = NULL;
        return LP2P_EINVAL;
    }
    return LP2P_OK;
}

static void rearm(struct lp2p_dns *dns)
{
    struct timeval span;
    lp2p_time when = LP2P_NEVER;
    if (dns->channel != NULL && ares_timeout(dns->channel, NULL, &span) != NULL) {
        uint64_t ns = LP2P_SEC(span.tv_sec) + LP2P_US(span.tv_usec);
        when = lp2p_time_add(lp2p_now(dns->self), LP2P_MAX(ns, LP2P_MS(1)));
    }
    lp2p_timer_set(dns->self, dns->timer, when);
}

static enum lp2p_err from_ares(int status)
{
    switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA: /* the name exists, without records of this kind */
        return LP2P_OK;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return LP2P_ENOTFOUND;
    case ARES_ETIMEOUT:
        return LP2P_ETIMEDOUT;
    case ARES_ECONNREFUSED:
        return LP2P_ECONNREFUSED;
    case ARES_EBADRESP:
    case ARES_EFORMERR:
        return LP2P_EMALFORMED;
    case ARES_ENOMEM:
        return LP2P_ENOMEM;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
        return LP2P_ECANCELED;
    default:
        return LP2P_EUNREACHABLE;
    }
}

/* ---- answers */

static void forget(struct lp2p_dns *dns, struct lp2p_lookup *lookup)
{
    lp2p_list_remove(&lookup->link);
    dns->answered_len--;
    lp2p_addrs_drop(&lookup->records);
    free(lookup);
}

static void answered(struct lp2p_lookup *lookup, enum lp2p_err err, struct lp2p_addrs *records, uint64_t ttl_s)
{
    struct lp2p_dns *dns = lookup->dns;
    uint64_t live = LP2P_DNS_FAILED_NS;
    if (err == LP2P_OK && records != NULL && records->len > 0) {
        uint64_t ttl_ns = ttl_s > LP2P_DNS_TTL_MAX_NS / LP2P_SEC(1) ? LP2P_DNS_TTL_MAX_NS : LP2P_SEC(ttl_s);
        live = LP2P_MAX(ttl_ns, LP2P_DNS_TTL_MIN_NS);
    }
    lookup->state = ANSWERED;
    lookup->err = err;
    lookup->records = records;
    lookup->expires = lp2p_time_add(lp2p_now(dns->self), live);
    lp2p_list_remove(&lookup->link);
    dns->running_len--;
    dns->ordinary_len -= lookup->urgent ? 0 : 1;
    lp2p_list_push_back(&dns->answered, &lookup->link);
    dns->answered_len++;
}

static void on_text(void *user, int status, int timeouts, unsigned char *message, int len)
{
    (void)timeouts;
    struct lp2p_lookup *lookup = user;
    enum lp2p_err err = from_ares(status);
    struct lp2p_addrs *records = NULL;
    struct lp2p_dns_text text = {0};
    if (status == ARES_SUCCESS && message != NULL && len > 0) {
        struct lp2p_multiaddr *addrs = calloc(LP2P_DNS_RECORDS_MAX, sizeof(*addrs));
        err = addrs == NULL ? LP2P_ENOMEM
                            : lp2p_dns_text_read(lp2p_span(message, (size_t)len), addrs, LP2P_DNS_RECORDS_MAX, &text);
        if (err == LP2P_OK) {
            records = lp2p_addrs_new(addrs, text.len);
            err = records == NULL ? LP2P_ENOMEM : LP2P_OK;
        }
        free(addrs);
    }
    answered(lookup, err, records, text.ttl_s);
}

/** /ip4/.. or /ip6/.. of a socket's address. */
static bool bare(const struct sockaddr *from, struct lp2p_multiaddr *out)
{
    uint8_t bytes[17];
    if (from->sa_family == AF_INET) {
        bytes[0] = LP2P_MA_IP4;
        memcpy(bytes + 1, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
        return lp2p_multiaddr_parse(lp2p_span(bytes, 5), out) == LP2P_OK;
    }
    if (from->sa_family != AF_INET6) {
        return false;
    }
    bytes[0] = LP2P_MA_IP6;
    memcpy(bytes + 1, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    return lp2p_multiaddr_parse(lp2p_span(bytes, 17), out) == LP2P_OK;
}

static void on_addresses(void *user, int status, int timeouts, struct ares_addrinfo *result)
{
    (void)timeouts;
    struct lp2p_lookup *lookup = user;
    enum lp2p_err err = from_ares(status);
    struct lp2p_addrs *records = NULL;
    uint64_t ttl_s = LP2P_DNS_TTL_MAX_NS / LP2P_SEC(1);
    struct lp2p_multiaddr *addrs = result != NULL ? calloc(LP2P_DNS_RECORDS_MAX, sizeof(*addrs)) : NULL;
    if (status == ARES_SUCCESS && addrs != NULL) {
        size_t len = 0;
        for (struct ares_addrinfo_node *node = result->nodes; node != NULL && len < LP2P_DNS_RECORDS_MAX; node = node->ai_next) {
            if (bare(node->ai_addr, &addrs[len])) {
                len++;
                ttl_s = node->ai_ttl > 0 ? LP2P_MIN(ttl_s, (uint64_t)node->ai_ttl) : 0;
            }
        }
        records = lp2p_addrs_new(addrs, len);
    }
    err = err == LP2P_OK && result != NULL && records == NULL ? LP2P_ENOMEM : err;
    free(addrs);
    if (result != NULL) {
        ares_freeaddrinfo(result);
    }
    answered(lookup, err, records, ttl_s);
}

/* ---- questions */

static void start(struct lp2p_dns *dns, struct lp2p_lookup *lookup)
{
    lp2p_list_remove(&lookup->link);
    dns->waiting_len--;
    lp2p_list_push_back(&dns->running, &lookup->link);
    dns->running_len++;
    dns->ordinary_len += lookup->urgent ? 0 : 1;
    lookup->state = RUNNING;
    enum lp2p_err err = dns->channel == NULL ? open_channel(dns) : LP2P_OK;
    if (err != LP2P_OK) {
        answered(lookup, err, NULL, 0);
        return;
    }
    const struct lp2p_dns_question *question = &lookup->question;
    if (question->kind == LP2P_DNS_TEXT) {
        ares_query(dns->channel, question->name, 1 /* IN */, 16 /* TXT */, on_text, lookup);
        return;
    }
    const struct ares_addrinfo_hints hints = {.ai_family = question->kind == LP2P_DNS_IP4 ? AF_INET : AF_INET6,
                                              .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
    ares_getaddrinfo(dns->channel, question->name, NULL, &hints, on_addresses, lookup);
}

static void close_channel(struct lp2p_dns *dns)
{
    if (dns->channel != NULL) {
        ares_destroy(dns->channel); /* its sockets are unwatched by on_socket */
        dns->channel = NULL;
    }
}

/** The first one that waits; urgent ones stand in front. */
static bool may_start(const struct lp2p_dns *dns)
{
    if (lp2p_list_empty(&dns->waiting) || dns->running_len >= LP2P_DNS_RUNNING_MAX) {
        return false;
    }
    return LP2P_LIST_ENTRY(dns->waiting.next, struct lp2p_lookup, link)->urgent ||
           dns->ordinary_len < LP2P_DNS_RUNNING_MAX - LP2P_DNS_RUNNING_URGENT;
}

static void pump(struct lp2p_dns *dns)
{
    if (dns->renew && dns->running_len == 0) {
        close_channel(dns);
        dns->renew = false;
    }
    while (!dns->renew && may_start(dns)) {
        start(dns, LP2P_LIST_ENTRY(dns->waiting.next, struct lp2p_lookup, link));
    }
    LP2P_LIST_FOREACH_SAFE(it, &dns->answered)
    {
        struct lp2p_lookup *lookup = LP2P_LIST_ENTRY(it, struct lp2p_lookup, link);
        if (dns->answered_len <= LP2P_DNS_CACHE_MAX && !lookup->stale) {
            continue;
        }
        if (lookup->held == 0) {
            forget(dns, lookup);
        }
    }
    rearm(dns);
}

static struct lp2p_lookup *find(struct lp2p_list *list, const struct lp2p_dns_question *question, lp2p_time now)
{
    LP2P_LIST_FOREACH(it, list)
    {
        struct lp2p_lookup *lookup = LP2P_LIST_ENTRY(it, struct lp2p_lookup, link);
        if (lookup->question.kind == question->kind && !lookup->stale &&
            (lookup->state != ANSWERED || lookup->expires > now) && strcmp(lookup->question.name, question->name) == 0) {
            return lookup;
        }
    }
    return NULL;
}

/** What has expired makes room; who still holds it keeps it until then. */
static void expire(struct lp2p_dns *dns, lp2p_time now)
{
    LP2P_LIST_FOREACH_SAFE(it, &dns->answered)
    {
        struct lp2p_lookup *lookup = LP2P_LIST_ENTRY(it, struct lp2p_lookup, link);
        if (lookup->held == 0 && lookup->expires <= now) {
            forget(dns, lookup);
        }
    }
}

/** Behind those that wait and are as urgent. */
static void queue(struct lp2p_dns *dns, struct lp2p_lookup *lookup)
{
    struct lp2p_list *where = dns->waiting.next;
    while (lookup->urgent && where != &dns->waiting && LP2P_LIST_ENTRY(where, struct lp2p_lookup, link)->urgent) {
        where = where->next;
    }
    lp2p_list_insert_before(lookup->urgent ? where : &dns->waiting, &lookup->link);
}

struct lp2p_lookup *lp2p_dns_ask(struct lp2p_dns *dns, const struct lp2p_dns_question *question, bool urgent)
{
    lp2p_time now = lp2p_now(dns->self);
    expire(dns, now);
    struct lp2p_lookup *lookup = find(&dns->answered, question, now);
    if (lookup != NULL) { /* used: to the young end */
        lp2p_list_remove(&lookup->link);
        lp2p_list_push_back(&dns->answered, &lookup->link);
    }
    lookup = lookup != NULL ? lookup : find(&dns->running, question, now);
    lookup = lookup != NULL ? lookup : find(&dns->waiting, question, now);
    if (lookup != NULL) {
        lookup->held++;
        if (urgent && !lookup->urgent && lookup->state == WAITING) {
            lookup->urgent = true;
            lp2p_list_remove(&lookup->link);
            queue(dns, lookup);
            pump(dns);
        }
        return lookup;
    }
    size_t room = LP2P_DNS_WAITING_MAX + (urgent ? LP2P_DNS_WAITING_URGENT : 0);
    lookup = dns->waiting_len < room ? calloc(1, sizeof(*lookup)) : NULL;
    if (lookup == NULL) {
        return NULL;
    }
    *lookup = (struct lp2p_lookup){.dns = dns, .question = *question, .urgent = urgent, .held = 1};
    queue(dns, lookup);
    dns->waiting_len++;
    pump(dns);
    return lookup;
}

void lp2p_dns_release(struct lp2p_dns *dns, struct lp2p_lookup *lookup)
{
    LP2P_CHECK(lookup->held > 0);
    lookup->held--;
    if (lookup->held == 0 && lookup->state == WAITING) {
        lp2p_list_remove(&lookup->link);
        dns->waiting_len--;
        free(lookup);
    } else if (lookup->held == 0 && lookup->state == ANSWERED && lookup->stale) {
        forget(dns, lookup);
    }
}

enum lp2p_err lp2p_lookup_answer(const struct lp2p_lookup *lookup, const struct lp2p_addrs **records)
{
    *records = lookup->records;
    return lookup->state == ANSWERED ? lookup->err : LP2P_EAGAIN;
}

void lp2p_dns_on_fd(struct lp2p_dns *dns, int fd, unsigned ready)
{
    if (dns->channel != NULL) {
        ares_socket_t in = ready & (LP2P_READABLE | LP2P_HANGUP) ? fd : ARES_SOCKET_BAD;
        ares_process_fd(dns->channel, in, ready & LP2P_WRITABLE ? fd : ARES_SOCKET_BAD);
    }
    pump(dns);
}

void lp2p_dns_on_timer(struct lp2p_dns *dns)
{
    if (dns->channel != NULL) {
        ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
    pump(dns);
}

void lp2p_dns_renew(struct lp2p_dns *dns)
{
    LP2P_LIST_FOREACH(it, &dns->answered)
    {
        LP2P_LIST_ENTRY(it, struct lp2p_lookup, link)->stale = true;
    }
    LP2P_LIST_FOREACH(it, &dns->running)
    {
        LP2P_LIST_ENTRY(it, struct lp2p_lookup, link)->stale = true;
    }
    dns->renew = dns->channel != NULL;
    pump(dns);
}

size_t lp2p_dns_cached(const struct lp2p_dns *dns)
{
    return dns->answered_len;
}

struct lp2p_dns *lp2p_dns_new(struct lp2p_actor *self, const char *servers, unsigned timer)
{
    struct lp2p_dns *dns = calloc(1, sizeof(*dns));
    if (dns != NULL) {
        *dns = (struct lp2p_dns){.self = self, .servers = servers, .timer = timer};
        lp2p_list_init(&dns->waiting);
        lp2p_list_init(&dns->running);
        lp2p_list_init(&dns->answered);
    }
    return dns;
}

static void drop_all(struct lp2p_list *list)
{
    LP2P_LIST_FOREACH_SAFE(it, list)
    {
        struct lp2p_lookup *lookup = LP2P_LIST_ENTRY(it, struct lp2p_lookup, link);
        lp2p_list_remove(&lookup->link);
        lp2p_addrs_drop(&lookup->records);
        free(lookup);
    }
}

void lp2p_dns_free(struct lp2p_dns *dns)
{
    if (dns != NULL) {
        close_channel(dns); /* what runs is answered by it */
        drop_all(&dns->waiting);
        drop_all(&dns->running);
        drop_all(&dns->answered);
        free(dns);
    }
}
