/* SPDX-License-Identifier: MIT
 * Does ThreadSanitizer see what it should? Two actors on threads of their own count in one variable, once
 * handed back and forth by messages (no race: the mailbox orders it), once without (a race, planted here).
 * The program runs itself with the name of the case; the second run must be reported, the first one not.
 * Skipped where ThreadSanitizer is not built in. */
#include "fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 2000

static unsigned planted_counter; /* deliberately neither atomic nor owned by one actor */

static enum lp2p_verdict planted_count(struct lp2p_actor *self, void *arg)
{
    (void)self, (void)arg;
    planted_counter++;
    return LP2P_CONTINUE;
}

static int run_case(bool racing)
{
    struct fixture fixture;
    struct lp2p_child_spec children[] = {{.id = "a", .ops = &puppet_ops, .mailbox_max = ROUNDS + 1},
                                         {.id = "b", .ops = &puppet_ops, .mailbox_max = ROUNDS + 1}};
    struct gate done = GATE_INIT;
    fixture_init(&fixture, children, 2);
    if (fixture_start(&fixture) != LP2P_OK) {
        return 2;
    }
    struct lp2p_ref a = lp2p_whereis(fixture.rt, "a"), b = lp2p_whereis(fixture.rt, "b");
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct gate *last = i + 1 == ROUNDS ? &done : NULL;
        if (racing) {
            fixture_post(&fixture, a, planted_count, NULL, last);
            fixture_post(&fixture, b, planted_count, NULL, last);
        } else {
            fixture_do(&fixture, i % 2 == 0 ? a : b, planted_count, NULL);
        }
    }
    if (racing) {
        gate_wait(&done, 2);
    }
    fixture_stop(&fixture);
    return 0;
}

#if defined(LP2P_TSAN)
/* Output of this program run with that argument. */
static void run_self(const char *name, char *out, size_t cap)
{
    char path[512], command[1024];
    ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
    assert_true(len > 0);
    path[len] = '\0';
    snprintf(command, sizeof(command), "TSAN_OPTIONS=exitcode=66 '%s' %s 2>&1; echo \"exit code $?\"", path,
             name);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t have = fread(out, 1, cap - 1, pipe);
    out[have] = '\0';
    char rest[4096];
    while (fread(rest, 1, sizeof(rest), pipe) > 0) {
    }
    pclose(pipe);
}

static void test_planted_race_is_found(void **state)
{
    (void)state;
    static char out[1 << 16];
    run_self("racing", out, sizeof(out));
    assert_non_null(strstr(out, "WARNING: ThreadSanitizer: data race"));
    assert_non_null(strstr(out, "planted_count"));
    run_self("ordered", out, sizeof(out));
    assert_null(strstr(out, "ThreadSanitizer"));
    assert_non_null(strstr(out, "exit code 0"));
}
#endif

int main(int argc, char **argv)
{
    if (argc == 2) {
        return run_case(strcmp(argv[1], "racing") == 0);
    }
#if defined(LP2P_TSAN)
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_planted_race_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    puts("1..0 # SKIP this build has no ThreadSanitizer that could find the planted race");
    return 0;
#endif
}
