/* SPDX-License-Identifier: MIT */
#include "tls/backend.h"

const struct lp2p_tls_backend *lp2p_tls_backend_default(void)
{
#ifdef LP2P_TLS_OPENSSL
    return &lp2p_tls_openssl;
#else
    return &lp2p_tls_mbedtls;
#endif
}
