/* SPDX-License-Identifier: MIT
 * The packets of mDNS discovery (libp2p specs discovery/mdns.md, RFC 6762, RFC 6763): a strict reader of what anybody on the local
 * network sends, and a writer of the packets that a node has to say. Pure. */
#ifndef LP2P_DISCOVERY_MDNS_PACKET_H
#define LP2P_DISCOVERY_MDNS_PACKET_H

#include "wire/multiaddr.h"

#define LP2P_MDNS_PORT 5353
#define LP2P_MDNS_PACKET_MAX 9000  /* RFC 6762 17; longer ones are not read */
#define LP2P_MDNS_SEND_MAX 1400    /* bytes of one packet of ours: no fragments on an Ethernet */
#define LP2P_MDNS_RECORDS_MAX 256  /* questions and records of one packet; beyond: ELIMIT */
#define LP2P_MDNS_STRINGS_MAX 256  /* strings of all TXT records of one packet; beyond: ELIMIT */
#define LP2P_MDNS_JUMPS_MAX 16     /* compression pointers of one name; beyond: EMALFORMED */
#define LP2P_MDNS_HEARD_MAX 64     /* addresses taken from one packet; beyond: skipped */
#define LP2P_MDNS_INSTANCES_HEARD_MAX 64 /* instances taken from one packet; beyond: skipped */
#define LP2P_MDNS_NAME_MIN 32      /* characters of a peer-name */
#define LP2P_MDNS_NAME_MAX 63
#define LP2P_MDNS_SERVICE_MAX 48   /* bytes of the first label of the service with its NUL */
#define LP2P_MDNS_TTL_S 120
#define LP2P_MDNS_TTL_LEGACY_S 10  /* RFC 6762 6.7: who asks like that has a cache that nobody corrects */

/** A node as it is named on the network. */
struct lp2p_mdns_instance {
    uint8_t len;
    bool bare;                      /* the label is the whole name; otherwise the service follows */
    char label[LP2P_MDNS_NAME_MAX]; /* lower case, no NUL */
    uint32_t ttl_s;                 /* 0: it takes leave */
};

/** What a packet says of one service. */
struct lp2p_mdns_heard {
    bool response;
    bool asks_peers, asks_services; /* a query: who is there; which services are there */
    bool wants_unicast;             /* the question has the unicast-response bit */
    bool truncated;                 /* of a query: more known answers follow */
    uint16_t id;
    uint32_t services_ttl_s; /* the service is in the list of services: told, or known to who asks; 0: it is not */
    size_t instances_len;    /* told, or known to who asks */
    struct lp2p_mdns_instance instances[LP2P_MDNS_INSTANCES_HEARD_MAX];
    size_t addrs_len;
    size_t skipped; /* strings that are no address of a peer, or beyond the room */
    struct lp2p_multiaddr addrs[LP2P_MDNS_HEARD_MAX]; /* each ends in /p2p/ID */
    uint8_t instance_of[LP2P_MDNS_HEARD_MAX];         /* which one told it, or NO_INSTANCE */
};
#define LP2P_MDNS_NO_INSTANCE 0xff

/** Reads a whole packet; `service` is the first label, "_p2p". Of a query the questions and the answers that it knows count, of a
 *  response the records of the service's instances. EMALFORMED, ELIMIT: nothing of it is to be believed. EUNSUPPORTED: well-formed so
 *  far, but neither query nor good news. */
enum lp2p_err lp2p_mdns_read(struct lp2p_span packet, const char *service, struct lp2p_mdns_heard *out) LP2P_MUST_CHECK;

/** How an answer is dressed. */
struct lp2p_mdns_dress {
    bool legacy; /* to a port that is not mDNS's: id and question come back, and the answer is short-lived */
    uint16_t id;
};

/* Each writes one packet and returns its length; `out` has room for LP2P_MDNS_SEND_MAX bytes. */

/** Who is there, beside these (RFC 6762 7.1)? As many are named as fit. */
size_t lp2p_mdns_write_query(const char *service, const struct lp2p_mdns_instance *known, size_t len, uint8_t *out);
/** The instance is no more (RFC 6762 10.1). Only the pointer to it is said: js-libp2p and rust-libp2p do not look at the life of a TXT
 *  record, and would take one for good news. */
size_t lp2p_mdns_write_farewell(const char *service, const char *name, uint8_t *out);
/** Which services are there: this one. */
size_t lp2p_mdns_write_services(const char *service, const struct lp2p_mdns_dress *dress, uint8_t *out);
/** Here we are: addresses (each with /p2p/ID) from *next on, as many as fit; *next becomes the first that does not. An address whose
 *  string would be longer than 255 bytes is left out. 0: there was nothing to say. */
size_t lp2p_mdns_write_answer(const char *service, const char *name, const struct lp2p_mdns_dress *dress,
                              const struct lp2p_multiaddr *addrs, size_t len, size_t *next, uint8_t *out);

#endif
