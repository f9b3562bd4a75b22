/* SPDX-License-Identifier: MIT
 * What the swarm knows of protocols that a peer does not speak: by its list, and by what it refused. */
#include "actors/control/swarm.h"

#include "actors/protocols/identify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define PROTOCOL "/crowd/1.0.0"
#define NOW LP2P_SEC(100)

/* One peer with two connections. */
struct scene {
    struct lp2p_swarm swarm;
    struct lp2p_peer_entry entry;
    struct lp2p_link links[2];
};

static struct scene *scene_new(void)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    lp2p_list_init(&scene->entry.links);
    for (size_t i = 0; i < LP2P_SWARM_CONN_BUCKETS; i++) {
        lp2p_list_init(&scene->swarm.by_conn[i]);
    }
    for (uint64_t i = 0; i < 2; i++) {
        struct lp2p_link *link = &scene->links[i];
        link->conn = i + 1;
        link->peer = &scene->entry;
        link->up = true;
        lp2p_list_push_back(&scene->swarm.by_conn[link->conn], &link->by_conn);
        lp2p_list_push_back(&scene->entry.links, &link->of_peer);
    }
    return scene;
}

static void scene_free(struct scene *scene)
{
    lp2p_strings_drop(&scene->entry.protocols);
    free(scene->links[0].refusals);
    assert_null(scene->links[1].refusals);
    free(scene);
}

/* Identify on the first connection brings one or two protocols. */
static void tell(struct scene *scene, const char *one, const char *two)
{
    const struct lp2p_span items[] = {lp2p_span_str(one), lp2p_span_str(two == NULL ? "" : two)};
    lp2p_strings_drop(&scene->entry.protocols);
    scene->entry.protocols = lp2p_strings_new(items, two == NULL ? 1 : 2);
    assert_non_null(scene->entry.protocols);
    lp2p_swarm_told(&scene->entry, &scene->links[0]);
}

static void refuse(struct scene *scene, const char *protocol, uint32_t told)
{
    struct lp2p_m_link_refused m = {.conn = 1, .told = told};
    (void)snprintf(m.protocol, sizeof(m.protocol), "%s", protocol);
    lp2p_swarm_link_refused(&scene->swarm, &m, NOW);
}

static bool unspoken_at(const struct scene *scene, size_t link, const char *protocol, lp2p_time now)
{
    return lp2p_swarm_is_unspoken(&scene->entry, &scene->links[link], protocol, now);
}

static bool unspoken(const struct scene *scene)
{
    return unspoken_at(scene, 0, PROTOCOL, NOW);
}

/* What a peer that pushes does not list, it does not speak; whoever has said nothing yet is asked. */
static void test_spoken_by_list(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    assert_false(unspoken(scene));
    tell(scene, LP2P_IDENTIFY_PUSH_PROTOCOL, "/other/1.0.0");
    assert_true(unspoken(scene));
    assert_true(unspoken_at(scene, 1, PROTOCOL, NOW)); /* known on every connection */
    assert_false(unspoken_at(scene, 0, "/other/1.0.0", NOW));
    assert_false(unspoken_at(scene, 0, "/with a blank", NOW)); /* identify would not have kept it */
    tell(scene, LP2P_IDENTIFY_PUSH_PROTOCOL, PROTOCOL);
    assert_false(unspoken(scene));
    scene_free(scene);
}

/* The list of a connection before is not what the peer says now. */
static void test_spoken_list_of_before(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    tell(scene, LP2P_IDENTIFY_PUSH_PROTOCOL, NULL);
    scene->links[0].told = false;
    assert_false(unspoken(scene));
    scene->links[1].told = true;
    assert_true(unspoken(scene));
    scene->links[1].closing = true;
    assert_false(unspoken(scene));
    scene_free(scene);
}

/* A list that was cut leaves everything open. */
static void test_spoken_list_too_long(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    struct lp2p_span items[LP2P_IDENTIFY_PROTOCOLS_MAX];
    for (size_t i = 0; i < LP2P_ARRAY_LEN(items); i++) {
        items[i] = lp2p_span_str(LP2P_IDENTIFY_PUSH_PROTOCOL);
    }
    for (size_t cut = 0; cut < 2; cut++) {
        lp2p_strings_drop(&scene->entry.protocols);
        scene->entry.protocols = lp2p_strings_new(items, LP2P_ARRAY_LEN(items) - 1 + cut);
        lp2p_swarm_told(&scene->entry, &scene->links[0]);
        assert_int_equal(unspoken(scene), cut == 0);
    }
    scene_free(scene);
}

/* Lotus nodes send no pushes: they are asked again, but not all the time. */
static void test_spoken_without_push(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    tell(scene, "/other/1.0.0", NULL);
    assert_false(unspoken(scene));
    refuse(scene, PROTOCOL, 1);
    assert_true(unspoken(scene));
    assert_false(unspoken_at(scene, 1, PROTOCOL, NOW)); /* of that connection */
    assert_false(unspoken_at(scene, 0, "/other/1.0.0", NOW));
    assert_true(unspoken_at(scene, 0, PROTOCOL, NOW + LP2P_REFUSAL_NS - 1));
    assert_false(unspoken_at(scene, 0, PROTOCOL, NOW + LP2P_REFUSAL_NS));
    scene_free(scene);
}

/* It counts until the peer tells something new; a word that was on its way meanwhile does not count at all. */
static void test_spoken_refusal_until_told(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    refuse(scene, PROTOCOL, 0); /* before identify has ended */
    assert_true(unspoken(scene));
    tell(scene, LP2P_IDENTIFY_PUSH_PROTOCOL, PROTOCOL);
    assert_false(unspoken(scene));
    refuse(scene, PROTOCOL, 0);
    assert_false(unspoken(scene));
    refuse(scene, PROTOCOL, 1); /* though it is listed */
    assert_true(unspoken(scene));
    tell(scene, LP2P_IDENTIFY_PUSH_PROTOCOL, PROTOCOL);
    assert_false(unspoken(scene));
    scene_free(scene);
}

/* The memory of one connection is bounded: the newest stay, one protocol takes one place. */
static void test_spoken_refusals_are_bounded(void **state)
{
    (void)state;
    struct scene *scene = scene_new();
    char id[32];
    for (unsigned i = 0; i < 3 * LP2P_REFUSALS_MAX; i++) {
        refuse(scene, PROTOCOL, 0);
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof(id), "/p/%u", i);
        refuse(scene, id, 0);
        assert_int_equal(unspoken(scene), i + 1 < LP2P_REFUSALS_MAX);
    }
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof(id), "/p/%u", i);
        assert_int_equal(unspoken_at(scene, 0, id, NOW), i >= 1000 - LP2P_REFUSALS_MAX);
    }
    struct lp2p_m_link_refused gone = {.conn = 77, .protocol = PROTOCOL};
    lp2p_swarm_link_refused(&scene->swarm, &gone, NOW); /* the connection has ended meanwhile */
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spoken_by_list),
        cmocka_unit_test(test_spoken_list_of_before),
        cmocka_unit_test(test_spoken_list_too_long),
        cmocka_unit_test(test_spoken_without_push),
        cmocka_unit_test(test_spoken_refusal_until_told),
        cmocka_unit_test(test_spoken_refusals_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
