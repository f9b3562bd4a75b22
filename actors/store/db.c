/* SPDX-License-Identifier: MIT */
#include "actors/store/db.h"

#include "wire/varint.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT "lotus-p2p peers 1"
#define FORMAT_KEY "format"
#define AHEAD (2u << 20) /* bytes that the file is longer than its pages, at least; they take no room on the disk */

struct lp2p_db {
    MDB_env *env;
    MDB_dbi dbi;
    int lock_fd;
    char path[1200]; /* DIR/peers */
    char why[512];   /* of the last failure */
};

static enum lp2p_err tell(char *detail, size_t cap, enum lp2p_err err, const char *path, const char *what)
{
    (void)snprintf(detail, cap, "data directory: %.400s: %s", path, what);
    return err;
}

/* The lock is the kernel's: it ends with the process, however that ends. */
static enum lp2p_err take_lock(struct lp2p_db *db, const char *dir, char *detail, size_t cap)
{
    char path[1200];
    (void)snprintf(path, sizeof(path), "%s/lock", dir);
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->lock_fd < 0) {
        return tell(detail, cap, LP2P_EIO, path, strerror(errno));
    }
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? tell(detail, cap, LP2P_EEXIST, dir,
                                           "another process uses it; give each node a directory of its own")
                                    : tell(detail, cap, LP2P_EIO, path, strerror(errno));
    }
    return LP2P_OK;
}

/* Bytes that the file's pages need, and how many it has. */
static int measure(struct lp2p_db *db, int *fd, uint64_t *needed, uint64_t *have)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int rc = mdb_env_info(db->env, &info);
    rc = rc != 0 ? rc : mdb_env_stat(db->env, &stat);
    rc = rc != 0 ? rc : mdb_env_get_fd(db->env, fd);
    if (rc == 0 && fstat(*fd, &file) != 0) {
        return errno;
    }
    if (rc == 0) {
        *needed = (uint64_t)(info.me_last_pgno + 1) * stat.ms_psize;
        *have = (uint64_t)file.st_size;
    }
    return rc;
}

/* The file is read through a mapping: a page behind its end would be the end of the process. LMDB itself may leave the last pages of
 * a transaction unwritten, so the file is kept longer than it needs to be; one that is too short then has been cut. */
static int check_length(struct lp2p_db *db, bool fresh)
{
    int fd = -1;
    uint64_t needed = 0, have = 0;
    int rc = measure(db, &fd, &needed, &have);
    return rc != 0 ? rc : have < needed && !fresh ? MDB_CORRUPTED : 0;
}

static int lengthen(struct lp2p_db *db, uint64_t ahead)
{
    int fd = -1;
    uint64_t needed = 0, have = 0;
    int rc = measure(db, &fd, &needed, &have);
    if (rc == 0 && have < needed + ahead && ftruncate(fd, (off_t)(needed + 2 * ahead)) != 0) {
        return errno;
    }
    return rc;
}

static int open_env(struct lp2p_db *db)
{
    struct stat file;
    bool fresh = stat(db->path, &file) != 0 || file.st_size == 0;
    int rc = mdb_env_create(&db->env);
    rc = rc != 0 ? rc : mdb_env_set_mapsize(db->env, LP2P_DB_BYTES_MAX);
    /* No lock of its own: ours keeps other processes out, and its file would outlive a killed one. */
    rc = rc != 0 ? rc : mdb_env_open(db->env, db->path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
    rc = rc != 0 ? rc : check_length(db, fresh);
    rc = rc != 0 ? rc : lengthen(db, AHEAD);
    if (rc != 0 && db->env != NULL) {
        mdb_env_close(db->env);
        db->env = NULL;
    }
    return rc;
}

static MDB_val val(struct lp2p_span span)
{
    return (MDB_val){span.len, (void *)(uintptr_t)span.ptr};
}

/* Opens the table, and begins or checks the format. */
static int open_table(struct lp2p_db *db, bool *foreign)
{
    MDB_txn *txn = NULL;
    MDB_val key = val(lp2p_span_str(FORMAT_KEY)), have, format = val(lp2p_span_str(FORMAT));
    int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
    rc = rc != 0 ? rc : mdb_dbi_open(txn, NULL, 0, &db->dbi);
    if (rc == 0 && (rc = mdb_get(txn, db->dbi, &key, &have)) == MDB_NOTFOUND) {
        rc = mdb_put(txn, db->dbi, &key, &format, 0);
    } else if (rc == 0) {
        *foreign = have.mv_size != format.mv_size || memcmp(have.mv_data, format.mv_data, have.mv_size) != 0;
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static bool no_database(int rc)
{
    return rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH || rc == MDB_CORRUPTED ||
           rc == MDB_PAGE_NOTFOUND || rc == MDB_INCOMPATIBLE;
}

static enum lp2p_err open_file(struct lp2p_db *db, char *detail, size_t cap)
{
    char aside[1300];
    bool foreign = false;
    int rc = open_env(db);
    rc = rc != 0 ? rc : open_table(db, &foreign);
    if (no_database(rc)) {
        mdb_env_close(db->env);
        db->env = NULL;
        (void)snprintf(aside, sizeof(aside), "%s.bad", db->path);
        if (rename(db->path, aside) != 0) {
            return tell(detail, cap, LP2P_EIO, db->path, strerror(errno));
        }
        (void)tell(detail, cap, LP2P_OK, aside, "was no whole database; it was put aside, and its peers are not known any more");
        rc = open_env(db);
        rc = rc != 0 ? rc : open_table(db, &foreign);
    }
    if (rc != 0) {
        return tell(detail, cap, rc == ENOMEM ? LP2P_ENOMEM : LP2P_EIO, db->path, mdb_strerror(rc));
    }
    return foreign ? tell(detail, cap, LP2P_EVERSION, db->path, "written in another format") : LP2P_OK;
}

enum lp2p_err lp2p_db_open(const char *dir, struct lp2p_db **out, char *detail, size_t detail_cap)
{
    *out = NULL;
    (void)snprintf(detail, detail_cap, "%s", "");
    struct lp2p_db *db = calloc(1, sizeof(*db));
    if (db == NULL) {
        return tell(detail, detail_cap, LP2P_ENOMEM, dir, "out of memory");
    }
    db->lock_fd = -1;
    enum lp2p_err err = LP2P_OK;
    int len = snprintf(db->path, sizeof(db->path), "%s/peers", dir);
    if (len < 0 || (size_t)len + 8 >= sizeof(db->path)) {
        err = tell(detail, detail_cap, LP2P_EINVAL, dir, "the path is too long");
    } else if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        err = tell(detail, detail_cap, LP2P_EIO, dir, strerror(errno));
    }
    err = err != LP2P_OK ? err : take_lock(db, dir, detail, detail_cap);
    err = err != LP2P_OK ? err : open_file(db, detail, detail_cap);
    if (err != LP2P_OK) {
        lp2p_db_close(db);
        return err;
    }
    *out = db;
    return LP2P_OK;
}

void lp2p_db_close(struct lp2p_db *db)
{
    if (db == NULL) {
        return;
    }
    if (db->env != NULL) {
        mdb_env_close(db->env);
    }
    if (db->lock_fd >= 0) {
        (void)close(db->lock_fd);
    }
    free(db);
}

enum lp2p_err lp2p_batch_put(uint8_t *batch, size_t cap, size_t *len, struct lp2p_span key,
                             struct lp2p_span value)
{
    uint8_t head[2 * LP2P_VARINT_MAX];
    size_t n = lp2p_varint_put(head, key.len);
    n += lp2p_varint_put(head + n, value.len);
    if (cap - *len < n + key.len + value.len) {
        return LP2P_ELIMIT;
    }
    memcpy(batch + *len, head, n);
    memcpy(batch + *len + n, key.ptr, key.len);
    if (value.len > 0) {
        memcpy(batch + *len + n + key.len, value.ptr, value.len);
    }
    *len += n + key.len + value.len;
    return LP2P_OK;
}

enum lp2p_err lp2p_batch_take(struct lp2p_span *batch, struct lp2p_span *key, struct lp2p_span *value)
{
    uint64_t key_len = 0, value_len = 0;
    if (lp2p_varint_take(batch, &key_len) != LP2P_OK || lp2p_varint_take(batch, &value_len) != LP2P_OK ||
        key_len == 0 || key_len > LP2P_DB_KEY_MAX || key_len > batch->len ||
        value_len > batch->len - key_len) {
        return LP2P_EMALFORMED;
    }
    *key = lp2p_span(batch->ptr, (size_t)key_len);
    *value = lp2p_span(batch->ptr + key_len, (size_t)value_len);
    *batch = lp2p_span_skip(*batch, (size_t)(key_len + value_len));
    return LP2P_OK;
}

/* After a head page that could not be written LMDB does nothing any more (MDB_PANIC) until the file is opened anew. */
static int begin(struct lp2p_db *db, unsigned flags, MDB_txn **txn)
{
    bool foreign = false;
    int rc = db->env == NULL ? MDB_PANIC : mdb_txn_begin(db->env, NULL, flags, txn);
    if (rc != MDB_PANIC) {
        return rc;
    }
    if (db->env != NULL) {
        mdb_env_close(db->env);
        db->env = NULL;
    }
    rc = open_env(db);
    rc = rc != 0 ? rc : open_table(db, &foreign);
    return rc != 0 ? rc : mdb_txn_begin(db->env, NULL, flags, txn);
}

/* A full disk is not a full file: giving up peers would not help it. */
static enum lp2p_err verdict(struct lp2p_db *db, int rc)
{
    if (rc != 0) {
        (void)snprintf(db->why, sizeof(db->why), "%.400s: %s", db->path, mdb_strerror(rc));
    }
    return rc == 0 ? LP2P_OK : rc == MDB_MAP_FULL ? LP2P_ELIMIT : rc == ENOMEM ? LP2P_ENOMEM : LP2P_EIO;
}

static enum lp2p_err write_once(struct lp2p_db *db, struct lp2p_span batch)
{
    MDB_txn *txn = NULL;
    int begun = begin(db, 0, &txn);
    enum lp2p_err err = verdict(db, begun != 0 ? begun : lengthen(db, AHEAD + 2 * (uint64_t)batch.len));
    while (err == LP2P_OK && batch.len > 0) {
        struct lp2p_span key, value;
        err = lp2p_batch_take(&batch, &key, &value);
        if (err != LP2P_OK) {
            (void)snprintf(db->why, sizeof(db->why), "%.400s: changes that cannot be read", db->path);
        } else {
            MDB_val k = val(key), v = val(value);
            int rc = value.len > 0 ? mdb_put(txn, db->dbi, &k, &v, 0) : mdb_del(txn, db->dbi, &k, NULL);
            err = verdict(db, rc == MDB_NOTFOUND ? 0 : rc);
        }
    }
    if (err != LP2P_OK) {
        mdb_txn_abort(txn);
        return err;
    }
    return verdict(db, mdb_txn_commit(txn));
}

static bool only_takes_away(struct lp2p_span batch)
{
    bool only = true;
    struct lp2p_span key, value;
    while (only && batch.len > 0) {
        only = lp2p_batch_take(&batch, &key, &value) == LP2P_OK && value.len == 0;
    }
    return only;
}

enum lp2p_err lp2p_db_write(struct lp2p_db *db, struct lp2p_span batch)
{
    enum lp2p_err err = write_once(db, batch);
    /* No transaction is open, so the mapping may change. */
    if (err == LP2P_ELIMIT && only_takes_away(batch) &&
        mdb_env_set_mapsize(db->env, LP2P_DB_BYTES_MAX + LP2P_DB_RESERVE) == 0) {
        err = write_once(db, batch);
        (void)mdb_env_set_mapsize(db->env, LP2P_DB_BYTES_MAX);
    }
    return err;
}

enum lp2p_err lp2p_db_each(struct lp2p_db *db,
                           void (*fn)(void *user, struct lp2p_span key, struct lp2p_span value), void *user,
                           void (*end)(void *user))
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = begin(db, MDB_RDONLY, &txn);
    rc = rc != 0 ? rc : mdb_cursor_open(txn, db->dbi, &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct lp2p_span k = lp2p_span(key.mv_data, key.mv_size);
        if (!lp2p_span_eq_str(k, FORMAT_KEY) && !lp2p_span_eq_str(k, LP2P_DB_OWN_SEQ)) {
            fn(user, k, lp2p_span(value.mv_data, value.mv_size));
        }
    }
    rc = rc == MDB_NOTFOUND ? 0 : rc;
    if (rc == 0 && end != NULL) {
        end(user);
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return verdict(db, rc);
}

/** Its value, as long as the transaction lives; MDB_NOTFOUND. */
static int find_own_seq(struct lp2p_db *db, MDB_txn *txn, MDB_val *out)
{
    MDB_val key = val(lp2p_span_str(LP2P_DB_OWN_SEQ));
    return mdb_get(txn, db->dbi, &key, out);
}

size_t lp2p_db_len(struct lp2p_db *db)
{
    MDB_txn *txn = NULL;
    MDB_stat stat = {0};
    MDB_val own;
    size_t others = 1; /* the format */
    if (begin(db, MDB_RDONLY, &txn) == 0) {
        (void)mdb_stat(txn, db->dbi, &stat);
        others += find_own_seq(db, txn, &own) == 0;
        mdb_txn_abort(txn);
    }
    return stat.ms_entries > others ? stat.ms_entries - others : 0;
}

void lp2p_db_own_seq_put(uint64_t seq, uint8_t out[8])
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(seq >> (56 - 8 * i));
    }
}

uint64_t lp2p_db_own_seq(struct lp2p_db *db)
{
    MDB_txn *txn = NULL;
    MDB_val value;
    uint64_t seq = 0;
    if (begin(db, MDB_RDONLY, &txn) != 0) {
        return 0;
    }
    if (find_own_seq(db, txn, &value) == 0 && value.mv_size == 8) {
        for (int i = 0; i < 8; i++) {
            seq = seq << 8 | ((const uint8_t *)value.mv_data)[i];
        }
    }
    mdb_txn_abort(txn);
    return seq < UINT64_MAX / 2 ? seq : 0; /* beyond: a disk's mistake, from which no later number would lead back */
}

const char *lp2p_db_why(const struct lp2p_db *db)
{
    return db->why;
}
