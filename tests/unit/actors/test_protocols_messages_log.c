/* SPDX-License-Identifier: MIT
 * What the messages actor tells the log of messages that it does not take. */
#include "protocols_stage.h"

#include "actors/protocols/messages_private.h"

#include <stdlib.h>
#include <string.h>

static void receive(struct stage *stage, uint64_t number, const void *bytes, size_t len)
{
    stage_opened(stage, number, LP2P_LOTUS_MESSAGE_PROTOCOL, false, 0, LP2P_STREAM_CREDIT, NULL);
    for (size_t at = 0; at < len; at += 30000) {
        stage_data(stage, number, (const uint8_t *)bytes + at, LP2P_MIN(len - at, (size_t)30000));
    }
    if (!stage_aborted(stage, number)) {
        stage_eof(stage, number);
    }
}

struct lines {
    unsigned len;
    char last[256];
};

static void keep_line(void *user, enum lp2p_log_level level, const char *module, const char *text)
{
    (void)level;
    struct lines *lines = user;
    assert_string_equal(module, "messages");
    lines->len++;
    (void)snprintf(lines->last, sizeof(lines->last), "%s", text);
}

/* The log of a node must not be for its peers to fill. */
static void test_messages_log_is_bounded(void **state)
{
    (void)state;
    struct stage *stage = stage_new();
    stage_start(stage, &lp2p_messages_ops);
    STAGE_EXPECT(stage, REGISTER);
    struct lines lines = {0};
    uint8_t *big = calloc(1, LP2P_LOTUS_MESSAGE_MAX + 1);
    stage->ctx.config.log_fn = keep_line;
    stage->ctx.config.log_user = &lines;
    stage->ctx.config.log_level = LP2P_LOG_INFO;
    uint64_t number = 0;
    for (unsigned i = 0; i < 20; i++) {
        receive(stage, ++number, "{", 1);
        receive(stage, ++number, big, LP2P_LOTUS_MESSAGE_MAX + 1);
    }
    free(big);
    assert_int_equal(lines.len, 2); /* one of each kind */
    assert_int_equal(LP2P_READ(&stage->ctx, messages_invalid), 40);
    stage_pass(stage, LP2P_RECEIVE_LOG_NS);
    receive(stage, ++number, "{", 1);
    assert_int_equal(lines.len, 3);
    assert_non_null(strstr(lines.last, "is not valid"));
    assert_non_null(strstr(lines.last, "(more=19)"));
    stage_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_log_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
