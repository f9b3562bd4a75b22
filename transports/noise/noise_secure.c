/* SPDX-License-Identifier: MIT
 * Noise behind the interface of all secure channels: each call is one of noise.h. */
#include "noise/noise.h"

/** The interface's part is the channel's first member. */
static struct lp2p_noise *noise_of(struct lp2p_secure *secure)
{
    return (struct lp2p_noise *)(void *)secure;
}

static struct lp2p_secure *start(const struct lp2p_secure_start *start)
{
    return (struct lp2p_secure *)(void *)lp2p_noise_new(start->identity, start->initiator, start->expected,
                                                        start->rand);
}

static void noise_free(struct lp2p_secure *secure)
{
    lp2p_noise_free(noise_of(secure));
}

static enum lp2p_err feed(struct lp2p_secure *secure, struct lp2p_span in, lp2p_time now, size_t *used)
{
    return lp2p_noise_feed(noise_of(secure), in, now, used);
}

static void next(struct lp2p_secure *secure, struct lp2p_secure_event *event)
{
    struct lp2p_noise_event told;
    lp2p_noise_next(noise_of(secure), &told);
    *event = (struct lp2p_secure_event){.reason = told.reason, .peer = told.peer, .muxer = told.muxer};
    switch (told.kind) {
    case LP2P_NOISE_NONE:
        event->kind = LP2P_SECURE_NONE;
        break;
    case LP2P_NOISE_ESTABLISHED:
        event->kind = LP2P_SECURE_ESTABLISHED;
        break;
    case LP2P_NOISE_FAILED:
        event->kind = LP2P_SECURE_FAILED;
        break;
    }
}

static size_t drain(struct lp2p_secure *secure, uint8_t *out, size_t cap, lp2p_time now)
{
    return lp2p_noise_drain(noise_of(secure), out, cap, now);
}

static enum lp2p_err open_frame(struct lp2p_secure *secure, uint8_t *frame, size_t size, struct lp2p_span *plain)
{
    return lp2p_noise_open(noise_of(secure), frame, size, plain);
}

static enum lp2p_err seal_frame(struct lp2p_secure *secure, uint8_t *frame, size_t plain_len, size_t *size)
{
    return lp2p_noise_seal(noise_of(secure), frame, plain_len, size);
}

static enum lp2p_err seal_parts(struct lp2p_secure *secure, uint8_t *frame, size_t plain_len,
                                const struct lp2p_secure_part *parts, size_t parts_len, size_t *size)
{
    return lp2p_noise_seal_parts(noise_of(secure), frame, plain_len, parts, parts_len, size);
}

const struct lp2p_secure_ops lp2p_noise_secure = {
    .protocol = "/noise",
    .head = LP2P_NOISE_PREFIX,
    .tail = LP2P_NOISE_TAG,
    .plain_max = LP2P_NOISE_PLAIN_MAX,
    .start = start,
    .free = noise_free,
    .feed = feed,
    .next = next,
    .drain = drain,
    .frame_size = lp2p_noise_frame_size,
    .open = open_frame,
    .seal = seal_frame,
    .seal_parts = seal_parts,
};
