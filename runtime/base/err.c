/* SPDX-License-Identifier: MIT */
#include "base/err.h"

const char *lp2p_strerror(enum lp2p_err err)
{
    switch (err) {
#define LP2P_ERR(name, code, fault, text) \
    case LP2P_##name:                     \
        return text;
#include "base/err.def"
#undef LP2P_ERR
    }
    return "unknown error";
}

const char *lp2p_errname(enum lp2p_err err)
{
    switch (err) {
#define LP2P_ERR(name, code, fault, text) \
    case LP2P_##name:                     \
        return #name;
#include "base/err.def"
#undef LP2P_ERR
    }
    return "EUNKNOWN";
}

enum lp2p_fault lp2p_err_fault(enum lp2p_err err)
{
    switch (err) {
#define LP2P_ERR(name, code, fault, text) \
    case LP2P_##name:                     \
        return LP2P_FAULT_##fault;
#include "base/err.def"
#undef LP2P_ERR
    }
    return LP2P_FAULT_OURS;
}
