/* SPDX-License-Identifier: MIT
 * The one bounded reader of `uvarint length + message`, used by every protocol that frames this way (identify, kad, ...).
 * Pure state; memory is taken as bytes arrive and never more than the declared (and allowed) length. */
#ifndef LP2P_WIRE_FRAME_H
#define LP2P_WIRE_FRAME_H

#include "base/err.h"
#include "base/span.h"

struct lp2p_frame_reader {
    size_t max; /* largest message accepted, bytes */
    uint8_t prefix[9], prefix_len;
    uint8_t *body; /* growing buffer of the message under way; NULL between messages */
    size_t body_len, body_cap, want; /* want: declared length */
    int have_want; /* 0 between messages, 1 inside of one, negative: the error that ended the reader */
};

void lp2p_frame_reader_init(struct lp2p_frame_reader *reader, size_t max);
/** Frees what is buffered. */
void lp2p_frame_reader_fini(struct lp2p_frame_reader *reader);
/** Takes bytes off the front of *in. OK: *message is complete, valid until the next call (it may point into the input).
 *  EAGAIN: all of *in was taken, more is needed. EOVERSIZE, EMALFORMED, ENOMEM end the reader. */
enum lp2p_err lp2p_frame_read(struct lp2p_frame_reader *reader, struct lp2p_span *in, struct lp2p_span *message) LP2P_MUST_CHECK;
/** True between messages: an end of the stream here is a clean one. */
bool lp2p_frame_reader_idle(const struct lp2p_frame_reader *reader);
/** Writes the length prefix for a message of len bytes to out (9 bytes); returns its size. */
size_t lp2p_frame_prefix(uint8_t *out, size_t len);

#endif
