/* SPDX-License-Identifier: MIT
 * Peers on disk from the inside: the encoding of one, batches, the file, its bounds; and through the public
 * API: what a node knows after a restart. */
#include "actors/p2p.h"
#include "actors/store/db.h"
#include "actors/store/record.h"
#include "base/check.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define PATIENCE_MS 60000

static char dir[64];

/* Takes the place of the C library's: while it jumps, each look at the wall clock finds it 10 s further on. */
static bool jumping;
static time_t ahead_s;
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME && __atomic_load_n(&jumping, __ATOMIC_RELAXED)) {
        now->tv_sec += __atomic_add_fetch(&ahead_s, 10, __ATOMIC_RELAXED);
    }
    return rc;
}

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/test-store-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char path[400];
    DIR *listing = opendir(dir);
    for (struct dirent *it; listing != NULL && (it = readdir(listing)) != NULL;) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, it->d_name);
        (void)unlink(path);
    }
    (void)closedir(listing);
    return rmdir(dir);
}

static struct lp2p_peer_id peer(unsigned n)
{
    return (struct lp2p_peer_id){.len = 34, .bytes = {0x12, 0x20, (uint8_t)n, (uint8_t)(n >> 8)}};
}

static struct lp2p_multiaddr addr(unsigned n)
{
    struct lp2p_multiaddr out;
    uint8_t ip[4] = {10, 0, (uint8_t)(n >> 8), (uint8_t)n};
    lp2p_multiaddr_from_ip_tcp(ip, 4, 4001, &out);
    return out;
}

/* The largest entry that there can be. */
static void fill(struct lp2p_peer_entry *entry)
{
    static const uint8_t most[LP2P_PEER_RECORD_MAX] = {7, 8, 9};
    static char texts[LP2P_STORE_PROTOCOLS_MAX + 5][LP2P_PROTOCOL_ID_MAX];
    struct lp2p_span protocols[LP2P_STORE_PROTOCOLS_MAX + 5];
    *entry = (struct lp2p_peer_entry){.id = peer(7),
                                      .record_seq = 1764100000000000000u,
                                      .last_seen_ms = 1764100000000u,
                                      .connected_ms = 1764000000000u,
                                      .rtt_ns = 123456};
    lp2p_list_init(&entry->links);
    lp2p_list_init(&entry->waiters);
    memset(entry->agent, 'a', sizeof(entry->agent) - 1);
    memset(entry->protocol_version, 'v', sizeof(entry->protocol_version) - 1);
    for (unsigned i = 0; i < LP2P_PEER_ADDRS_MAX; i++) {
        struct lp2p_multiaddr one = addr(i);
        struct lp2p_addrs *addrs = lp2p_addrs_new(&one, 1);
        lp2p_peer_entry_learn(entry, addrs,
                              (enum lp2p_addr_source)(i % 2 == 0 ? LP2P_ADDR_IDENTIFY : LP2P_ADDR_PROVEN),
                              1000 + i);
        lp2p_addrs_drop(&addrs);
    }
    for (size_t i = 0; i < LP2P_ARRAY_LEN(texts); i++) {
        memset(texts[i], 'p', LP2P_PROTOCOL_ID_MAX - 1);
        texts[i][0] = (char)('a' + i);
        protocols[i] = lp2p_span_str(texts[i]);
    }
    entry->protocols = lp2p_strings_new(protocols, LP2P_ARRAY_LEN(texts));
    for (char name[2] = "a"; name[0] < 'i'; name[0]++) {
        assert_int_equal(lp2p_peer_entry_tag(entry, name, name[0] == 'a' ? -5 : INT32_MAX), LP2P_OK);
    }
    entry->record = lp2p_slice_copy(most, LP2P_PEER_RECORD_MAX);
    entry->key = lp2p_slice_copy(most, LP2P_PUBLIC_KEY_MAX);
}

static void empty(struct lp2p_peer_entry *entry)
{
    lp2p_addrs_drop(&entry->addrs);
    lp2p_strings_drop(&entry->protocols);
    lp2p_slice_drop(&entry->record);
    lp2p_slice_drop(&entry->key);
}

static void test_store_record(void **state)
{
    (void)state;
    static struct lp2p_peer_entry entry;
    static struct lp2p_stored_peer read;
    static uint8_t out[LP2P_STORE_PEER_MAX];
    size_t len = 0, small = 0;
    fill(&entry);
    assert_int_equal(lp2p_stored_peer_write(&entry, out, sizeof(out), &len), LP2P_OK);
    assert_int_equal(lp2p_stored_peer_write(&entry, out, len - 1, &small), LP2P_ELIMIT);
    assert_int_equal(lp2p_stored_peer_write(&entry, out, sizeof(out), &len), LP2P_OK);
    assert_int_equal(lp2p_stored_peer_read(lp2p_span(out, len), &read), LP2P_OK);
    assert_true(lp2p_peer_id_eq(&read.id, &entry.id));
    assert_true(read.record_seq == entry.record_seq && read.last_seen_ms == entry.last_seen_ms);
    assert_true(read.connected_ms == entry.connected_ms && read.rtt_ns == entry.rtt_ns);
    assert_true(lp2p_span_eq_str(read.agent, entry.agent) &&
                lp2p_span_eq_str(read.protocol_version, entry.protocol_version));
    assert_int_equal(read.addrs_len, LP2P_PEER_ADDRS_MAX);
    for (size_t i = 0; i < read.addrs_len; i++) {
        assert_true(lp2p_multiaddr_eq(&read.addrs[i], &entry.addrs->items[i]));
        assert_int_equal(read.notes[i].source, entry.notes[i].source);
        assert_int_equal(read.notes[i].seen_s, entry.notes[i].seen_s);
    }
    assert_int_equal(read.protocols_len, LP2P_STORE_PROTOCOLS_MAX);
    assert_true(lp2p_span_eq_str(read.protocols[3], entry.protocols->items[3]));
    assert_int_equal(read.tags_len, LP2P_PEER_TAGS_MAX);
    assert_int_equal(read.tags[0].value, -5);
    assert_true(lp2p_span_eq(read.record, lp2p_slice_span(&entry.record)));
    assert_true(lp2p_span_eq(read.key, lp2p_slice_span(&entry.key)));
    assert_true(lp2p_stored_peer_seen(lp2p_span(out, len)) == entry.last_seen_ms);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, out, cut);
        assert_int_not_equal(lp2p_stored_peer_read(lp2p_span(part, cut), &read), LP2P_OK);
        free(part);
    }
    out[len] = 0;
    assert_int_equal(lp2p_stored_peer_read(lp2p_span(out, len + 1), &read), LP2P_EMALFORMED);
    for (uint8_t version = 0; version <= 3; version += 3) {
        out[0] = version;
        assert_int_equal(lp2p_stored_peer_read(lp2p_span(out, len), &read), LP2P_EVERSION);
    }
    empty(&entry);
}

/* What the version before wrote has no record and no key at its end. */
static void test_store_record_of_version_1(void **state)
{
    (void)state;
    static struct lp2p_peer_entry entry;
    static struct lp2p_stored_peer read;
    static uint8_t out[LP2P_STORE_PEER_MAX];
    size_t len = 0;
    fill(&entry);
    lp2p_slice_drop(&entry.record);
    lp2p_slice_drop(&entry.key);
    assert_int_equal(lp2p_stored_peer_write(&entry, out, sizeof(out), &len), LP2P_OK);
    assert_int_equal(out[0], 2);
    out[0] = 1;
    assert_int_equal(lp2p_stored_peer_read(lp2p_span(out, len), &read), LP2P_EMALFORMED);
    assert_int_equal(lp2p_stored_peer_read(lp2p_span(out, len - 2), &read), LP2P_OK); /* two lengths of 0 */
    assert_int_equal(read.addrs_len, LP2P_PEER_ADDRS_MAX);
    assert_int_equal(read.tags_len, LP2P_PEER_TAGS_MAX);
    assert_true(read.record_seq == entry.record_seq && read.record.len == 0 && read.key.len == 0);
    empty(&entry);
}

/* A record counts when its signature, its signer, its number and its addresses are those of the peer. */
static void test_store_record_is_proven_again(void **state)
{
    (void)state;
    static struct lp2p_private_key key;
    static struct lp2p_peer_record record, scratch;
    static struct lp2p_stored_peer good, bad;
    static uint8_t sealed[LP2P_PEER_RECORD_MAX];
    const uint8_t seed[32] = {5};
    size_t len = 0;
    lp2p_private_key_from_seed(seed, &key);
    lp2p_peer_id_from_key(&key.public_key, &record.peer);
    record.seq = 9;
    record.addrs[0] = record.addrs[1] = addr(1);
    record.addrs_len = 2;
    assert_int_equal(lp2p_multiaddr_add_peer(&record.addrs[1], &record.peer), LP2P_OK);
    assert_int_equal(lp2p_peer_record_seal(&key, &record, sealed, sizeof(sealed), &len), LP2P_OK);
    good = (struct lp2p_stored_peer){.id = record.peer, .record_seq = 9, .addrs_len = 2, .record = lp2p_span(sealed, len)};
    good.addrs[0] = addr(1);
    good.notes[0].source = LP2P_ADDR_CERTIFIED;
    good.addrs[1] = addr(2);
    good.notes[1].source = LP2P_ADDR_PROVEN;
    assert_true(lp2p_stored_peer_genuine(&good, &scratch));
    for (int kind = 0; kind < 4; kind++) {
        bad = good;
        bad.id = kind == 0 ? peer(1) : bad.id;
        bad.record_seq += kind == 1;
        bad.notes[1].source = kind == 2 ? LP2P_ADDR_CERTIFIED : bad.notes[1].source;
        sealed[len - 1] ^= kind == 3;
        assert_false(lp2p_stored_peer_genuine(&bad, &scratch));
    }
    lp2p_stored_peer_distrust(&bad);
    assert_true(bad.record.len == 0 && bad.record_seq == 0 && bad.addrs_len == 1);
    assert_true(lp2p_multiaddr_eq(&bad.addrs[0], &good.addrs[1]));
    assert_int_equal(bad.notes[0].source, LP2P_ADDR_PROVEN);
    assert_true(lp2p_stored_peer_genuine(&bad, &scratch)); /* none is no bad one */
}

/* ---- the file */

struct seen {
    size_t len;
    uint8_t values[64];
};

static void collect(void *user, struct lp2p_span key, struct lp2p_span value)
{
    struct seen *seen = user;
    assert_int_equal(key.len, 1);
    seen->values[seen->len++] = value.ptr[0];
}

static void put(struct lp2p_db *db, uint8_t key, const char *value, enum lp2p_err want)
{
    uint8_t batch[64];
    size_t len = 0;
    assert_int_equal(lp2p_batch_put(batch, sizeof(batch), &len, lp2p_span(&key, 1), lp2p_span_str(value)),
                     LP2P_OK);
    assert_int_equal(lp2p_db_write(db, lp2p_span(batch, len)), want);
}

static struct lp2p_db *open_db(void)
{
    struct lp2p_db *db = NULL;
    char detail[512];
    if (lp2p_db_open(dir, &db, detail, sizeof(detail)) != LP2P_OK) {
        fail_msg("%s", detail);
    }
    return db;
}

static void test_store_file(void **state)
{
    (void)state;
    char detail[512] = "";
    struct seen seen = {0};
    struct lp2p_db *db = open_db(), *second = NULL;
    assert_int_equal(lp2p_db_len(db), 0);
    put(db, 1, "a", LP2P_OK);
    put(db, 2, "b", LP2P_OK);
    put(db, 2, "c", LP2P_OK);
    put(db, 1, "", LP2P_OK);
    put(db, 9, "", LP2P_OK); /* was not there */
    assert_int_equal(lp2p_db_len(db), 1);
    assert_int_equal(lp2p_db_open(dir, &second, detail, sizeof(detail)), LP2P_EEXIST);
    assert_null(second);
    assert_non_null(strstr(detail, dir));
    lp2p_db_close(db);
    db = open_db();
    assert_int_equal(lp2p_db_each(db, collect, &seen, NULL), LP2P_OK);
    assert_int_equal(seen.len, 1);
    assert_int_equal(seen.values[0], 'c');
    /* A batch that is damaged at its end leaves nothing behind. */
    uint8_t batch[64];
    size_t len = 0;
    assert_int_equal(lp2p_batch_put(batch, sizeof(batch), &len, lp2p_span("\x05", 1), lp2p_span_str("x")),
                     LP2P_OK);
    batch[len] = 0x7f;
    assert_int_equal(lp2p_db_write(db, lp2p_span(batch, len + 1)), LP2P_EMALFORMED);
    assert_int_equal(lp2p_db_len(db), 1);
    assert_int_equal(lp2p_batch_put(batch, len, &len, lp2p_span("\x05", 1), lp2p_span_str("x")), LP2P_ELIMIT);
    lp2p_db_close(db);
    assert_int_equal(lp2p_db_open("/nowhere/at/all", &db, detail, sizeof(detail)), LP2P_EIO);
    lp2p_db_close(NULL);
}

/* ---- nodes */

static struct lp2p_node *start(bool keep, const char *listen)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX];
    assert_int_equal(lp2p_config_listen(config, listen), LP2P_OK);
    if (keep) {
        assert_int_equal(lp2p_config_data_dir(config, dir), LP2P_OK);
    }
    if (lp2p_node_new(config, &node, detail) != LP2P_OK || lp2p_node_start(node, detail) != LP2P_OK) {
        fail_msg("%s", detail);
    }
    lp2p_config_free(config);
    return node;
}

static void done(struct lp2p_op *op, enum lp2p_err want)
{
    assert_int_equal(lp2p_op_wait(op, PATIENCE_MS), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), want);
    lp2p_op_free(op);
}

static void dial(struct lp2p_node *from, struct lp2p_node *to)
{
    char addrs[1][LP2P_ADDR_TEXT_MAX];
    struct lp2p_op *op = NULL;
    assert_true(lp2p_node_addrs(to, addrs, 1) >= 1);
    assert_int_equal(lp2p_node_connect(from, addrs[0], &op), LP2P_OK);
    done(op, LP2P_OK);
}

/* A stopped node wrote all of it; a new one of the same directory is the same peer, and knows whom it knew.
 */
static void test_store_of_a_node(void **state)
{
    (void)state;
    struct lp2p_node *a = start(true, "/ip4/127.0.0.1/tcp/0"), *b = start(false, "/ip4/127.0.0.1/tcp/0");
    struct lp2p_op *op = NULL;
    struct lp2p_peer *known = NULL;
    char self[LP2P_PEER_TEXT_MAX], detail[LP2P_DETAIL_MAX];
    (void)snprintf(self, sizeof(self), "%s", lp2p_node_peer_id(a));
    dial(a, b);
    assert_int_equal(lp2p_node_tag(a, lp2p_node_peer_id(b), "friend", 7, &op), LP2P_OK);
    done(op, LP2P_OK);
    assert_int_equal(lp2p_node_tag(a, lp2p_node_peer_id(b), "a name that is longer than 31 bytes", 7, &op),
                     LP2P_EINVAL);
    assert_int_equal(lp2p_node_forget(a, lp2p_node_peer_id(b), &op), LP2P_OK);
    done(op, LP2P_ESTATE); /* connected */

    /* Another node of the same directory is told so. */
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *other = NULL;
    assert_int_equal(lp2p_config_data_dir(config, dir), LP2P_OK);
    assert_int_equal(lp2p_node_new(config, &other, detail), LP2P_OK);
    assert_string_equal(lp2p_node_peer_id(other), self);
    assert_int_equal(lp2p_node_start(other, detail), LP2P_EEXIST);
    assert_non_null(strstr(detail, dir));
    lp2p_node_free(other);
    lp2p_config_free(config);

    lp2p_node_free(a);
    a = start(true, "/ip4/127.0.0.1/tcp/0");
    assert_string_equal(lp2p_node_peer_id(a), self);
    /* The population rule finds b by itself: nobody has told this node of it. */
    bool connected = false;
    for (int i = 0; i < PATIENCE_MS / 50 && !connected; i++) {
        connected = lp2p_node_is_connected(a, lp2p_node_peer_id(b));
        usleep(connected ? 0 : 50000);
    }
    assert_true(connected);
    assert_int_equal(lp2p_node_peer(a, lp2p_node_peer_id(b), &known), LP2P_OK);
    assert_true(known->addrs_len > 0);
    lp2p_peers_free(known, 1);

    /* Forgotten: gone from this node, and from the next one. */
    char peer_b[LP2P_PEER_TEXT_MAX];
    (void)snprintf(peer_b, sizeof(peer_b), "%s", lp2p_node_peer_id(b));
    lp2p_node_free(b);
    enum lp2p_err err = LP2P_ESTATE;
    for (int i = 0; i < PATIENCE_MS / 20 && err == LP2P_ESTATE;
         i++) { /* until the end of the connection is known, and no dial is on */
        assert_int_equal(lp2p_node_forget(a, peer_b, &op), LP2P_OK);
        assert_int_equal(lp2p_op_wait(op, PATIENCE_MS), LP2P_OK);
        err = lp2p_op_result(op);
        lp2p_op_free(op);
        usleep(err == LP2P_ESTATE ? 20000 : 0);
    }
    assert_int_equal(err, LP2P_OK);
    lp2p_node_free(a);
    a = start(true, "/ip4/127.0.0.1/tcp/0");
    assert_int_equal(lp2p_node_forget(a, peer_b, &op), LP2P_OK);
    done(op, LP2P_ENOTFOUND);
    lp2p_node_free(a);
}

/* What is on disk of one peer. */
struct on_disk {
    struct lp2p_peer_id id;
    uint8_t value[LP2P_STORE_PEER_MAX];
    size_t len;
    struct lp2p_stored_peer peer;
};

static void find_peer(void *user, struct lp2p_span key, struct lp2p_span value)
{
    struct on_disk *disk = user;
    if (lp2p_span_eq(key, lp2p_peer_id_span(&disk->id))) {
        assert_in_range(value.len, 1, sizeof(disk->value));
        memcpy(disk->value, value.ptr, value.len);
        disk->len = value.len;
    }
}

static void read_disk(struct on_disk *disk)
{
    struct lp2p_db *db = open_db();
    disk->len = 0;
    assert_int_equal(lp2p_db_each(db, find_peer, disk, NULL), LP2P_OK);
    lp2p_db_close(db);
    assert_int_equal(lp2p_stored_peer_read(lp2p_span(disk->value, disk->len), &disk->peer), LP2P_OK);
}

static void write_disk(const struct on_disk *disk)
{
    static uint8_t batch[LP2P_STORE_PEER_MAX + 64];
    struct lp2p_db *db = open_db();
    size_t len = 0;
    assert_int_equal(lp2p_batch_put(batch, sizeof(batch), &len, lp2p_peer_id_span(&disk->id), lp2p_span(disk->value, disk->len)),
                     LP2P_OK);
    assert_int_equal(lp2p_db_write(db, lp2p_span(batch, len)), LP2P_OK);
    lp2p_db_close(db);
}

/* Starts the node that keeps its peers, and returns how many addresses of one of them it has loaded. */
static size_t loaded(struct lp2p_node **node, const char *peer_text, bool *signed_record)
{
    struct lp2p_peer *known = NULL;
    enum lp2p_err err = LP2P_ENOTFOUND;
    *node = start(true, "/ip4/127.0.0.1/tcp/0");
    for (int i = 0; i < PATIENCE_MS / 20 && err != LP2P_OK; i++) {
        err = lp2p_node_peer(*node, peer_text, &known);
        usleep(err == LP2P_OK ? 0 : 20000);
    }
    assert_int_equal(err, LP2P_OK);
    size_t len = known->addrs_len;
    *signed_record = known->signed_record;
    lp2p_peers_free(known, 1);
    return len;
}

static struct lp2p_node *start_rsa(void)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX];
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0/ws"), LP2P_OK); /* certified, but never dialed */
    assert_int_equal(lp2p_config_key_type(config, "rsa"), LP2P_OK);
    if (lp2p_node_new(config, &node, detail) != LP2P_OK || lp2p_node_start(node, detail) != LP2P_OK) {
        fail_msg("%s", detail);
    }
    lp2p_config_free(config);
    return node;
}

static size_t certified_of(const struct lp2p_stored_peer *stored)
{
    size_t certified = 0;
    for (size_t i = 0; i < stored->addrs_len; i++) {
        certified += stored->notes[i].source == LP2P_ADDR_CERTIFIED;
    }
    return certified;
}

/* The same peer as the version before wrote it: all its addresses come back, but nothing certifies them. */
static void load_version_1(struct on_disk *disk, const char *peer_text)
{
    struct lp2p_node *node;
    struct lp2p_op *op = NULL;
    bool has_record;
    assert_true(disk->peer.record.len >= 128 && certified_of(&disk->peer) > 0);
    disk->len = (size_t)(disk->peer.record.ptr - disk->value) - 2; /* and its length */
    disk->value[0] = 1;
    write_disk(disk);
    size_t addrs_len = disk->peer.addrs_len;
    assert_int_equal(loaded(&node, peer_text, &has_record), addrs_len);
    assert_int_equal(lp2p_node_tag(node, peer_text, "old", 1, &op), LP2P_OK);
    done(op, LP2P_OK);
    lp2p_node_free(node);
    read_disk(disk);
    assert_int_equal(disk->value[0], 2);
    assert_int_equal(disk->peer.addrs_len, addrs_len);
    assert_int_equal(certified_of(&disk->peer), 0);
    assert_true(disk->peer.record_seq > 0 && disk->peer.record.len == 0 && disk->peer.key.len == 0);
}

/* The record and the key of a peer are on disk, come back, and are written again; a record that was damaged there goes with the
 * addresses that it certified. */
static void test_store_keeps_records_and_keys(void **state)
{
    (void)state;
    static struct on_disk disk, again;
    static struct lp2p_peer_record record;
    struct lp2p_public_key key;
    struct lp2p_peer_id id;
    struct lp2p_op *op = NULL;
    bool has_record = false;
    char peer_b[LP2P_PEER_TEXT_MAX];
    struct lp2p_node *a = start(true, "/ip4/127.0.0.1/tcp/0"), *b = start_rsa();
    (void)snprintf(peer_b, sizeof(peer_b), "%s", lp2p_node_peer_id(b));
    assert_int_equal(lp2p_peer_id_from_text(lp2p_span_str(peer_b), &disk.id), LP2P_OK);
    dial(a, b);
    lp2p_node_free(a);
    lp2p_node_free(b);
    read_disk(&disk);
    assert_int_equal(lp2p_public_key_parse(disk.peer.key, &key), LP2P_OK);
    lp2p_peer_id_from_key(&key, &id);
    assert_true(key.type == LP2P_KEY_RSA && lp2p_peer_id_eq(&id, &disk.id));
    assert_true(disk.peer.record.len > 0 && lp2p_stored_peer_genuine(&disk.peer, &record));
    assert_true(record.addrs_len >= 2);

    /* Set forward while the signatures are checked: no reason to doubt them. */
    __atomic_store_n(&jumping, true, __ATOMIC_RELAXED);
    assert_int_equal(loaded(&a, peer_b, &has_record), disk.peer.addrs_len);
    __atomic_store_n(&jumping, false, __ATOMIC_RELAXED);
    lp2p_node_free(a);
    assert_true(has_record);

    assert_int_equal(loaded(&a, peer_b, &has_record), disk.peer.addrs_len);
    assert_true(has_record);
    assert_int_equal(lp2p_node_tag(a, peer_b, "known", 1, &op), LP2P_OK);
    done(op, LP2P_OK); /* it is written again */
    lp2p_node_free(a);
    again.id = disk.id;
    read_disk(&again);
    assert_int_equal(again.peer.tags_len, 1);
    assert_true(lp2p_span_eq(again.peer.key, disk.peer.key) && lp2p_span_eq(again.peer.record, disk.peer.record));
    assert_true(again.peer.record_seq == disk.peer.record_seq);

    size_t certified = certified_of(&again.peer);
    assert_true(certified > 0);
    again.value[(size_t)(again.peer.record.ptr - again.value) + again.peer.record.len - 1] ^= 1;
    again.value[(size_t)(again.peer.key.ptr - again.value) + again.peer.key.len - 1] ^= 1;
    write_disk(&again);
    assert_int_equal(loaded(&a, peer_b, &has_record), again.peer.addrs_len - certified);
    assert_false(has_record);
    assert_int_equal(lp2p_node_tag(a, peer_b, "known", 2, &op), LP2P_OK);
    done(op, LP2P_OK);
    lp2p_node_free(a);
    read_disk(&again);
    assert_true(again.peer.record.len == 0 && again.peer.key.len == 0); /* the key is none of this id */
    load_version_1(&disk, peer_b);
}

/* A swarm that failed and was restarted knows its peers again. */
static void test_store_after_a_restart_of_the_swarm(void **state)
{
    (void)state;
    struct lp2p_node *a = start(true, "/ip4/127.0.0.1/tcp/0"), *b = start(false, "/ip4/127.0.0.1/tcp/0");
    dial(a, b);
    assert_int_equal(lp2p_node_fail_actor(a, "swarm"), LP2P_OK);
    bool again = false;
    for (int i = 0; i < PATIENCE_MS / 50 && !again; i++) {
        struct lp2p_peer *known = NULL;
        again = lp2p_node_peer(a, lp2p_node_peer_id(b), &known) == LP2P_OK && known->connected;
        lp2p_peers_free(known, 1);
        usleep(again ? 0 : 50000);
    }
    assert_true(again);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_record),
        cmocka_unit_test(test_store_record_of_version_1),
        cmocka_unit_test(test_store_record_is_proven_again),
        cmocka_unit_test_setup_teardown(test_store_keeps_records_and_keys, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_store_file, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_store_of_a_node, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_store_after_a_restart_of_the_swarm, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
