/* SPDX-License-Identifier: MIT
 * A store that is full, one that has lost its end, and a disk that does not write: none may be the end of the node, nor of the
 * store. */
#include "actors/p2p.h"
#include "actors/store/db.h"
#include "actors/store/record.h"
#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

/* ---- a disk that does not write: LMDB's calls come here, and what would be one of its two head pages fails */

static int head_error; /* errno; 0: it works */

static ssize_t write_at(int fd, const void *bytes, size_t len, off_t at)
{
    int error = __atomic_load_n(&head_error, __ATOMIC_RELAXED);
    if (error != 0 && at < 2 * 4096) {
        errno = error;
        return -1;
    }
    return (ssize_t)syscall(SYS_pwrite64, fd, bytes, len, at);
}

/* Under both names that a library may know it by. */
ssize_t pwrite_64(int fd, const void *bytes, size_t len, off_t at) __asm__("pwrite64");
ssize_t pwrite_64(int fd, const void *bytes, size_t len, off_t at)
{
    return write_at(fd, bytes, len, at);
}

ssize_t pwrite_plain(int fd, const void *bytes, size_t len, off_t at) __asm__("pwrite");
ssize_t pwrite_plain(int fd, const void *bytes, size_t len, off_t at)
{
    return write_at(fd, bytes, len, at);
}

static char dir[64];

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

static struct lp2p_db *open_db(void)
{
    struct lp2p_db *db = NULL;
    char detail[512];
    if (lp2p_db_open(dir, &db, detail, sizeof(detail)) != LP2P_OK) {
        fail_msg("%s", detail);
    }
    return db;
}

static void put(struct lp2p_db *db, unsigned n, size_t size, enum lp2p_err want)
{
    static uint8_t batch[20000], value[16000] = {1};
    struct lp2p_peer_id id = peer(n);
    size_t len = 0;
    assert_int_equal(lp2p_batch_put(batch, sizeof(batch), &len, lp2p_peer_id_span(&id), lp2p_span(value, size)), LP2P_OK);
    assert_int_equal(lp2p_db_write(db, lp2p_span(batch, len)), want);
}

/* Fills the file with values of keys that are as good as peers', until nothing more fits. */
static unsigned fill_db(struct lp2p_db *db)
{
    enum { VALUE = 16000, AT_ONCE = 500 };
    static uint8_t value[VALUE];
    const size_t cap = (size_t)AT_ONCE * (VALUE + 64);
    uint8_t *batch = malloc(cap);
    enum lp2p_err err = LP2P_OK;
    unsigned n = 0;
    /* The last ones one by one and then small ones, so that it is as full as it can be. */
    static const unsigned stages[][2] = {{AT_ONCE, VALUE}, {1, VALUE}, {20, 100}, {1, 100}};
    for (size_t s = 0; s < LP2P_ARRAY_LEN(stages); s++) {
        unsigned at_once = stages[s][0];
        for (err = LP2P_OK; err == LP2P_OK;) {
            size_t len = 0;
            for (unsigned i = 0; i < at_once; i++) {
                struct lp2p_peer_id id = peer(n + i);
                value[0] = 1;
                assert_int_equal(lp2p_batch_put(batch, cap, &len, lp2p_peer_id_span(&id), lp2p_span(value, stages[s][1])), LP2P_OK);
            }
            err = lp2p_db_write(db, lp2p_span(batch, len));
            n += err == LP2P_OK ? at_once : 0;
        }
        assert_int_equal(err, LP2P_ELIMIT);
    }
    free(batch);
    return n;
}

/* What is full can be emptied. */
static void test_store_full_file(void **state)
{
    (void)state;
    struct lp2p_db *db = open_db();
    unsigned n = fill_db(db);
    assert_in_range(n, 5000, 30000);
    static uint8_t batch[30000 * 64];
    size_t len = 0;
    for (unsigned i = 0; i < n; i += 2) {
        struct lp2p_peer_id id = peer(i);
        assert_int_equal(lp2p_batch_put(batch, sizeof(batch), &len, lp2p_peer_id_span(&id), lp2p_span(NULL, 0)), LP2P_OK);
    }
    assert_int_equal(lp2p_db_write(db, lp2p_span(batch, len)), LP2P_OK);
    assert_int_equal(lp2p_db_len(db), n / 2);
    put(db, 1, 100, LP2P_OK);
    lp2p_db_close(db);
}

/* A file that lost its end would kill the process that reads it. */
static void test_store_cut_file(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/peers", dir);
    struct lp2p_db *db = open_db();
    for (unsigned i = 1; i < 30; i++) {
        put(db, i, 16000, LP2P_OK);
    }
    lp2p_db_close(db);
    assert_int_equal(truncate(path, 4096 * 3), 0);
    char detail[512];
    assert_int_equal(lp2p_db_open(dir, &db, detail, sizeof(detail)), LP2P_OK); /* a new one; the old one lies beside it */
    assert_non_null(strstr(detail, "peers.bad"));
    assert_int_equal(lp2p_db_len(db), 0);
    put(db, 1, 1, LP2P_OK);
    lp2p_db_close(db);
    (void)snprintf(path, sizeof(path), "%s/peers.bad", dir);
    assert_int_equal(access(path, F_OK), 0);
}

/* After a head page that was not written LMDB wants to be opened anew: that must not take a restart of the node. */
static void test_store_head_page_is_not_written(void **state)
{
    (void)state;
    struct lp2p_db *db = open_db();
    put(db, 1, 100, LP2P_OK);
    for (int i = 0; i < 3; i++) {
        __atomic_store_n(&head_error, EIO, __ATOMIC_RELAXED);
        put(db, 2, 100, LP2P_EIO);
        assert_non_null(strstr(lp2p_db_why(db), dir));
        assert_non_null(strstr(lp2p_db_why(db), strerror(EIO)));
        __atomic_store_n(&head_error, 0, __ATOMIC_RELAXED);
        assert_int_equal(lp2p_db_len(db), 1); /* nothing of it */
        put(db, 1, 50, LP2P_OK);
    }
    lp2p_db_close(db);
    db = open_db();
    assert_int_equal(lp2p_db_len(db), 1);
    lp2p_db_close(db);
}

/* ---- a node */

/* The store says so when it lets go of peers. */
static unsigned given_up;

static void note_given_up(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    (void)user, (void)level;
    if (strcmp(module, "store") == 0 && strstr(text, "unseen for longest") != NULL) {
        __atomic_add_fetch(&given_up, 1, __ATOMIC_RELEASE);
    }
}

static unsigned refused, refused_well, again;

static void note_failures(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    (void)user, (void)level;
    if (strcmp(module, "store") == 0 && strstr(text, "could not be written") != NULL) {
        bool well = strstr(text, dir) != NULL && strstr(text, strerror(ENOSPC)) != NULL;
        __atomic_add_fetch(&refused_well, well ? 1 : 0, __ATOMIC_RELEASE);
        __atomic_add_fetch(&refused, 1, __ATOMIC_RELEASE);
    } else if (strcmp(module, "store") == 0 && strstr(text, "can be written again") != NULL) {
        __atomic_add_fetch(&again, 1, __ATOMIC_RELEASE);
    }
}

static void wait_until(const unsigned *number, unsigned least)
{
    for (int i = 0; i < 3000 && __atomic_load_n(number, __ATOMIC_ACQUIRE) < least; i++) {
        usleep(20000);
    }
    assert_true(__atomic_load_n(number, __ATOMIC_ACQUIRE) >= least);
}

static struct lp2p_node *start(lp2p_log_fn note)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX];
    assert_int_equal(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), LP2P_OK);
    assert_int_equal(lp2p_config_data_dir(config, dir), LP2P_OK);
    assert_int_equal(lp2p_config_log(config, LP2P_LOG_INFO, note, NULL), LP2P_OK);
    if (lp2p_node_new(config, &node, detail) != LP2P_OK || lp2p_node_start(node, detail) != LP2P_OK) {
        fail_msg("%s", detail);
    }
    lp2p_config_free(config);
    return node;
}

struct wanted {
    struct lp2p_peer_id id;
    size_t tags;
    struct lp2p_stored_peer peer;
};

static void find_peer(void *user, struct lp2p_span key, struct lp2p_span value)
{
    struct wanted *wanted = user;
    if (lp2p_span_eq(key, lp2p_peer_id_span(&wanted->id))) {
        assert_int_equal(lp2p_stored_peer_read(value, &wanted->peer), LP2P_OK);
        wanted->tags = wanted->peer.tags_len;
    }
}

static void tag(struct lp2p_node *node, const char *who)
{
    struct lp2p_op *op = NULL;
    assert_int_equal(lp2p_node_tag(node, who, "friend", 7, &op), LP2P_OK);
    assert_int_equal(lp2p_op_wait(op, 60000), LP2P_OK);
    assert_int_equal(lp2p_op_result(op), LP2P_OK);
    lp2p_op_free(op);
}

/* The operator is told where and why, not every two seconds, and when it is over; then nothing is lost. */
static void test_store_of_a_node_on_a_full_disk(void **state)
{
    (void)state;
    static struct wanted wanted;
    char text[LP2P_PEER_ID_TEXT_MAX];
    wanted.id = peer(60001);
    lp2p_peer_id_text(&wanted.id, text);
    struct lp2p_node *a = start(note_failures);
    __atomic_store_n(&head_error, ENOSPC, __ATOMIC_RELAXED);
    tag(a, text);
    wait_until(&refused, 2);
    assert_int_equal(__atomic_load_n(&refused_well, __ATOMIC_ACQUIRE), __atomic_load_n(&refused, __ATOMIC_ACQUIRE));
    __atomic_store_n(&head_error, 0, __ATOMIC_RELAXED);
    wait_until(&again, 1);
    lp2p_node_free(a);
    struct lp2p_db *db = open_db();
    assert_int_equal(lp2p_db_each(db, find_peer, &wanted, NULL), LP2P_OK);
    assert_int_equal(wanted.tags, 1);
    lp2p_db_close(db);
}

/* A store that strangers have filled up lets go of those unseen for longest, and goes on. */
static void test_store_of_a_node_is_full(void **state)
{
    (void)state;
    static struct wanted wanted;
    struct lp2p_db *db = open_db();
    (void)fill_db(db);
    lp2p_db_close(db);
    wanted.id = peer(60000);
    char text[LP2P_PEER_ID_TEXT_MAX];
    lp2p_peer_id_text(&wanted.id, text);
    struct lp2p_node *a = start(note_given_up);
    tag(a, text);
    wait_until(&given_up, 1);
    assert_int_equal(__atomic_load_n(&given_up, __ATOMIC_ACQUIRE), 1);
    lp2p_node_free(a);
    db = open_db();
    assert_in_range(lp2p_db_len(db), 1000, 5000);
    assert_int_equal(lp2p_db_each(db, find_peer, &wanted, NULL), LP2P_OK);
    assert_int_equal(wanted.tags, 1); /* whom the user tagged is not among those who were given up */
    lp2p_db_close(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_store_full_file, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_store_cut_file, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_store_head_page_is_not_written, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_store_of_a_node_on_a_full_disk, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(test_store_of_a_node_is_full, make_dir, remove_dir),
    };
    return cmocka_run_group_tests_name("store_full", tests, NULL, NULL);
}
