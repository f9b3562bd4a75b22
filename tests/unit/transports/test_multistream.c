/* SPDX-License-Identifier: MIT
 * multistream-select: published transcripts in both roles and any cutting, the lazy form, limits, wrong
 * input. */
#include "multistream/multistream.h"

#include "base/check.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HEADER "\x13/multistream/1.0.0\n"

static int match_list(void *ctx, struct lp2p_span protocol)
{
    const char *const *list = ctx;
    for (int i = 0; list[i] != NULL; i++) {
        if (lp2p_span_eq_str(protocol, list[i])) {
            return i;
        }
    }
    return -1;
}

static size_t drain_all(struct lp2p_mss *mss, uint8_t *out, size_t cap)
{
    size_t len = 0, more;
    while ((more = lp2p_mss_drain(mss, out + len, cap - len < 3 ? cap - len : 3, 0)) > 0) {
        len += more;
    }
    return len;
}

static struct lp2p_mss_event next_event(struct lp2p_mss *mss)
{
    struct lp2p_mss_event event;
    lp2p_mss_next(mss, &event);
    return event;
}

static void assert_event(struct lp2p_mss *mss, enum lp2p_mss_event_kind kind, int index, enum lp2p_err reason)
{
    struct lp2p_mss_event event = next_event(mss);
    assert_int_equal(event.kind, kind);
    assert_int_equal(event.reason, reason);
    if (kind == LP2P_MSS_SELECTED) {
        assert_int_equal(event.index, index);
    }
}

/* Feeds piece by piece from memory of its own; returns how many bytes the machine took. */
static size_t feed_pieces(struct lp2p_mss *mss, struct lp2p_span in, size_t piece, enum lp2p_err *err)
{
    size_t at = 0, used = 0;
    *err = LP2P_OK;
    while (at < in.len && *err == LP2P_OK) {
        size_t size = LP2P_MIN(piece, in.len - at);
        struct lp2p_span part = vectors_copy(lp2p_span(in.ptr + at, size));
        *err = lp2p_mss_feed(mss, part, 0, &used);
        vectors_free(part);
        at += used;
        if (used < size) {
            break;
        }
    }
    return at;
}

static void assert_drains(struct lp2p_mss *mss, const char *want, size_t len)
{
    uint8_t out[2048];
    assert_int_equal(drain_all(mss, out, sizeof(out)), len);
    assert_memory_equal(out, want, len);
}
#define ASSERT_DRAINS(mss, text) assert_drains(mss, text, sizeof(text) - 1)

static void feed_text(struct lp2p_mss *mss, const char *text, enum lp2p_err want)
{
    enum lp2p_err err;
    feed_pieces(mss, lp2p_span_str(text), SIZE_MAX, &err);
    assert_int_equal(err, want);
}

/* Plays one side of a published transcript: what the machine says must be the transcript byte for byte.
 * Application bytes behind the agreement are in it too: they must be left over. */
static void play(yyjson_val *steps, bool dialer, struct lp2p_mss *mss, size_t piece, const char *app)
{
    uint8_t said[512];
    size_t said_len = 0, i, max, left_over = 0;
    struct lp2p_span want_said = lp2p_span(NULL, 0), all;
    uint8_t wanted[512];
    yyjson_val *step;
    yyjson_arr_foreach(steps, i, max, step)
    {
        struct lp2p_span bytes = vectors_hex(step, "hex");
        bool ours = (strcmp(vectors_str(step, "side"), "initiator") == 0) == dialer;
        said_len += drain_all(mss, said + said_len, sizeof(said) - said_len);
        if (ours) {
            memcpy(wanted + want_said.len, bytes.ptr, bytes.len);
            want_said = lp2p_span(wanted, want_said.len + bytes.len);
        } else {
            enum lp2p_err err;
            size_t took = feed_pieces(mss, bytes, piece, &err);
            assert_true(err == LP2P_OK || err == LP2P_ENEGOTIATION);
            left_over += bytes.len - took;
        }
        vectors_free(bytes);
    }
    said_len += drain_all(mss, said + said_len, sizeof(said) - said_len);
    all = lp2p_span(said, said_len);
    if (want_said.len > all.len) { /* the rest is what the application says */
        size_t extra = want_said.len - all.len;
        assert_true(extra == strlen(app) && memcmp(wanted + all.len, app, extra) == 0);
        want_said.len = all.len;
    }
    assert_true(lp2p_span_eq(all, want_said));
    assert_true(left_over == 0 || left_over == strlen(app));
}

static void test_multistream_transcripts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *dial[3], *serve[2], *app;
        size_t n;
        bool lazy, agreed;
    } cases[] = {
        {"agreed at once", {"/noise"}, {"/noise"}, "", 1, false, true},
        {"first refused", {"/tls/1.0.0", "/noise"}, {"/noise"}, "", 2, false, true},
        {"lazy: header, protocol and 3 bytes of application data in one write",
         {"/echo"},
         {"/echo"},
         "abc",
         1,
         true,
         true},
        {"none agreed", {"/x"}, {"/noise"}, "", 1, false, false},
    };
    yyjson_doc *doc = vectors_load("multistream.json");
    yyjson_val *entry;
    size_t i, max, played = 0;
    yyjson_arr_foreach(vectors_array(doc, "transcripts"), i, max, entry)
    {
        for (size_t k = 0; k < LP2P_ARRAY_LEN(cases); k++) {
            if (strcmp(cases[k].name, vectors_str(entry, "name")) != 0) {
                continue;
            }
            played++;
            const char *serve[] = {cases[k].serve[0], NULL};
            for (size_t piece = 1; piece < 80; piece++) {
                struct lp2p_mss *mss = lp2p_mss_new_dialer(cases[k].dial, cases[k].n, cases[k].lazy);
                play(vectors_get(entry, "steps"), true, mss, piece, cases[k].app);
                assert_event(mss, cases[k].agreed ? LP2P_MSS_SELECTED : LP2P_MSS_FAILED, (int)cases[k].n - 1,
                             cases[k].agreed ? LP2P_OK : LP2P_ENEGOTIATION);
                assert_int_equal(lp2p_mss_confirmed(mss), cases[k].agreed);
                lp2p_mss_free(mss);
                mss = lp2p_mss_new_listener(match_list, serve);
                play(vectors_get(entry, "steps"), false, mss, piece, cases[k].app);
                assert_event(mss, cases[k].agreed ? LP2P_MSS_SELECTED : LP2P_MSS_NONE, 0, LP2P_OK);
                assert_int_equal(lp2p_mss_confirmed(mss), cases[k].agreed);
                lp2p_mss_free(mss);
            }
        }
    }
    assert_int_equal(played, max); /* a transcript that is new in the vectors must not go unplayed */
    yyjson_doc_free(doc);
}

/* Every message vector as a dialer writes it and as a listener reads it and answers. */
static void test_multistream_message_vectors(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("multistream.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "messages"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "hex");
        const char *id = vectors_str(entry, "text"), *list[] = {id, NULL};
        uint8_t out[1024];
        struct lp2p_mss *dialer = lp2p_mss_new_dialer(list, 1, false);
        size_t len = drain_all(dialer, out, sizeof(out));
        assert_int_equal(len, 20 + bytes.len);
        assert_memory_equal(out + 20, bytes.ptr, bytes.len);
        lp2p_mss_free(dialer);

        struct lp2p_mss *listener = lp2p_mss_new_listener(match_list, list);
        enum lp2p_err err;
        assert_int_equal(feed_pieces(listener, lp2p_span(out, len), 7, &err), len);
        assert_event(listener, LP2P_MSS_SELECTED, 0, LP2P_OK);
        assert_false(lp2p_mss_confirmed(listener));
        assert_int_equal(drain_all(listener, out, sizeof(out)), len);
        assert_memory_equal(out + 20, bytes.ptr, bytes.len);
        assert_true(lp2p_mss_confirmed(listener));
        lp2p_mss_free(listener);
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

static void test_multistream_bad_vectors_fail_both_roles(void **state)
{
    (void)state;
    static const char *const list[] = {"/noise", NULL};
    yyjson_doc *doc = vectors_load("multistream.json");
    yyjson_val *entry;
    size_t i, max;
    yyjson_arr_foreach(vectors_array(doc, "invalid"), i, max, entry)
    {
        struct lp2p_span bytes = vectors_hex(entry, "hex");
        for (int role = 0; role < 2; role++) {
            struct lp2p_mss *mss = role == 0 ? lp2p_mss_new_dialer(list, 1, false)
                                             : lp2p_mss_new_listener(match_list, (void *)(uintptr_t)list);
            enum lp2p_err err;
            feed_pieces(mss, bytes, 1, &err);
            assert_true(err == LP2P_EMALFORMED || err == LP2P_EOVERSIZE || err == LP2P_EPROTO);
            struct lp2p_mss_event event = next_event(mss);
            assert_int_equal(event.kind, LP2P_MSS_FAILED);
            assert_int_equal(event.reason, err);
            assert_int_equal(next_event(mss).kind, LP2P_MSS_NONE);
            size_t used = 9;
            assert_int_equal(lp2p_mss_feed(mss, bytes, 0, &used), err); /* stays failed */
            assert_int_equal(used, 0);
            assert_false(lp2p_mss_confirmed(mss));
            lp2p_mss_free(mss);
        }
        vectors_free(bytes);
    }
    yyjson_doc_free(doc);
}

static void test_multistream_dialer_starts_in_one_drain(void **state)
{
    (void)state;
    static const char *const list[] = {"/noise"};
    struct lp2p_mss *mss = lp2p_mss_new_dialer(list, 1, false);
    uint8_t out[64];
    assert_int_equal(lp2p_mss_drain(mss, out, sizeof(out), 0), 28);
    assert_memory_equal(out, HEADER "\x07/noise\n", 28);
    assert_int_equal(next_event(mss).kind, LP2P_MSS_NONE);
    assert_true(lp2p_mss_deadline(mss) == LP2P_NEVER);
    lp2p_mss_free(mss);
}

static void test_multistream_lazy_selects_with_the_last_proposal(void **state)
{
    (void)state;
    static const char *const list[] = {"/a", "/b"};
    struct lp2p_mss *mss = lp2p_mss_new_dialer(list, 2, true);
    ASSERT_DRAINS(mss, HEADER "\x03/a\n");
    assert_int_equal(next_event(mss).kind, LP2P_MSS_NONE);
    feed_text(mss, HEADER "\x03na\n", LP2P_OK);
    assert_event(mss, LP2P_MSS_SELECTED, 1, LP2P_OK);
    assert_false(lp2p_mss_confirmed(mss)); /* no FIN yet */
    ASSERT_DRAINS(mss, "\x03/b\n");
    feed_text(mss, "\x03/b\n", LP2P_OK);
    assert_true(lp2p_mss_confirmed(mss));
    assert_int_equal(next_event(mss).kind, LP2P_MSS_NONE); /* told once */
    lp2p_mss_free(mss);

    /* A lazy dialer whose first proposal is taken is like any other. */
    mss = lp2p_mss_new_dialer(list, 2, true);
    ASSERT_DRAINS(mss, HEADER "\x03/a\n");
    feed_text(mss, HEADER "\x03/a\n", LP2P_OK);
    assert_event(mss, LP2P_MSS_SELECTED, 0, LP2P_OK);
    lp2p_mss_free(mss);
}

static void test_multistream_lazy_refusal_comes_late(void **state)
{
    (void)state;
    static const char *const list[] = {"/a"};
    struct lp2p_mss *mss = lp2p_mss_new_dialer(list, 1, true);
    assert_event(mss, LP2P_MSS_SELECTED, 0, LP2P_OK);
    ASSERT_DRAINS(mss, HEADER "\x03/a\n");
    feed_text(mss, HEADER "\x03na\n", LP2P_ENEGOTIATION);
    assert_event(mss, LP2P_MSS_FAILED, 0, LP2P_ENEGOTIATION);
    assert_false(lp2p_mss_confirmed(mss));
    lp2p_mss_free(mss);
}

static void test_multistream_listener_answers_a_header_and_insists_on_it(void **state)
{
    (void)state;
    static const char *const list[] = {"/a", NULL};
    struct lp2p_mss *mss = lp2p_mss_new_listener(match_list, (void *)(uintptr_t)list);
    ASSERT_DRAINS(mss, "");
    feed_text(mss, "\x03/a\n", LP2P_EPROTO);
    assert_event(mss, LP2P_MSS_FAILED, 0, LP2P_EPROTO);
    ASSERT_DRAINS(mss, "");
    lp2p_mss_free(mss);

    mss = lp2p_mss_new_listener(match_list, (void *)(uintptr_t)list);
    feed_text(mss, HEADER, LP2P_OK); /* a dialer that waits for ours before it proposes gets it */
    ASSERT_DRAINS(mss, HEADER);
    feed_text(mss, "\x03/a\n", LP2P_OK);
    assert_event(mss, LP2P_MSS_SELECTED, 0, LP2P_OK);
    ASSERT_DRAINS(mss, "\x03/a\n");
    lp2p_mss_free(mss);
}

static void test_multistream_ls_is_answered_na(void **state)
{
    (void)state;
    static const char *const list[] = {"/a", "/b", NULL};
    struct lp2p_mss *mss = lp2p_mss_new_listener(match_list, (void *)(uintptr_t)list);
    feed_text(mss, HEADER "\x03ls\n", LP2P_OK);
    ASSERT_DRAINS(mss, HEADER "\x03na\n");
    feed_text(mss, "\x03/b\n", LP2P_OK);
    assert_event(mss, LP2P_MSS_SELECTED, 1, LP2P_OK);
    ASSERT_DRAINS(mss, "\x03/b\n");
    lp2p_mss_free(mss);
}

static void test_multistream_dialer_wrong_answers(void **state)
{
    (void)state;
    static const char *const list[] = {"/a", "/b"};
    static const char *const answers[] = {"\x03/b\n", "\x03/A\n", "\x04/a\n\n",
                                          "\x01\n",   "\x02/\n",  "\x13/multistream/1.0.0\n"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(answers); i++) {
        struct lp2p_mss *mss = lp2p_mss_new_dialer(list, 2, false);
        ASSERT_DRAINS(mss, HEADER "\x03/a\n");
        feed_text(mss, HEADER, LP2P_OK);
        feed_text(mss, answers[i], LP2P_EPROTO);
        lp2p_mss_free(mss);
    }
    /* Both sides dial at once: the other's proposal is not an answer to ours, which was not even sent. */
    struct lp2p_mss *mss = lp2p_mss_new_dialer(list, 1, false);
    feed_text(mss, HEADER, LP2P_OK);
    feed_text(mss, "\x03/a\n", LP2P_EPROTO);
    lp2p_mss_free(mss);
}

static void test_multistream_refusals_are_bounded(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    struct lp2p_mss *mss = lp2p_mss_new_listener(match_list, (void *)(uintptr_t)none);
    feed_text(mss, HEADER, LP2P_OK);
    for (size_t i = 0; i < LP2P_MSS_REFUSALS_MAX; i++) {
        feed_text(mss, "\x03/x\n", LP2P_OK); /* all in one flight: nothing is drained in between */
    }
    uint8_t out[1024];
    assert_int_equal(drain_all(mss, out, sizeof(out)), 20 + 4 * LP2P_MSS_REFUSALS_MAX);
    feed_text(mss, "\x03/x\n", LP2P_ELIMIT);
    assert_event(mss, LP2P_MSS_FAILED, 0, LP2P_ELIMIT);
    lp2p_mss_free(mss);

    const char *many[LP2P_MSS_REFUSALS_MAX + 5];
    for (size_t i = 0; i < LP2P_ARRAY_LEN(many); i++) {
        many[i] = "/x";
    }
    mss = lp2p_mss_new_dialer(many, LP2P_ARRAY_LEN(many), false);
    feed_text(mss, HEADER, LP2P_OK);
    for (size_t i = 0; i < LP2P_MSS_REFUSALS_MAX; i++) {
        assert_true(drain_all(mss, out, sizeof(out)) > 0);
        feed_text(mss, "\x03na\n", LP2P_OK);
    }
    assert_true(drain_all(mss, out, sizeof(out)) > 0);
    feed_text(mss, "\x03na\n", LP2P_ELIMIT);
    lp2p_mss_free(mss);
}

/** Limits can be lifted, but what waits unsent stays within its room: beyond it the negotiation ends. */
static void test_multistream_lifted_limits(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    static const struct lp2p_mss_limits more = {.token_max = 2000, .refusals_max = 1000}, same = {0};
    for (int drained = 0; drained < 2; drained++) {
        struct lp2p_mss *mss = lp2p_mss_new_listener(match_list, (void *)(uintptr_t)none);
        lp2p_mss_limit(mss, &more);
        lp2p_mss_limit(mss, &same);
        lp2p_mss_limit(mss, NULL);
        feed_text(mss, HEADER, LP2P_OK);
        uint8_t out[1024], big[2 + LP2P_MSS_TOKEN_MAX + 1] = {0x81, 0x08};
        memset(big + 2, 'p', sizeof(big) - 2);
        big[sizeof(big) - 1] = '\n';
        enum lp2p_err err = LP2P_OK;
        feed_pieces(mss, lp2p_span(big, sizeof(big)), 100, &err);
        assert_int_equal(err, LP2P_OK);
        unsigned refused = 1;
        while (err == LP2P_OK && refused < 1000) {
            if (drained) {
                drain_all(mss, out, sizeof(out));
            }
            feed_pieces(mss, lp2p_span_str("\x03/x\n"), SIZE_MAX, &err);
            refused++;
        }
        assert_int_equal(err, drained ? LP2P_OK : LP2P_ELIMIT);
        assert_in_range(refused, drained ? 1000 : LP2P_MSS_REFUSALS_MAX, drained ? 1000 : LP2P_MSS_REFUSALS_MAX + 2);
        lp2p_mss_free(mss);
    }
}

static void test_multistream_token_sizes(void **state)
{
    (void)state;
    static char id[LP2P_MSS_TOKEN_MAX + 8];
    static const size_t sizes[] = {255, 256, 257, 1023};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(sizes); i++) {
        uint8_t token[LP2P_MSS_TOKEN_MAX + 8];
        size_t body = sizes[i] + 1;
        token[0] = (uint8_t)((body & 0x7f) | 0x80);
        token[1] = (uint8_t)(body >> 7);
        memset(token + 2, 'p', sizes[i]);
        token[2 + sizes[i]] = '\n';
        memset(id, 'p', sizes[i]);
        id[sizes[i]] = '\0';
        const char *list[] = {id, NULL};
        struct lp2p_mss *mss = lp2p_mss_new_listener(match_list, list);
        feed_text(mss, HEADER, LP2P_OK);
        enum lp2p_err err;
        assert_int_equal(feed_pieces(mss, lp2p_span(token, 2 + body), 100, &err), 2 + body);
        assert_int_equal(err, LP2P_OK);
        /* A protocol of ours has at most 255 characters; a longer one is unknown whatever it says. */
        assert_int_equal(next_event(mss).kind,
                         sizes[i] < LP2P_MSS_PROTOCOL_MAX ? LP2P_MSS_SELECTED : LP2P_MSS_NONE);
        lp2p_mss_free(mss);
    }
    struct lp2p_mss *mss = lp2p_mss_new_listener(match_list, (void *)(uintptr_t)(const char *[]){NULL});
    feed_text(mss, HEADER "\x81\x08", LP2P_EOVERSIZE);
    lp2p_mss_free(mss);
}

static void test_multistream_unusable_proposals(void **state)
{
    (void)state;
    static char long_id[LP2P_MSS_PROTOCOL_MAX + 1];
    memset(long_id, 'x', LP2P_MSS_PROTOCOL_MAX);
    const char *const ids[] = {long_id, "", "/a\nb"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(ids); i++) {
        struct lp2p_mss *mss = lp2p_mss_new_dialer(&ids[i], 1, false);
        assert_event(mss, LP2P_MSS_FAILED, 0, LP2P_EINVAL);
        lp2p_mss_free(mss);
    }
    struct lp2p_mss *mss = lp2p_mss_new_dialer(NULL, 0, true);
    assert_event(mss, LP2P_MSS_FAILED, 0, LP2P_EINVAL);
    lp2p_mss_free(mss);
    lp2p_mss_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multistream_transcripts),
        cmocka_unit_test(test_multistream_message_vectors),
        cmocka_unit_test(test_multistream_bad_vectors_fail_both_roles),
        cmocka_unit_test(test_multistream_dialer_starts_in_one_drain),
        cmocka_unit_test(test_multistream_lazy_selects_with_the_last_proposal),
        cmocka_unit_test(test_multistream_lazy_refusal_comes_late),
        cmocka_unit_test(test_multistream_listener_answers_a_header_and_insists_on_it),
        cmocka_unit_test(test_multistream_ls_is_answered_na),
        cmocka_unit_test(test_multistream_dialer_wrong_answers),
        cmocka_unit_test(test_multistream_refusals_are_bounded),
        cmocka_unit_test(test_multistream_lifted_limits),
        cmocka_unit_test(test_multistream_token_sizes),
        cmocka_unit_test(test_multistream_unusable_proposals),
    };
    return cmocka_run_group_tests_name("multistream", tests, NULL, NULL);
}
