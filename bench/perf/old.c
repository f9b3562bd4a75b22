/* SPDX-License-Identifier: MIT
 * The old contract: perf --run-server --server-address IP:PORT, or perf --server-address IP:PORT --transport
 * tcp
 * --upload-bytes N --download-bytes N. One JSON object a second on standard output, and one at the end. */
#include "perf.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    uint64_t begun, last, last_up, last_down;
} told;

static void print_line(const char *type, uint64_t since, uint64_t now, uint64_t up, uint64_t down)
{
    (void)printf("{\"type\":\"%s\",\"timeSeconds\":%.9f,\"uploadBytes\":%" PRIu64
                 ",\"downloadBytes\":%" PRIu64 "}\n",
                 type, (double)(now - since) / 1e9, up, down);
    (void)fflush(stdout); /* the runner ends this program with a signal */
}

static void on_progress(uint64_t uploaded, uint64_t downloaded)
{
    uint64_t now = contract_now_ns();
    if (now - told.last >= 1000000000u - 20000000u) { /* a little early: a line has to come every second */
        print_line("intermediary", told.last, now, uploaded - told.last_up, downloaded - told.last_down);
        told.last = now;
        told.last_up = uploaded;
        told.last_down = downloaded;
    }
}

/** IP:PORT as a multiaddr. */
static void to_multiaddr(const char *address, char *out, size_t cap)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL) {
        contract_die("--server-address", "expected IP:PORT");
    }
    bool six = address[0] == '[';
    int len = (int)(colon - address) - (six ? 2 : 0);
    (void)snprintf(out, cap, "/%s/%.*s/tcp/%s", six ? "ip6" : "ip4", len, address + (six ? 1 : 0), colon + 1);
}

/** PrivateKey {type Ed25519, 64 bytes}: a seed of zeros and its public key, which go's clients expect of a
 * server. */
static const uint8_t FIXED_KEY[4 + 64] = {0x08, 0x01, 0x12, 0x40, [36] = 0x3b, 0x6a, 0x27, 0xbc, 0xce,
                                          0xb6, 0xa4, 0x2d, 0x62, 0xa3,        0xa8, 0xd0, 0x2a, 0x6f,
                                          0x0d, 0x73, 0x65, 0x32, 0x15,        0x77, 0x1d, 0xe2, 0x43,
                                          0xa6, 0x3a, 0xc0, 0x48, 0xa1,        0x8b, 0x59, 0xda, 0x29};

static const char USAGE[] =
    "usage: perf --run-server --server-address IP:PORT\n"
    "       perf --server-address IP:PORT [--transport tcp] [--upload-bytes N] [--download-bytes N]\n"
    "without arguments: the environment of the unified contract (IS_DIALER, REDIS_ADDR, TEST_KEY, ..)\n";

int perf_old(int argc, char **argv)
{
    static const struct option names[] = {{"run-server", optional_argument, NULL, 'r'},
                                          {"server-address", required_argument, NULL, 'a'},
                                          {"transport", required_argument, NULL, 't'},
                                          {"upload-bytes", required_argument, NULL, 'u'},
                                          {"download-bytes", required_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    const char *address = NULL, *transport = "tcp";
    char addr[LP2P_ADDR_TEXT_MAX], peer[LP2P_PEER_TEXT_MAX];
    uint64_t upload = 0, download = 0;
    bool server = false;
    for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
        switch (c) {
        case 'r':
            server = optarg == NULL || strcmp(optarg, "true") == 0;
            break;
        case 'a':
            address = optarg;
            break;
        case 't':
            transport = optarg;
            break;
        case 'u':
            upload = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            download = strtoull(optarg, NULL, 10);
            break;
        default:
            (void)fputs(USAGE, c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    /* `--run-server true` has its value behind a space, which getopt leaves over. */
    if (optind < argc && strcmp(argv[optind], "true") != 0) {
        server = server && strcmp(argv[optind], "false") != 0;
    }
    if (address == NULL) {
        (void)fputs(USAGE, stderr);
        return 2;
    }
    if (strcmp(transport, "tcp") != 0) {
        contract_die("--transport", "only tcp");
    }
    to_multiaddr(address, addr, sizeof(addr));
    if (server) {
        struct lp2p_node *node = contract_start(&(struct contract_setup){
            .listen = addr, .serve = "perf", .key = FIXED_KEY, .key_len = sizeof(FIXED_KEY)});
        int code = contract_wait_end(UINT64_MAX); /* until it is killed */
        lp2p_node_free(node);
        return code;
    }
    struct lp2p_node *node = contract_start(&(struct contract_setup){.listen = NULL});
    told.begun = told.last = contract_now_ns();
    contract_connect(node, addr, PERF_WAIT_MS, peer);
    perf_transfer(node, peer, upload, download, on_progress);
    print_line("final", told.begun, contract_now_ns(), upload, download);
    lp2p_node_free(node);
    return 0;
}
