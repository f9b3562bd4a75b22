/* SPDX-License-Identifier: MIT
 * The bare socket as a carrier: every call is the network's own. */
#include "actors/link/carrier.h"

#include <stdlib.h>

static enum lp2p_err tcp_set_up(struct lp2p_carrier *carrier, lp2p_time now)
{
    (void)carrier, (void)now;
    return LP2P_OK;
}

static enum lp2p_err tcp_read(struct lp2p_carrier *carrier, void *out, size_t len, size_t *got)
{
    return carrier->net->read(carrier->net->ctx, carrier->fd, out, len, got);
}

static enum lp2p_err tcp_writev(struct lp2p_carrier *carrier, const struct iovec *iov, int iov_len, size_t *put)
{
    enum lp2p_err err = carrier->net->writev(carrier->net->ctx, carrier->fd, iov, iov_len, put);
    carrier->sent_bytes += *put;
    return err;
}

static void tcp_close(struct lp2p_carrier *carrier)
{
    carrier->net->close(carrier->net->ctx, carrier->fd);
    free(carrier);
}

static const struct lp2p_carrier_ops tcp_ops = {
    .name = "tcp",
    .set_up = tcp_set_up,
    .read = tcp_read,
    .writev = tcp_writev,
    .close = tcp_close,
};

struct lp2p_carrier *lp2p_carrier_tcp(const struct lp2p_net *net, int fd)
{
    struct lp2p_carrier *carrier = malloc(sizeof(*carrier));
    if (carrier != NULL) {
        *carrier = (struct lp2p_carrier){&tcp_ops, net, fd, sizeof(*carrier), carrier, 0};
    }
    return carrier;
}
