/* SPDX-License-Identifier: MIT */
#include "actors/protocols/builtins.h"

#include "actors/protocols/identify.h"
#include "actors/protocols/ping.h"
#include "actors/protocols/serve.h"

#include <stdio.h>

size_t lp2p_builtin_protocols(const struct lp2p_config *config, int resident,
                              struct lp2p_protocol_entry out[LP2P_BUILTINS_MAX])
{
    /* streams_in_max is for one connection: peers need one or two of the first three, and come one after the
     * other. */
    const struct {
        const char *id;
        int resident;
        unsigned streams_in_max;
        bool wanted;
    } table[] = {
        {LP2P_IDENTIFY_PROTOCOL, LP2P_RESIDENT_IDENTIFY, 4, true},
        {LP2P_IDENTIFY_PUSH_PROTOCOL, LP2P_RESIDENT_IDENTIFY, 4, true},
        {LP2P_PING_PROTOCOL, LP2P_RESIDENT_PING, 4, true},
        {LP2P_ECHO_PROTOCOL, LP2P_RESIDENT_SERVE, 1024, config->serve_echo},
        {LP2P_PERF_PROTOCOL, LP2P_RESIDENT_SERVE, 64, config->serve_perf},
    };
    size_t len = 0;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(table); i++) {
        if (table[i].wanted && (resident == LP2P_RESIDENT_NONE || resident == table[i].resident)) {
            struct lp2p_protocol_entry *entry = &out[len++];
            *entry = (struct lp2p_protocol_entry){.resident = table[i].resident,
                                                  .streams_in_max = table[i].streams_in_max};
            (void)snprintf(entry->id, sizeof(entry->id), "%s", table[i].id);
        }
    }
    return len;
}
