/* SPDX-License-Identifier: MIT
 * The number of a node's own signed record rises over restarts, though its clock is set back between them: peers would take its
 * new record for an old one, and dial where it was. */
#include "actors/p2p.h"
#include "actors/store/db.h"
#include "actors/store/record.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define DAY_S 86400

/* Takes the place of the C library's: the wall clock of all nodes here. */
static time_t behind_s;
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) {
        now->tv_sec -= __atomic_load_n(&behind_s, __ATOMIC_RELAXED);
    }
    return rc;
}

static char dirs[2][64];

static int make_dirs(void **state)
{
    (void)state;
    __atomic_store_n(&behind_s, 0, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(dirs[i], sizeof(dirs[i]), "/tmp/test-store-seq-XXXXXX");
        if (mkdtemp(dirs[i]) == NULL) {
            return -1;
        }
    }
    return 0;
}

static int remove_dirs(void **state)
{
    (void)state;
    int rc = 0;
    for (int i = 0; i < 2; i++) {
        char path[400];
        DIR *listing = opendir(dirs[i]);
        for (struct dirent *it; listing != NULL && (it = readdir(listing)) != NULL;) {
            (void)snprintf(path, sizeof(path), "%s/%s", dirs[i], it->d_name);
            (void)unlink(path);
        }
        (void)closedir(listing);
        rc |= rmdir(dirs[i]);
    }
    return rc;
}

static struct lp2p_node *start(const char *dir)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX];
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    assert_int_equal(lp2p_config_data_dir(config, dir), LP2P_OK);
    if (lp2p_node_new(config, &node, detail) != LP2P_OK || lp2p_node_start(node, detail) != LP2P_OK) {
        fail_msg("%s", detail);
    }
    lp2p_config_free(config);
    return node;
}

static bool dial(struct lp2p_node *from, struct lp2p_node *to)
{
    char addrs[1][LP2P_ADDR_TEXT_MAX];
    struct lp2p_op *op = NULL;
    assert_true(lp2p_node_addrs(to, addrs, 1) >= 1);
    assert_int_equal(lp2p_node_connect(from, addrs[0], &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, 60000), LP2P_OK);
    bool good = lp2p_op_result(op) == LP2P_OK;
    lp2p_op_free(op);
    return good;
}

/** Dials, and waits until identify has run in this life: with the record it tells how our address is seen. A dial may join one
 * that the node has begun by itself, to where the other one listened in its last life. */
static void meet(struct lp2p_node *from, struct lp2p_node *to)
{
    bool told = false, linked = false;
    for (int i = 0; i < 20 && !linked; i++) {
        linked = dial(from, to);
    }
    assert_true(linked);
    for (int i = 0; i < 2000 && !told; i++) {
        struct lp2p_peer *known = NULL;
        told = lp2p_node_peer(from, lp2p_node_peer_id(to), &known) == LP2P_OK && known->observed_addr[0] != 0;
        lp2p_peers_free(known, 1);
        usleep(told ? 0 : 10000);
    }
    assert_true(told);
}

static uint64_t own_seq(void)
{
    struct lp2p_db *db = NULL;
    char detail[512];
    assert_int_equal(lp2p_db_open(dirs[0], &db, detail, sizeof(detail)), LP2P_OK);
    uint64_t seq = lp2p_db_own_seq(db);
    lp2p_db_close(db);
    return seq;
}

struct theirs {
    struct lp2p_peer_id id;
    uint64_t seq;
};

static void find(void *user, struct lp2p_span key, struct lp2p_span value)
{
    static struct lp2p_stored_peer peer;
    struct theirs *theirs = user;
    if (lp2p_span_eq(key, lp2p_peer_id_span(&theirs->id)) && lp2p_stored_peer_read(value, &peer) == LP2P_OK) {
        theirs->seq = peer.record_seq;
    }
}

/** The number that the other node has of the first one's record, on its disk. */
static uint64_t their_seq(const char *peer)
{
    struct theirs theirs = {.seq = 0};
    struct lp2p_db *db = NULL;
    char detail[512];
    assert_int_equal(lp2p_peer_id_from_text(lp2p_span_str(peer), &theirs.id), LP2P_OK);
    assert_int_equal(lp2p_db_open(dirs[1], &db, detail, sizeof(detail)), LP2P_OK);
    assert_int_equal(lp2p_db_each(db, find, &theirs, NULL), LP2P_OK);
    lp2p_db_close(db);
    return theirs.seq;
}

/** One life of both nodes, in which the second one hears the first one's record. */
static void live(char peer[LP2P_PEER_TEXT_MAX])
{
    struct lp2p_node *a = start(dirs[0]), *b = start(dirs[1]);
    (void)snprintf(peer, LP2P_PEER_TEXT_MAX, "%s", lp2p_node_peer_id(a));
    meet(b, a);
    lp2p_node_free(a);
    lp2p_node_free(b);
}

static void test_AI4_own_record_rises_over_restarts(void **state)
{
    (void)state;
    char peer[LP2P_PEER_TEXT_MAX], again[LP2P_PEER_TEXT_MAX];
    live(peer);
    uint64_t first = own_seq();
    assert_true(first > 0);
    assert_true(their_seq(peer) > 0 && their_seq(peer) <= first);
    for (time_t behind = DAY_S; behind <= 3 * DAY_S; behind += DAY_S) {
        __atomic_store_n(&behind_s, behind, __ATOMIC_RELAXED);
        live(again);
        assert_string_equal(again, peer); /* the identity is in the same directory */
        assert_true(own_seq() > first);
        assert_true(their_seq(peer) > first); /* it took the new record for what it is */
        first = own_seq();
    }
    /* The clock is right again: the number is the time's. */
    __atomic_store_n(&behind_s, 0, __ATOMIC_RELAXED);
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
    live(again);
    assert_true(own_seq() >= (uint64_t)now.tv_sec * 1000000000u);
}

/** What a disk gives back as a number may be anything. */
static void test_own_seq_on_disk(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[9];
        size_t len;
        uint64_t seq;
    } cases[] = {
        {{0, 0, 0, 0, 0, 0, 1, 2}, 8, 0x102},  {{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 8, 0},
        {{0xff, 0, 0, 0, 0, 0, 0, 0}, 8, 0},    {{1, 2, 3}, 3, 0},
        {{0, 0, 0, 0, 0, 0, 0, 1, 2}, 9, 0},
    };
    char detail[512];
    for (size_t i = 0; i < LP2P_ARRAY_LEN(cases); i++) {
        struct lp2p_db *db = NULL;
        uint8_t batch[64];
        size_t len = 0;
        assert_int_equal(lp2p_db_open(dirs[0], &db, detail, sizeof(detail)), LP2P_OK);
        assert_int_equal(lp2p_batch_put(batch, sizeof(batch), &len, lp2p_span_str(LP2P_DB_OWN_SEQ),
                                        lp2p_span(cases[i].bytes, cases[i].len)),
                         LP2P_OK);
        assert_int_equal(lp2p_db_write(db, lp2p_span(batch, len)), LP2P_OK);
        assert_int_equal(lp2p_db_own_seq(db), cases[i].seq);
        assert_int_equal(lp2p_db_len(db), 0); /* it is nobody */
        lp2p_db_close(db);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own_seq_on_disk, make_dirs, remove_dirs),
        cmocka_unit_test_setup_teardown(test_AI4_own_record_rises_over_restarts, make_dirs, remove_dirs),
    };
    return cmocka_run_group_tests_name("store seq", tests, NULL, NULL);
}
