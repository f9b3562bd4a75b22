/* SPDX-License-Identifier: MIT */
#include "actors/discovery/mdns_name.h"

#include "base/check.h"

static bool same_name(const struct name *a, const struct name *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/** One label in front of the service. */
static bool is_instance(const struct name *name, const struct name *service)
{
    size_t first = 1u + name->bytes[0];
    return name->len == first + service->len && memcmp(name->bytes + first, service->bytes, service->len) == 0;
}

/** A label alone: rust-libp2p names its instances so. */
static bool is_bare(const struct name *name)
{
    return name->bytes[0] > 0 && name->len == name->bytes[0] + 2u;
}

/* ---- reading */

struct reader {
    struct lp2p_span packet;
    size_t at;
};

static bool take16(struct reader *reader, uint32_t *out)
{
    if (reader->packet.len - reader->at < 2) {
        return false;
    }
    *out = (uint32_t)reader->packet.ptr[reader->at] << 8 | reader->packet.ptr[reader->at + 1];
    reader->at += 2;
    return true;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/** A pointer leads before the beginning of the piece that it ends, so each one is nearer to the front and none can loop. */
static bool take_name(struct reader *reader, struct name *out)
{
    const uint8_t *bytes = reader->packet.ptr;
    size_t pos = reader->at, limit = reader->at, len = reader->packet.len;
    unsigned jumps = 0;
    out->len = 0;
    while (pos < len) {
        uint8_t first = bytes[pos];
        if ((first & 0xc0) == 0xc0) {
            if (len - pos < 2 || ++jumps > LP2P_MDNS_JUMPS_MAX) {
                return false;
            }
            reader->at = jumps == 1 ? pos + 2 : reader->at;
            size_t to = (size_t)(first & 0x3f) << 8 | bytes[pos + 1];
            if (to >= limit || to < HEADER_LEN) {
                return false;
            }
            limit = pos = to;
            continue;
        }
        if (first > LABEL_MAX || len - pos < 1u + first || out->len + 1u + first > NAME_MAX) {
            return false;
        }
        out->bytes[out->len++] = first;
        for (size_t i = 1; i <= first; i++) {
            out->bytes[out->len++] = lower(bytes[pos + i]);
        }
        pos += 1u + first;
        if (first == 0) {
            reader->at = jumps == 0 ? pos : reader->at;
            return true;
        }
    }
    return false;
}

static bool is_class(uint32_t class)
{
    class &= ~(uint32_t)TOP_BIT;
    return class == CLASS_IN || class == CLASS_ANY;
}

static bool question(struct reader *reader, const struct name *service, struct lp2p_mdns_heard *out)
{
    struct name name, services = services_name();
    uint32_t type = 0, class = 0;
    if (!take_name(reader, &name) || !take16(reader, &type) || !take16(reader, &class)) {
        return false;
    }
    bool fits = !out->response && is_class(class) && (type == TYPE_PTR || type == TYPE_ANY);
    bool peers = fits && same_name(&name, service), meta = fits && same_name(&name, &services);
    out->asks_peers |= peers;
    out->asks_services |= meta;
    out->wants_unicast |= (peers || meta) && (class & TOP_BIT) != 0;
    return true;
}

static uint8_t find_instance(const struct lp2p_mdns_heard *out, const struct name *name)
{
    for (size_t i = 0; i < out->instances_len; i++) {
        const struct lp2p_mdns_instance *it = &out->instances[i];
        if (it->bare == is_bare(name) && it->len == name->bytes[0] && memcmp(it->label, name->bytes + 1, it->len) == 0) {
            return (uint8_t)i;
        }
    }
    return LP2P_MDNS_NO_INSTANCE;
}

/** The place of an instance in what was heard; the shortest life of its records counts, so that one farewell is enough. */
static uint8_t add_instance(struct lp2p_mdns_heard *out, const struct name *name, uint32_t ttl_s)
{
    uint8_t len = name->bytes[0], known = find_instance(out, name);
    if (known != LP2P_MDNS_NO_INSTANCE) {
        out->instances[known].ttl_s = LP2P_MIN(out->instances[known].ttl_s, ttl_s);
        return known;
    }
    if (out->instances_len == LP2P_MDNS_INSTANCES_HEARD_MAX) {
        out->skipped++;
        return LP2P_MDNS_NO_INSTANCE;
    }
    struct lp2p_mdns_instance *it = &out->instances[out->instances_len];
    it->len = len;
    it->bare = is_bare(name);
    it->ttl_s = ttl_s;
    memcpy(it->label, name->bytes + 1, len);
    return (uint8_t)out->instances_len++;
}

static void take_string(struct lp2p_span text, uint8_t instance, struct lp2p_mdns_heard *out)
{
    char copy[STRING_MAX + 1];
    struct lp2p_peer_id peer;
    if (text.len <= PREFIX_LEN || memcmp(text.ptr, PREFIX, PREFIX_LEN) != 0) {
        return; /* something else that a TXT record may say */
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    struct lp2p_multiaddr *addr = &out->addrs[out->addrs_len];
    if (memchr(copy, '\0', text.len) != NULL || out->addrs_len == LP2P_MDNS_HEARD_MAX ||
        lp2p_multiaddr_from_text(copy + PREFIX_LEN, addr, NULL) != LP2P_OK || lp2p_multiaddr_peer(addr, &peer) != LP2P_OK) {
        out->skipped++;
        return;
    }
    out->instance_of[out->addrs_len++] = instance;
}

static enum lp2p_err take_strings(struct lp2p_span data, uint8_t instance, unsigned *strings, struct lp2p_mdns_heard *out)
{
    while (data.len > 0) {
        size_t part = data.ptr[0];
        data = lp2p_span_skip(data, 1);
        if (part > data.len) {
            return LP2P_EMALFORMED;
        }
        if (++*strings > LP2P_MDNS_STRINGS_MAX) {
            return LP2P_ELIMIT;
        }
        take_string(lp2p_span(data.ptr, part), instance, out);
        data = lp2p_span_skip(data, part);
    }
    return LP2P_OK;
}

/** A record that is of interest, and where its data lie. */
struct record {
    struct name name;
    uint32_t type, class, ttl_s, len;
    size_t data_at;
};

static bool take_record(struct reader *reader, struct record *out)
{
    uint32_t high = 0, low = 0;
    if (!take_name(reader, &out->name) || !take16(reader, &out->type) || !take16(reader, &out->class) || !take16(reader, &high) ||
        !take16(reader, &low) || !take16(reader, &out->len) || reader->packet.len - reader->at < out->len) {
        return false;
    }
    out->ttl_s = high << 16 | low;
    out->data_at = reader->at;
    reader->at += out->len;
    return true;
}

/** A pointer to an instance, or to the service in the list of all services; of anything else nothing is taken. */
static enum lp2p_err pointer(const struct reader *reader, const struct record *record, const struct name *service,
                             struct lp2p_mdns_heard *out)
{
    const struct name services = services_name();
    bool of_services = same_name(&record->name, &services);
    struct reader data = {reader->packet, record->data_at};
    struct name target;
    if (!of_services && !same_name(&record->name, service)) {
        return LP2P_OK;
    }
    if (!take_name(&data, &target) || data.at != record->data_at + record->len) {
        return LP2P_EMALFORMED;
    }
    if (of_services && same_name(&target, service)) {
        out->services_ttl_s = LP2P_MAX(out->services_ttl_s, record->ttl_s);
    } else if (!of_services && (is_instance(&target, service) || is_bare(&target))) {
        (void)add_instance(out, &target, record->ttl_s);
    }
    return LP2P_OK;
}

static enum lp2p_err read_record(struct reader *reader, const struct name *service, unsigned *strings, struct lp2p_mdns_heard *out)
{
    struct record record;
    if (!take_record(reader, &record)) {
        return LP2P_EMALFORMED;
    }
    if (record.type == TYPE_PTR && is_class(record.class)) {
        return pointer(reader, &record, service, out);
    }
    /* What a query claims to know of others is no news. */
    if (record.type != TYPE_TXT || !is_class(record.class) || !out->response) {
        return LP2P_OK;
    }
    /* A label alone says not whose it is: a pointer of this packet has to. */
    bool pointed_at = is_bare(&record.name) && find_instance(out, &record.name) != LP2P_MDNS_NO_INSTANCE;
    if (!pointed_at && !is_instance(&record.name, service)) {
        return LP2P_OK;
    }
    uint8_t instance = add_instance(out, &record.name, record.ttl_s);
    if (record.ttl_s == 0) {
        return LP2P_OK; /* a farewell is no reason to dial */
    }
    return take_strings(lp2p_span(reader->packet.ptr + record.data_at, record.len), instance, strings, out);
}

enum lp2p_err lp2p_mdns_read(struct lp2p_span packet, const char *service, struct lp2p_mdns_heard *out)
{
    const struct name name = service_name(service);
    struct reader reader = {packet, 0};
    uint32_t head[6] = {0}; /* id, flags, questions, answers, authorities, additionals */
    out->response = out->asks_peers = out->asks_services = out->wants_unicast = out->truncated = false;
    out->addrs_len = out->instances_len = out->skipped = 0;
    out->services_ttl_s = 0;
    if (packet.len < HEADER_LEN || packet.len > LP2P_MDNS_PACKET_MAX) {
        return LP2P_EMALFORMED;
    }
    for (size_t i = 0; i < LP2P_ARRAY_LEN(head); i++) {
        LP2P_CHECK(take16(&reader, &head[i]));
    }
    out->id = (uint16_t)head[0];
    out->response = (head[1] & FLAG_RESPONSE) != 0;
    out->truncated = (head[1] & FLAG_TRUNCATED) != 0;
    if ((head[1] & (OPCODE_MASK | RCODE_MASK)) != 0) {
        return LP2P_EUNSUPPORTED;
    }
    uint32_t records = head[3] + head[4] + head[5];
    if (head[2] + records > LP2P_MDNS_RECORDS_MAX) {
        return LP2P_ELIMIT;
    }
    for (uint32_t i = 0; i < head[2]; i++) {
        if (!question(&reader, &name, out)) {
            return LP2P_EMALFORMED;
        }
    }
    unsigned strings = 0;
    enum lp2p_err err = LP2P_OK;
    records = out->response ? records : head[3]; /* of a query: the answers that it knows */
    for (uint32_t i = 0; i < records && err == LP2P_OK; i++) {
        err = read_record(&reader, &name, &strings, out);
    }
    return err;
}
