/* SPDX-License-Identifier: MIT
 * Noise transport frames: what one end seals the other opens to the same bytes; bytes that it did not seal
 * never open, and nothing opens after them. The input is a list of frames: how long, and what is done to them
 * on the way. */
#include "noise_ends.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void carry(struct lp2p_noise *from, struct lp2p_noise *to)
{
    uint8_t wire[512];
    size_t used = 0, len = lp2p_noise_drain(from, wire, sizeof(wire), 0);
    LP2P_CHECK(lp2p_noise_feed(to, lp2p_span(wire, len), 0, &used) == LP2P_OK && used == len);
}

static void establish(struct noise_ends *ends, struct lp2p_noise *noise[2])
{
    for (int i = 0; i < 2; i++) {
        noise[i] = lp2p_noise_new(&ends->identities[i], i == 0, i == 0 ? &ends->ids[1] : NULL, &ends->rand);
    }
    carry(noise[0], noise[1]);
    carry(noise[1], noise[0]);
    carry(noise[0], noise[1]);
    for (int i = 0; i < 2; i++) {
        struct lp2p_noise_event event;
        lp2p_noise_next(noise[i], &event);
        LP2P_CHECK(event.kind == LP2P_NOISE_ESTABLISHED && event.muxer == 0);
        LP2P_CHECK(lp2p_peer_id_eq(&event.peer, &ends->ids[1 - i]));
    }
}

/** Bytes from nowhere, in memory of exactly their size. */
static void open_hostile(struct lp2p_noise *noise, struct lp2p_span in)
{
    uint8_t *frame = malloc(in.len == 0 ? 1 : in.len);
    size_t size = 0;
    struct lp2p_span plain;
    memcpy(frame, in.len == 0 ? (const uint8_t *)"" : in.ptr, in.len);
    if (lp2p_noise_frame_size(in, &size) == LP2P_OK && size != 0) {
        LP2P_CHECK(size >= LP2P_NOISE_PREFIX + LP2P_NOISE_TAG &&
                   size <= LP2P_NOISE_PREFIX + LP2P_NOISE_FRAME_MAX);
    }
    LP2P_CHECK(lp2p_noise_open(noise, frame, in.len, &plain) != LP2P_OK);
    free(frame);
}

/** One frame of the list. False: it was spoilt, and the receiver is through with it. */
static bool pass_frame(struct lp2p_noise *from, struct lp2p_noise *to, size_t len, uint8_t flip)
{
    uint8_t *frame = malloc(len + LP2P_NOISE_PREFIX + LP2P_NOISE_TAG);
    size_t size = 0;
    struct lp2p_span plain;
    memset(frame + LP2P_NOISE_PREFIX, flip, len);
    LP2P_CHECK(lp2p_noise_seal(from, frame, len, &size) == LP2P_OK);
    if (flip >= 0xf0) {
        frame[LP2P_NOISE_PREFIX + (len * flip + 7) % (len + LP2P_NOISE_TAG)] ^= flip;
        LP2P_CHECK(lp2p_noise_open(to, frame, size, &plain) == LP2P_EAUTH);
    } else {
        LP2P_CHECK(lp2p_noise_open(to, frame, size, &plain) == LP2P_OK && plain.len == len);
        for (size_t i = 0; i < len; i++) {
            LP2P_CHECK(plain.ptr[i] == flip);
        }
    }
    free(frame);
    return flip < 0xf0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct noise_ends *ends = noise_ends_get();
    struct lp2p_noise *noise[2];
    establish(ends, noise);
    bool good[2] = {true, true}; /* by receiver */
    struct lp2p_span in = lp2p_span(data, size);
    while (in.len >= 4) {
        int to = in.ptr[0] & 1;
        size_t len = ((size_t)in.ptr[1] << 8 | in.ptr[2]) % (LP2P_NOISE_PLAIN_MAX + 1);
        uint8_t flip = in.ptr[3];
        in = lp2p_span_skip(in, 4);
        if (!good[to]) {
            break;
        }
        good[to] = pass_frame(noise[1 - to], noise[to], len, flip);
    }
    open_hostile(noise[0], in);
    open_hostile(noise[1], lp2p_span(data, size));
    lp2p_noise_free(noise[0]);
    lp2p_noise_free(noise[1]);
    return 0;
}
