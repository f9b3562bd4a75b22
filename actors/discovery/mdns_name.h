/* SPDX-License-Identifier: MIT
 * What the reader and the writer of mDNS packets share: the numbers of DNS, and names. Of this folder only. */
#ifndef LP2P_DISCOVERY_MDNS_NAME_H
#define LP2P_DISCOVERY_MDNS_NAME_H

#include "actors/discovery/mdns_packet.h"
#include "base/check.h"

enum {
    TYPE_A = 1, TYPE_PTR = 12, TYPE_TXT = 16, TYPE_AAAA = 28, TYPE_SRV = 33, TYPE_ANY = 255, CLASS_IN = 1, CLASS_ANY = 255,
    TOP_BIT = 0x8000, /* of a class: the answer may come by unicast; of a record: it replaces what is cached */
    FLAG_RESPONSE = 0x8000, FLAG_AUTHORITATIVE = 0x0400, FLAG_TRUNCATED = 0x0200, OPCODE_MASK = 0x7800, RCODE_MASK = 0x000f,
    HEADER_LEN = 12, LABEL_MAX = 63, NAME_MAX = 255, STRING_MAX = 255,
};

#define PREFIX "dnsaddr="
#define PREFIX_LEN (sizeof(PREFIX) - 1)

/** A name as on the wire, without compression, in lower case. */
struct name {
    size_t len;
    uint8_t bytes[NAME_MAX];
};

static inline void add_label(struct name *name, const void *label, size_t len)
{
    LP2P_CHECK(len <= LABEL_MAX && name->len + 1 + len < NAME_MAX);
    name->bytes[name->len++] = (uint8_t)len;
    memcpy(name->bytes + name->len, label, len);
    name->len += len;
}

static inline void end_name(struct name *name)
{
    name->bytes[name->len++] = 0;
}

static inline struct name service_name(const char *service)
{
    struct name name = {0};
    add_label(&name, service, strlen(service));
    add_label(&name, "_udp", 4);
    add_label(&name, "local", 5);
    end_name(&name);
    return name;
}

static inline struct name services_name(void)
{
    struct name name = {0};
    add_label(&name, "_services", 9);
    add_label(&name, "_dns-sd", 7);
    add_label(&name, "_udp", 4);
    add_label(&name, "local", 5);
    end_name(&name);
    return name;
}

#endif
