/* SPDX-License-Identifier: MIT
 * The reader of Lotus messages. What is valid has its required fields; its payload, sent on in a message of
 * ours, is read back as the same text. */
#include "actors/protocols/lotus_message.h"

#include <stdlib.h>
#include <string.h>

static void check_round_trip(const struct lp2p_lotus_message *in)
{
    struct lp2p_rand_seeded gen;
    lp2p_rand_seeded_init(&gen, 1);
    struct lp2p_rand rand = lp2p_rand_seeded_source(&gen);
    struct lp2p_slice json;
    struct lp2p_lotus_message back;
    struct lp2p_message message = {
        .type = "t", .protocol = in->view.protocol, .payload = in->view.payload, .to = in->view.to};
    enum lp2p_err err = lp2p_lotus_message_build(&message, "me", 1762300000000, &rand, &json, NULL);
    LP2P_CHECK(err == LP2P_OK || err == LP2P_ELIMIT || err == LP2P_EINVAL);
    if (err != LP2P_OK) {
        /* Only by size: every text came out of valid JSON. */
        LP2P_CHECK(err == LP2P_ELIMIT);
        return;
    }
    LP2P_CHECK(lp2p_lotus_message_parse(lp2p_slice_span(&json), 1762300000000, &back, NULL) == LP2P_OK);
    LP2P_CHECK((in->view.payload == NULL) == (back.view.payload == NULL));
    LP2P_CHECK(in->view.payload == NULL || strcmp(in->view.payload, back.view.payload) == 0);
    LP2P_CHECK(in->view.protocol == NULL || strcmp(in->view.protocol, back.view.protocol) == 0);
    lp2p_lotus_message_fini(&back);
    lp2p_slice_drop(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    LP2P_CHECK(copy != NULL);
    memcpy(copy, data, size);
    uint8_t *text = realloc(copy, size > 0 ? size : 1);
    struct lp2p_lotus_message message;
    const char *why = NULL;
    enum lp2p_err err = lp2p_lotus_message_parse(lp2p_span(text, size), 0, &message, &why);
    LP2P_CHECK(why != NULL);
    LP2P_CHECK(err == LP2P_OK || (message.doc == NULL && message.payload == NULL));
    struct lp2p_lotus_message timely;
    enum lp2p_err now = lp2p_lotus_message_parse(lp2p_span(text, size), 1762300000000, &timely, &why);
    LP2P_CHECK(now == err || (err == LP2P_OK && now == LP2P_EEXPIRED)); /* the clock adds one verdict, and changes none */
    if (now == LP2P_OK) {
        lp2p_lotus_message_fini(&timely);
    }
    if (err == LP2P_OK) {
        LP2P_CHECK(message.type.len > 0 && message.from.len > 0 && message.message_id.len > 0);
        check_round_trip(&message);
        lp2p_lotus_message_fini(&message);
    }
    free(text);
    return 0;
}
