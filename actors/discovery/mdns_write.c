/* SPDX-License-Identifier: MIT
 * The writer of mDNS packets. What is written is known to fit, but for lists, which are looked at. */
#include "actors/discovery/mdns_name.h"
#include "wire/endpoint.h"

#define HOSTS_MAX 8     /* IPs of one packet; beyond: left out, the strings have them */
#define POINTER 0xc000u /* and the place of a name: it goes on there */

struct writer {
    uint8_t *out;
    size_t len;
};

static void put(struct writer *writer, const void *bytes, size_t len)
{
    LP2P_CHECK(writer->len + len <= LP2P_MDNS_SEND_MAX);
    memcpy(writer->out + writer->len, bytes, len);
    writer->len += len;
}

static void put16(struct writer *writer, unsigned value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(writer, bytes, 2);
}

static void put_header(struct writer *writer, unsigned id, unsigned flags, unsigned questions, unsigned answers, unsigned additionals)
{
    put16(writer, id);
    put16(writer, flags);
    put16(writer, questions);
    put16(writer, answers);
    put16(writer, 0);
    put16(writer, additionals);
}

static void put_question(struct writer *writer, const struct name *name)
{
    put(writer, name->bytes, name->len);
    put16(writer, TYPE_PTR);
    put16(writer, CLASS_IN);
}

/** Behind the name; returns where the data begin. */
static size_t put_record(struct writer *writer, unsigned type, unsigned class, uint32_t ttl_s, size_t len)
{
    put16(writer, type);
    put16(writer, class);
    put16(writer, ttl_s >> 16);
    put16(writer, ttl_s & 0xffff);
    put16(writer, (unsigned)len);
    return writer->len;
}

/** The record's data end here. */
static void end_record(struct writer *writer, size_t from)
{
    size_t len = writer->len - from;
    writer->out[from - 2] = (uint8_t)(len >> 8);
    writer->out[from - 1] = (uint8_t)len;
}

/** An instance; the service, the first name of the packet, ends it, unless it is bare. Returns where it stands. */
static size_t put_instance(struct writer *writer, const void *label, size_t label_len, bool bare)
{
    size_t at = writer->len;
    const uint8_t count = (uint8_t)label_len;
    put(writer, &count, 1);
    put(writer, label, label_len);
    if (bare) {
        put(writer, "", 1);
    } else {
        put16(writer, POINTER | HEADER_LEN);
    }
    return at;
}

/** The front of an answer up to the head of its PTR record; returns where its data begin. */
static size_t put_pointer(struct writer *writer, const struct lp2p_mdns_dress *dress, const struct name *asked, uint32_t ttl_s,
                          unsigned additionals)
{
    put_header(writer, dress->legacy ? dress->id : 0, FLAG_RESPONSE | FLAG_AUTHORITATIVE, dress->legacy ? 1 : 0, 1, additionals);
    if (dress->legacy) {
        put_question(writer, asked);
        put16(writer, POINTER | HEADER_LEN);
    } else {
        put(writer, asked->bytes, asked->len);
    }
    return put_record(writer, TYPE_PTR, CLASS_IN, ttl_s, 0);
}

static uint32_t ttl_of(const struct lp2p_mdns_dress *dress)
{
    return dress->legacy ? LP2P_MDNS_TTL_LEGACY_S : LP2P_MDNS_TTL_S;
}

size_t lp2p_mdns_write_query(const char *service, const struct lp2p_mdns_instance *known, size_t len, uint8_t *out)
{
    const size_t record_len = 2 + 10 + 1 + 2; /* and its label */
    struct writer writer = {out, 0};
    const struct name name = service_name(service);
    unsigned answers = 0;
    put_header(&writer, 0, 0, 1, 0, 0);
    put_question(&writer, &name);
    for (size_t i = 0; i < len && writer.len + record_len + known[i].len <= LP2P_MDNS_SEND_MAX; i++, answers++) {
        put16(&writer, POINTER | HEADER_LEN);
        size_t from = put_record(&writer, TYPE_PTR, CLASS_IN, known[i].ttl_s, 0);
        (void)put_instance(&writer, known[i].label, known[i].len, known[i].bare);
        end_record(&writer, from);
    }
    out[7] = (uint8_t)answers; /* far fewer than 256 fit */
    return writer.len;
}

size_t lp2p_mdns_write_services(const char *service, const struct lp2p_mdns_dress *dress, uint8_t *out)
{
    struct writer writer = {out, 0};
    const struct name asked = services_name(), target = service_name(service);
    size_t from = put_pointer(&writer, dress, &asked, ttl_of(dress), 0);
    put(&writer, target.bytes, target.len);
    end_record(&writer, from);
    return writer.len;
}

size_t lp2p_mdns_write_farewell(const char *service, const char *name, uint8_t *out)
{
    struct writer writer = {out, 0};
    const struct lp2p_mdns_dress dress = {0};
    const struct name asked = service_name(service);
    size_t from = put_pointer(&writer, &dress, &asked, 0, 0);
    (void)put_instance(&writer, name, strlen(name), false);
    end_record(&writer, from);
    return writer.len;
}

/* ---- the host: nobody of libp2p needs it, but go-libp2p's library hears only of instances whose host has an IP */

struct hosts {
    size_t len;
    struct lp2p_ip_port items[HOSTS_MAX];
};

static struct hosts hosts_of(const struct lp2p_multiaddr *addrs, size_t len)
{
    struct hosts hosts = {0};
    for (size_t i = 0; i < len && hosts.len < HOSTS_MAX; i++) {
        const struct lp2p_endpoint endpoint = lp2p_endpoint_of(&addrs[i]);
        struct lp2p_ip_port *host = &hosts.items[hosts.len];
        bool is_new = lp2p_endpoint_ip(&endpoint, host);
        for (size_t k = 0; k < hosts.len && is_new; k++) {
            is_new = hosts.items[k].ip_len != host->ip_len || memcmp(hosts.items[k].ip, host->ip, host->ip_len) != 0;
        }
        hosts.len += is_new;
    }
    return hosts;
}

/** SRV and the addresses of its host, which is named like the instance. The name is written in full: who asks from another port
 *  than mDNS's may not know of compression there (RFC 6762 18.14). */
static void put_hosts(struct writer *writer, const struct lp2p_mdns_dress *dress, size_t instance_at, const char *name,
                      const struct hosts *hosts)
{
    const unsigned class = CLASS_IN | (dress->legacy ? 0u : TOP_BIT);
    struct name host = {0};
    add_label(&host, name, strlen(name));
    add_label(&host, "local", 5);
    end_name(&host);
    put16(writer, POINTER | (unsigned)instance_at);
    size_t from = put_record(writer, TYPE_SRV, class, ttl_of(dress), 0);
    put16(writer, 0); /* priority, weight, port */
    put16(writer, 0);
    put16(writer, hosts->items[0].port);
    size_t host_at = writer->len;
    put(writer, host.bytes, host.len);
    end_record(writer, from);
    for (size_t i = 0; i < hosts->len; i++) {
        put16(writer, POINTER | (unsigned)host_at);
        (void)put_record(writer, hosts->items[i].ip_len == 4 ? TYPE_A : TYPE_AAAA, class, ttl_of(dress), hosts->items[i].ip_len);
        put(writer, hosts->items[i].ip, hosts->items[i].ip_len);
    }
}

size_t lp2p_mdns_write_answer(const char *service, const char *name, const struct lp2p_mdns_dress *dress,
                              const struct lp2p_multiaddr *addrs, size_t len, size_t *next, uint8_t *out)
{
    struct writer writer = {out, 0};
    const struct name asked = service_name(service);
    const struct hosts hosts = hosts_of(addrs, len);
    size_t from = put_pointer(&writer, dress, &asked, ttl_of(dress), 1 + (hosts.len == 0 ? 0 : 1 + (unsigned)hosts.len));
    size_t instance_at = put_instance(&writer, name, strlen(name), false);
    end_record(&writer, from);
    if (hosts.len > 0) {
        put_hosts(&writer, dress, instance_at, name, &hosts);
    }
    /* Only this node has that name: its record replaces what is cached, except where nobody knows of this bit. More packets add to
     * the first one, because they follow within a second. */
    put16(&writer, POINTER | (unsigned)instance_at);
    from = put_record(&writer, TYPE_TXT, CLASS_IN | (dress->legacy ? 0u : TOP_BIT), ttl_of(dress), 0);
    for (; *next < len; ++*next) {
        char text[LP2P_MULTIADDR_TEXT_MAX];
        lp2p_multiaddr_text(&addrs[*next], text);
        size_t size = PREFIX_LEN + strlen(text);
        if (size > STRING_MAX) {
            continue;
        }
        if (writer.len + 1 + size > LP2P_MDNS_SEND_MAX) {
            break;
        }
        const uint8_t count = (uint8_t)size;
        put(&writer, &count, 1);
        put(&writer, PREFIX, PREFIX_LEN);
        put(&writer, text, size - PREFIX_LEN);
    }
    end_record(&writer, from);
    return writer.len == from ? 0 : writer.len;
}
