/* SPDX-License-Identifier: MIT
 * The configuration from the inside: plain values, filled by the setters of p2p.h. Immutable once a node was made from it. */
#ifndef LP2P_ACTORS_CONFIG_H
#define LP2P_ACTORS_CONFIG_H

#include "actors/p2p.h"
#include "actors/shared.h"
#include "pnet/pnet.h"

#define LP2P_LISTEN_MAX 16
#define LP2P_BOOTSTRAP_MAX 64
#define LP2P_PROXIES_MAX 16
#define LP2P_PATH_MAX 512 /* bytes of a path in the configuration with its NUL */

enum lp2p_dht_mode { LP2P_DHT_OFF, LP2P_DHT_CLIENT, LP2P_DHT_SERVER };

/** A network: the first `bits` bits of the address. */
struct lp2p_cidr {
    uint8_t ip[16], ip_len, bits;
};

struct lp2p_config {
    struct lp2p_multiaddr listen[LP2P_LISTEN_MAX], announce[LP2P_LISTEN_MAX], bootstrap[LP2P_BOOTSTRAP_MAX];
    size_t listen_len, announce_len, bootstrap_len;
    struct lp2p_multiaddr append_announce[LP2P_LISTEN_MAX]; /* published besides */
    size_t append_announce_len;
    char dns_servers[256]; /* "": the system's */
    bool no_port_reuse, public_only;
    bool mdns; /* look for peers on the local network, and be found there */
    unsigned connections_min, connections_max, trim_grace_ms;
    enum lp2p_dht_mode dht_mode;
    char dht_protocol[LP2P_PROTOCOL_ID_MAX];
    unsigned dht_k, dht_alpha;
    char muxers[2][LP2P_PROTOCOL_ID_MAX]; /* protocol ids in order of preference */
    size_t muxers_len;
    char security[2][16]; /* "noise", "tls", in order of preference; none: the default */
    size_t security_len;
    char web_certificate[LP2P_PATH_MAX], web_key[LP2P_PATH_MAX]; /* PEM files of wss; "": a certificate of our own making */
    struct lp2p_cidr proxies[LP2P_PROXIES_MAX]; /* whose word about a connection's origin counts */
    size_t proxies_len;
    bool has_key, key_type_set;
    bool env_key, env_min, env_max; /* that value is from the .env file */
    struct lp2p_private_key key;
    enum lp2p_key_type key_type; /* of identities that are made here */
    unsigned key_bits;           /* RSA; 0: the least */
    bool has_swarm_key; /* then every connection is of the private network, or fails */
    struct lp2p_pnet_key swarm_key;
    bool io_threads_set;
    unsigned io_threads; /* 0: one for each connection */
    bool serve_echo, serve_perf;
    char agent[128];
    char data_dir[1024]; /* "": nothing is kept on disk */
    enum lp2p_log_level log_level;
    lp2p_log_fn log_fn;
    void *log_user;
    char detail[LP2P_DETAIL_MAX];
};

/** I/O threads in force: 0: one for each connection. */
unsigned lp2p_config_io_threads_of(const struct lp2p_config *config);

#endif
