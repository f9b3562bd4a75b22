/* SPDX-License-Identifier: MIT
 * The routing table against a model that knows everything and is slow. */
#include "kit.h"

#define MODEL_MAX 4096

struct model_peer {
    unsigned number, cpl;
    uint64_t born;
    bool failing;
};

struct model {
    struct lp2p_kad_key self;
    unsigned k;
    uint64_t clock;
    size_t len;
    struct model_peer peers[MODEL_MAX];
};

static struct lp2p_kad_key point(unsigned number)
{
    struct lp2p_kad_peer peer = kit_peer(number);
    return lp2p_kad_key_of(lp2p_peer_id_span(&peer.id));
}

static size_t model_find(const struct model *model, unsigned number)
{
    size_t at = 0;
    while (at < model->len && model->peers[at].number != number) {
        at++;
    }
    return at;
}

static void model_remove(struct model *model, size_t at)
{
    if (at < model->len) {
        model->peers[at] = model->peers[--model->len];
    }
}

static void model_add(struct model *model, unsigned number)
{
    size_t at = model_find(model, number);
    if (at < model->len) {
        model->peers[at].failing = false;
        return;
    }
    struct lp2p_kad_key key = point(number);
    unsigned cpl = lp2p_kad_key_cpl(&model->self, &key);
    size_t in_bucket = 0;
    size_t victim = model->len;
    for (size_t i = 0; i < model->len; i++) {
        if (model->peers[i].cpl == cpl) {
            in_bucket++;
            if (model->peers[i].failing &&
                (victim == model->len || model->peers[i].born < model->peers[victim].born)) {
                victim = i;
            }
        }
    }
    if (in_bucket == model->k) {
        if (victim == model->len) {
            return;
        }
        model_remove(model, victim);
    }
    model->peers[model->len++] = (struct model_peer){number, cpl, model->clock++, false};
}

static void check_nearest(const struct model *model, const struct lp2p_kad_table *table,
                          const struct lp2p_kad_key *target, bool failing, size_t max)
{
    const struct lp2p_kad_entry *out[64];
    size_t len = lp2p_kad_table_nearest(table, target, failing, out, max);
    size_t eligible = 0;
    for (size_t i = 0; i < model->len; i++) {
        eligible += failing || !model->peers[i].failing;
    }
    assert_int_equal(len, LP2P_MIN(eligible, max));
    for (size_t i = 0; i < len; i++) {
        assert_true(failing || !out[i]->failing);
        assert_true(i == 0 ||
                    lp2p_kad_key_compare(target, &out[i - 1]->contact->key, &out[i]->contact->key) < 0);
    }
    for (size_t i = 0; i < model->len && len > 0; i++) { /* nobody nearer than the last was left out */
        struct lp2p_kad_key key = point(model->peers[i].number);
        if ((failing || !model->peers[i].failing) &&
            lp2p_kad_key_compare(target, &key, &out[len - 1]->contact->key) < 0) {
            bool there = false;
            for (size_t j = 0; j < len; j++) {
                there = there || lp2p_kad_key_eq(&out[j]->contact->key, &key);
            }
            assert_true(there);
        }
    }
}

static void check_same(const struct model *model, struct lp2p_kad_table *table)
{
    size_t good = 0;
    int depth = -1;
    for (size_t i = 0; i < model->len; i++) {
        struct lp2p_kad_peer peer = kit_peer(model->peers[i].number);
        const struct lp2p_kad_entry *entry = lp2p_kad_table_find(table, &peer.id);
        assert_non_null(entry);
        assert_int_equal(entry->failing, model->peers[i].failing);
        good += !model->peers[i].failing;
        depth = model->peers[i].failing ? depth : LP2P_MAX(depth, (int)model->peers[i].cpl);
    }
    assert_int_equal(table->size, good);
    assert_int_equal(lp2p_kad_table_depth(table), depth);
    size_t total = 0;
    for (unsigned b = 0; b < LP2P_KAD_KEY_BITS; b++) {
        assert_true(table->buckets[b].len <= table->k);
        total += table->buckets[b].len;
    }
    assert_int_equal(total, model->len);
}

static void test_table_equals_model(void **state)
{
    (void)state;
    static struct model model;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct lp2p_rand rand = kit_rand(1, seed);
        struct lp2p_kad_table table;
        memset(&model, 0, sizeof(model));
        model.self = point(0);
        model.k = 1 + (unsigned)seed % 5;
        lp2p_kad_table_init(&table, &model.self, model.k);
        for (unsigned step = 0; step < 2000; step++) {
            unsigned number = 1 + (unsigned)lp2p_rand_below(&rand, 400);
            struct lp2p_kad_peer peer = kit_peer(number);
            size_t at = model_find(&model, number);
            switch (lp2p_rand_below(&rand, 8)) {
            case 0:
                lp2p_kad_table_remove(&table, &peer.id);
                model_remove(&model, at);
                break;
            case 1:
            case 2:
                lp2p_kad_table_mark(&table, &peer.id, true);
                if (at < model.len) {
                    model.peers[at].failing = true;
                }
                break;
            case 3:
                lp2p_kad_table_mark(&table, &peer.id, false);
                if (at < model.len) {
                    model.peers[at].failing = false;
                }
                break;
            default:
                lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peer), false);
                model_add(&model, number);
                break;
            }
            if (step % 16 == 0) {
                check_same(&model, &table);
                struct lp2p_kad_key target = kit_key(&rand, (unsigned)lp2p_rand_below(&rand, 256));
                check_nearest(&model, &table, &target, step % 32 == 0, 1 + lp2p_rand_below(&rand, 20));
                target = point(number);
                check_nearest(&model, &table, &target, false, 20);
                check_nearest(&model, &table, &model.self, false, 64);
            }
        }
        lp2p_kad_table_fini(&table);
    }
}

static void test_table_elders_stay(void **state)
{
    (void)state;
    struct lp2p_kad_key self = point(0);
    struct lp2p_kad_table table;
    lp2p_kad_table_init(&table, &self, 2);
    unsigned first_bucket[4];
    size_t len = 0;
    for (unsigned number = 1; len < 4; number++) {
        struct lp2p_kad_key key = point(number);
        if (lp2p_kad_key_cpl(&self, &key) == 0) {
            first_bucket[len++] = number;
        }
    }
    struct lp2p_kad_peer peers[4];
    for (size_t i = 0; i < 4; i++) {
        peers[i] = kit_peer(first_bucket[i]);
    }
    assert_int_equal(lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peers[0]), true), LP2P_KAD_SEEN_NEW);
    assert_int_equal(lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peers[1]), false), LP2P_KAD_SEEN_NEW);
    assert_int_equal(lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peers[2]), false),
                     LP2P_KAD_SEEN_REFUSED);
    assert_int_equal(lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peers[1]), true), LP2P_KAD_SEEN_KNOWN);
    assert_true(lp2p_kad_table_find(&table, &peers[1].id)->connected);
    lp2p_kad_table_mark(&table, &peers[0].id, true);
    assert_int_equal(table.size, 1);
    assert_int_equal(lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peers[0]), false),
                     LP2P_KAD_SEEN_NEW); /* is back */
    lp2p_kad_table_mark(&table, &peers[0].id, true);
    assert_int_equal(lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peers[2]), false), LP2P_KAD_SEEN_NEW);
    assert_null(lp2p_kad_table_find(&table, &peers[0].id));
    assert_int_equal(table.size, 2);
    struct lp2p_kad_peer me = kit_peer(0);
    assert_int_equal(lp2p_kad_table_add(&table, lp2p_kad_contact_new(&me), false), LP2P_KAD_SEEN_REFUSED);
    lp2p_kad_table_fini(&table);
}

static void test_table_addresses(void **state)
{
    (void)state;
    struct lp2p_kad_key self = point(0);
    struct lp2p_kad_table table;
    lp2p_kad_table_init(&table, &self, 20);
    struct lp2p_kad_peer peer = kit_peer(1);
    lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peer), false);
    peer.addrs_len = 0; /* news without addresses do not erase what is known */
    lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peer), false);
    assert_int_equal(lp2p_kad_table_find(&table, &peer.id)->contact->addrs_len, 1);
    struct lp2p_multiaddr other = kit_addr("/ip4/8.8.8.8/tcp/1");
    lp2p_kad_peer_add(&peer, &other, true);
    lp2p_kad_table_add(&table, lp2p_kad_contact_new(&peer), false);
    struct lp2p_kad_peer read;
    lp2p_kad_contact_unpack(lp2p_kad_table_find(&table, &peer.id)->contact, &read);
    assert_int_equal(read.addrs_len, 1);
    assert_true(lp2p_multiaddr_eq(&read.addrs[0], &other));
    lp2p_kad_table_fini(&table);
}

static void test_contact_cleans_addresses(void **state)
{
    (void)state;
    struct lp2p_kad_peer peer = kit_peer(1);
    struct lp2p_kad_peer other = kit_peer(2);
    peer.addrs_len = 6;
    peer.addrs[1] = peer.addrs[0]; /* a double, with the peer's own id behind it */
    assert_int_equal(lp2p_multiaddr_add_peer(&peer.addrs[1], &peer.id), LP2P_OK);
    peer.addrs[2] = kit_addr("/ip4/127.0.0.1/tcp/4001");
    peer.addrs[3] = kit_addr("/ip4/10.0.0.1/tcp/4001");
    peer.addrs[4] = kit_addr("/ip4/9.9.9.9/tcp/4001"); /* somebody else's */
    assert_int_equal(lp2p_multiaddr_add_peer(&peer.addrs[4], &other.id), LP2P_OK);
    peer.addrs[5] = kit_addr("/dns4/example.com/tcp/4001");
    struct lp2p_kad_peer all = peer;
    lp2p_kad_peer_clean(&all, false);
    assert_int_equal(all.addrs_len, 4);
    lp2p_kad_peer_clean(&peer, true);
    assert_int_equal(peer.addrs_len, 2);
    assert_true(lp2p_multiaddr_eq(&peer.addrs[0], &all.addrs[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_equals_model),
        cmocka_unit_test(test_table_elders_stay),
        cmocka_unit_test(test_table_addresses),
        cmocka_unit_test(test_contact_cleans_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
