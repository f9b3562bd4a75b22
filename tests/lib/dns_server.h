/* SPDX-License-Identifier: MIT
 * A small DNS server on loopback, UDP and TCP on one port, with a thread of its own, for tests of names. */
#ifndef LP2P_TESTS_DNS_SERVER_H
#define LP2P_TESTS_DNS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dns_answer {
    DNS_RECORDS,    /* what was added for the name; a name without any does not exist */
    DNS_SILENCE,    /* none at all */
    DNS_GARBAGE,    /* bytes that are no message, behind a right header */
    DNS_FAILURE,    /* SERVFAIL */
    DNS_CUT,        /* over UDP only the truncation bit, over TCP the records */
    DNS_CHAIN,      /* each name leads to the next one by dnsaddr, without end */
    DNS_LOOP,       /* leads to itself */
    DNS_FLOOD,      /* as many TXT records as a message of 65,535 bytes holds, over TCP */
};

struct dns_server;

struct dns_server *dns_server_new(void);
void dns_server_free(struct dns_server *server);
uint16_t dns_server_port(const struct dns_server *server);
/** "127.0.0.1:PORT". */
const char *dns_server_text(const struct dns_server *server);
/* Before the first question: */
void dns_server_a(struct dns_server *server, const char *name, const char *ip, uint32_t ttl_s); /* A or AAAA by the text */
void dns_server_txt(struct dns_server *server, const char *name, const char *text, uint32_t ttl_s); /* split into strings of 255 */
void dns_server_behave(struct dns_server *server, const char *name, enum dns_answer how);
/** Questions that came for a name (any type), each counted once however often it was sent; NULL: for all. */
unsigned dns_server_questions(struct dns_server *server, const char *name);

#endif
