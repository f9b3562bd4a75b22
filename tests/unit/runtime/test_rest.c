/* SPDX-License-Identifier: MIT
 * What a thread keeps while it has nothing to do: not the pages of its stack that a deep handler once touched. */
#include "fixture.h"

#include <alloca.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define DEEP_BYTES (48u * 1024u)

struct deep {
    uintptr_t page; /* an address in the middle of what the handler used */
    bool was_there;
};

static bool is_there(uintptr_t address)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    unsigned char seen = 0;
    LP2P_CHECK(mincore((void *)(address & ~(page - 1)), page, &seen) == 0);
    return (seen & 1) != 0;
}

static enum lp2p_verdict go_deep(struct lp2p_actor *self, void *arg)
{
    (void)self;
    struct deep *deep = arg;
    /* Of a size that the compiler does not know: AddressSanitizer would put it somewhere else. */
    volatile size_t size = DEEP_BYTES;
    volatile uint8_t *bytes = alloca(size);
    for (size_t i = 0; i < size; i += 512) {
        bytes[i] = (uint8_t)i;
    }
    deep->page = (uintptr_t)&bytes[size / 2];
    deep->was_there = is_there(deep->page);
    return LP2P_CONTINUE;
}

static void test_rest_gives_stack_back(void **state)
{
    (void)state;
    static struct puppet idle;
    const struct lp2p_child_spec children[] = {
        {.id = "deep", .ops = &puppet_ops, .arg = &idle, .placement = {.place = LP2P_PLACE_OWN}}};
    struct fixture fixture;
    struct deep deep = {0};
    fixture_init(&fixture, children, 1);
    assert_int_equal(fixture_start(&fixture), LP2P_OK);
    struct lp2p_ref who = lp2p_whereis(fixture.rt, "deep");
    fixture_do(&fixture, who, go_deep, &deep);
    assert_true(deep.was_there);
    const struct timespec while_ns = {.tv_nsec = 1000000};
    for (unsigned waits = 0; is_there(deep.page); waits++) {
        assert_true(waits < 60000); /* a minute: it is not given back */
        nanosleep(&while_ns, NULL);
    }
    fixture_do(&fixture, who, go_deep, &deep); /* and can be used again */
    assert_true(deep.was_there);
    assert_int_equal(fixture_stop(&fixture), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rest_gives_stack_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
