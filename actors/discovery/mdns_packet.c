/* SPDX-License-Identifier: MIT */
#include "actors/discovery/mdns_packet.h"

#include "base/check.h"

enum {
    TYPE_PTR = 12, TYPE_TXT = 16, TYPE_ANY = 255, CLASS_IN = 1, CLASS_ANY = 255,
    TOP_BIT = 0x8000, /* of a class: the answer may come by unicast; of a record: it replaces what is cached */
    FLAG_RESPONSE = 0x8000, FLAG_AUTHORITATIVE = 0x0400, OPCODE_MASK = 0x7800, RCODE_MASK = 0x000f, HEADER_LEN = 12, LABEL_MAX = 63,
    NAME_MAX = 255, STRING_MAX = 255,
};

static const char PREFIX[] = "dnsaddr=";
#define PREFIX_LEN (sizeof(PREFIX) - 1)

/** A name as on the wire, without compression, in lower case. */
struct name {
    size_t len;
    uint8_t bytes[NAME_MAX];
};

static void add_label(struct name *name, const void *label, size_t len)
{
    LP2P_CHECK(len <= LABEL_MAX && name->len + 1 + len < NAME_MAX);
    name->bytes[name->len++] = (uint8_t)len;
    memcpy(name->bytes + name->len, label, len);
    name->len += len;
}

static void end_name(struct name *name)
{
    name->bytes[name->len++] = 0;
}

static struct name service_name(const char *service)
{
    struct name name = {0};
    add_label(&name, service, strlen(service));
    add_label(&name, "_udp", 4);
    add_label(&name, "local", 5);
    end_name(&name);
    return name;
}

static struct name services_name(void)
{
    struct name name = {0};
    add_label(&name, "_services", 9);
    add_label(&name, "_dns-sd", 7);
    add_label(&name, "_udp", 4);
    add_label(&name, "local", 5);
    end_name(&name);
    return name;
}

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

static void take_string(struct lp2p_span text, struct lp2p_mdns_heard *out)
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
    out->addrs_len++;
}

static enum lp2p_err take_strings(struct lp2p_span data, unsigned *strings, struct lp2p_mdns_heard *out)
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
        take_string(lp2p_span(data.ptr, part), out);
        data = lp2p_span_skip(data, part);
    }
    return LP2P_OK;
}

static enum lp2p_err record(struct reader *reader, const struct name *service, unsigned *strings, struct lp2p_mdns_heard *out)
{
    struct name name;
    uint32_t type = 0, class = 0, ttl_high = 0, ttl_low = 0, len = 0;
    if (!take_name(reader, &name) || !take16(reader, &type) || !take16(reader, &class) || !take16(reader, &ttl_high) ||
        !take16(reader, &ttl_low) || !take16(reader, &len) || reader->packet.len - reader->at < len) {
        return LP2P_EMALFORMED;
    }
    struct lp2p_span data = lp2p_span(reader->packet.ptr + reader->at, len);
    reader->at += len;
    bool leaves = ttl_high == 0 && ttl_low == 0; /* a farewell is no reason to dial */
    if (type != TYPE_TXT || !is_class(class) || leaves || !is_instance(&name, service)) {
        return LP2P_OK;
    }
    return take_strings(data, strings, out);
}

enum lp2p_err lp2p_mdns_read(struct lp2p_span packet, const char *service, struct lp2p_mdns_heard *out)
{
    const struct name name = service_name(service);
    struct reader reader = {packet, 0};
    uint32_t head[6] = {0}; /* id, flags, questions, answers, authorities, additionals */
    out->response = out->asks_peers = out->asks_services = out->wants_unicast = false;
    out->addrs_len = out->skipped = 0;
    if (packet.len < HEADER_LEN || packet.len > LP2P_MDNS_PACKET_MAX) {
        return LP2P_EMALFORMED;
    }
    for (size_t i = 0; i < LP2P_ARRAY_LEN(head); i++) {
        LP2P_CHECK(take16(&reader, &head[i]));
    }
    out->id = (uint16_t)head[0];
    out->response = (head[1] & FLAG_RESPONSE) != 0;
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
    for (uint32_t i = 0; i < records && out->response && err == LP2P_OK; i++) {
        err = record(&reader, &name, &strings, out);
    }
    return err;
}

/* ---- writing: what is written is known to fit, but for the addresses, which are looked at */

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
    put(writer, bytes, sizeof(bytes));
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

static void put_record(struct writer *writer, const struct name *name, unsigned type, unsigned class, bool legacy, size_t len)
{
    put(writer, name->bytes, name->len);
    put16(writer, type);
    put16(writer, class);
    put16(writer, 0);
    put16(writer, legacy ? LP2P_MDNS_TTL_LEGACY_S : LP2P_MDNS_TTL_S);
    put16(writer, (unsigned)len);
}

/** The front of an answer up to and with its PTR record. */
static void put_pointer(struct writer *writer, const struct lp2p_mdns_dress *dress, const struct name *asked,
                        const struct name *target, unsigned additionals)
{
    put_header(writer, dress->legacy ? dress->id : 0, FLAG_RESPONSE | FLAG_AUTHORITATIVE, dress->legacy ? 1 : 0, 1, additionals);
    if (dress->legacy) {
        put_question(writer, asked);
    }
    put_record(writer, asked, TYPE_PTR, CLASS_IN, dress->legacy, target->len);
    put(writer, target->bytes, target->len);
}

size_t lp2p_mdns_write_query(const char *service, uint8_t *out)
{
    struct writer writer = {out, 0};
    const struct name name = service_name(service);
    put_header(&writer, 0, 0, 1, 0, 0);
    put_question(&writer, &name);
    return writer.len;
}

size_t lp2p_mdns_write_services(const char *service, const struct lp2p_mdns_dress *dress, uint8_t *out)
{
    struct writer writer = {out, 0};
    const struct name asked = services_name(), target = service_name(service);
    put_pointer(&writer, dress, &asked, &target, 0);
    return writer.len;
}

size_t lp2p_mdns_write_answer(const char *service, const char *name, const struct lp2p_mdns_dress *dress,
                              const struct lp2p_multiaddr *addrs, size_t len, size_t *next, uint8_t *out)
{
    struct writer writer = {out, 0};
    const struct name asked = service_name(service);
    struct name instance = {0};
    add_label(&instance, name, strlen(name));
    memcpy(instance.bytes + instance.len, asked.bytes, asked.len);
    instance.len += asked.len;
    put_pointer(&writer, dress, &asked, &instance, 1);
    /* Only this node has that name: its record replaces what is cached, except where nobody knows of this bit. More packets add to
     * the first one, because they follow within a second. */
    put_record(&writer, &instance, TYPE_TXT, CLASS_IN | (dress->legacy ? 0 : TOP_BIT), dress->legacy, 0);
    size_t from = writer.len;
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
    size_t data = writer.len - from;
    out[from - 2] = (uint8_t)(data >> 8);
    out[from - 1] = (uint8_t)data;
    return data == 0 ? 0 : writer.len;
}
