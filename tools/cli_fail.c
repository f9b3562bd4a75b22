/* SPDX-License-Identifier: MIT
 * What went wrong, on which address, at which stage, and why. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS_MAX 16

/* One address that was tried; texts are cut out of the detail of the operation. */
struct attempt {
    char address[LP2P_ADDR_TEXT_MAX + LP2P_PEER_TEXT_MAX];
    const char *stage;
    char text[256];
};

/* The stages of lp2p's output, from the words of the library. */
static const char *stage_name(const char *word, size_t len)
{
    static const struct {
        const char *word, *stage;
    } table[] = {{"address", "address"},      {"dns", "address"}, {"connect", "connect"}, {"still trying", "connect"},
                 {"ws", "connect"},           {"wss", "connect"},      {"pnet", "security"},
                 {"multistream", "security"}, {"noise", "security"},  {"tls", "security"},
                 {"muxer", "muxer"},
                 {"identify", "identify"}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (strlen(table[i].word) == len && memcmp(table[i].word, word, len) == 0) {
            return table[i].stage;
        }
    }
    return NULL;
}

static const char *find_colon(const char *from, const char *end)
{
    for (const char *at = from; at + 1 < end; at++) {
        if (at[0] == ':' && at[1] == ' ') {
            return at;
        }
    }
    return NULL;
}

/* "ADDRESS: STAGE: WHAT"; the address gets the peer id of the target behind it, as it was dialed. */
static bool parse_attempt(const char *from, const char *end, const char *target, struct attempt *out)
{
    const char *first = from[0] == '/' ? find_colon(from, end) : NULL;
    const char *second = first == NULL ? NULL : find_colon(first + 2, end);
    out->stage = second == NULL ? NULL : stage_name(first + 2, (size_t)(second - first - 2));
    if (out->stage == NULL) {
        return false;
    }
    const char *peer = target[0] == '/' ? strstr(target, "/p2p/") : NULL;
    bool has_peer = memmem(from, (size_t)(first - from), "/p2p/", 5) != NULL;
    (void)snprintf(out->address, sizeof(out->address), "%.*s%s%s", (int)(first - from), from,
                   has_peer           ? ""
                   : peer != NULL     ? peer
                   : target[0] == '/' ? ""
                                      : "/p2p/",
                   has_peer || target[0] == '/' ? "" : target);
    (void)snprintf(out->text, sizeof(out->text), "%.*s", (int)(end - second - 2), second + 2);
    if (memcmp(first + 2, "noise", 5) == 0 && strcmp(out->text, lp2p_strerror(LP2P_ENEGOTIATION)) == 0) {
        out->stage = "muxer"; /* the Noise handshake carries the lists of muxers */
    }
    return true;
}

static size_t parse_attempts(const char *detail, const char *target, struct attempt *out, size_t cap)
{
    size_t len = 0;
    while (detail[0] != '\0' && len < cap) {
        const char *next = strstr(detail, "; /");
        const char *end = next == NULL ? detail + strlen(detail) : next;
        if (!parse_attempt(detail, end, target, &out[len])) {
            break;
        }
        len++;
        detail = next == NULL ? end : next + 2;
    }
    return len;
}

/* The text of a code that an attempt ended with is one of the table; the code is what has it. */
static const char *code_of_text(const char *text)
{
    for (int code = -1; code > -200; code--) {
        if (strcmp(lp2p_strerror((enum lp2p_err)code), text) == 0) {
            return lp2p_errname((enum lp2p_err)code);
        }
    }
    return "";
}

static const char *stage_of_code(enum lp2p_err code)
{
    switch (code) {
    case LP2P_ENEGOTIATION:
        return "protocol";
    case LP2P_ERESET:
        return "stream";
    case LP2P_ENOADDR:
        return "address";
    default:
        return NULL;
    }
}

/* What the user can do about it, by how far it came; NULL: nothing that the text does not say. */
static const char *hint_of(enum lp2p_err code, const char *stage)
{
    static const char *const strange[] = {"connect", "security"};
    static const struct {
        const char *stage;
        enum lp2p_err code;
        const char *hint;
    } table[] = {
        {"address", LP2P_ENOTFOUND, "check the name, or give other name servers with --dns-servers"},
        {"address", LP2P_EUNSUPPORTED, "TCP, /ws and /wss addresses can be dialed"},
        {"connect", LP2P_ECONNREFUSED, "nobody listens there, or a firewall refuses: check the address, and that the peer runs"},
        {"connect", LP2P_ETIMEDOUT, "nothing answers there: check the address and the firewalls in between"},
        {"connect", LP2P_EUNREACHABLE, "this machine has no route there: check its network, and the kind of the address (/ip4, /ip6)"},
        {"security", LP2P_EWRONGPEER, "if this is the right machine, end the address in /p2p/ and the id that it proved"},
        {"security", LP2P_ENEGOTIATION, "--security noise,tls offers all secure channels"},
        {"muxer", LP2P_ENEGOTIATION, "--muxers yamux,mplex offers all muxers"},
        {"protocol", LP2P_ENEGOTIATION, "the peer does not serve this protocol; `lp2p identify` shows what it speaks"},
    };
    for (size_t i = 0; stage != NULL && i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].code == code && strcmp(table[i].stage, stage) == 0) {
            return table[i].hint;
        }
    }
    /* It answers, but not as expected. */
    bool answered = code == LP2P_EMALFORMED || code == LP2P_ETRUNCATED || code == LP2P_EEOF || code == LP2P_ECONNRESET;
    if (answered && stage != NULL && strcmp(stage, strange[0]) == 0) {
        return "no WebSocket of this kind is there: is it plain TCP, or /ws in place of /wss, or the other way round?";
    }
    if (answered && stage != NULL && strcmp(stage, strange[1]) == 0) {
        return "what is there does not speak so: is it a WebSocket (/ws, /wss), or in a private network (--psk-file)?";
    }
    return NULL;
}

void failure_of_op(struct failure *failure, const struct lp2p_op *op, const char *target)
{
    *failure = (struct failure){.code = lp2p_op_result(op), .address = target};
    failure->stage = stage_of_code(failure->code);
    (void)snprintf(failure->detail, sizeof(failure->detail), "%s", lp2p_op_detail(op));
}

static void add_attempts(struct line *line, const struct attempt *attempts, size_t len)
{
    yyjson_mut_val *array = yyjson_mut_arr(line->doc);
    for (size_t i = 0; i < len; i++) {
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(line->doc, array);
        yyjson_mut_obj_add_strcpy(line->doc, one, "address", attempts[i].address);
        yyjson_mut_obj_add_str(line->doc, one, "stage", attempts[i].stage);
        const char *code = code_of_text(attempts[i].text);
        if (code[0] != '\0') {
            yyjson_mut_obj_add_strcpy(line->doc, one, "code", code);
        }
        yyjson_mut_obj_add_strcpy(line->doc, one, "text", attempts[i].text);
    }
    yyjson_mut_obj_add_val(line->doc, line->root, "attempts", array);
}

int cli_fail(const struct cli *cli, const struct failure *failure, struct line *line)
{
    struct attempt *attempts = calloc(ATTEMPTS_MAX, sizeof(*attempts));
    const char *target = failure->address == NULL ? "" : failure->address;
    size_t len = attempts == NULL ? 0 : parse_attempts(failure->detail, target, attempts, ATTEMPTS_MAX);
    const char *stage = len > 0 ? attempts[len - 1].stage : failure->stage;
    const char *address = len > 0 ? attempts[len - 1].address : target;
    const char *hint = hint_of(failure->code, stage);
    progress_end(cli);
    if (cli->json) {
        struct line own = line_new("error");
        line_str(&own, "command", cli->command);
        line_bool(&own, "ok", false);
        line_str(&own, "code", lp2p_errname(failure->code));
        line_str(&own, "text", lp2p_strerror(failure->code));
        line_str(&own, "stage", stage);
        line_str(&own, "address", address);
        line_str(&own, "detail", failure->detail);
        line_str(&own, "hint", hint);
        if (len > 1) {
            add_attempts(&own, attempts, len);
        }
        yyjson_mut_val *key, *value;
        yyjson_mut_obj_iter it;
        if (line != NULL) {
            yyjson_mut_obj_iter_init(line->root, &it);
            while ((key = yyjson_mut_obj_iter_next(&it)) != NULL) {
                value = yyjson_mut_obj_iter_get_val(key);
                if (yyjson_mut_obj_get(own.root, yyjson_mut_get_str(key)) == NULL) {
                    yyjson_mut_obj_add(own.root, yyjson_mut_val_mut_copy(own.doc, key),
                                       yyjson_mut_val_mut_copy(own.doc, value));
                }
            }
        }
        line_print(&own);
    }
    const char *reason = lp2p_strerror(failure->code);
    bool says_it = address[0] == '\0' && stage == NULL && strstr(failure->detail, reason) != NULL;
    fprintf(stderr, "%s%s%s%s%s", cli->program, cli->command == NULL ? "" : " ", cli->command == NULL ? "" : cli->command,
            says_it ? "" : ": ", says_it ? "" : reason);
    if (address[0] != '\0' || stage != NULL) {
        fprintf(stderr, " (");
        put_clean(stderr, address, strlen(address));
        fprintf(stderr, "%s%s%s)", address[0] != '\0' && stage != NULL ? ", " : "",
                stage != NULL ? "stage " : "", stage != NULL ? stage : "");
    }
    /* Of one address everything but the reason is told already. */
    const char *detail = len == 1 ? attempts[0].text : failure->detail;
    if (detail[0] != '\0' && (says_it || strcmp(detail, reason) != 0)) {
        fprintf(stderr, ": ");
        put_clean(stderr, detail, strlen(detail));
    }
    fputc('\n', stderr);
    if (hint != NULL) {
        fprintf(stderr, "hint: %s\n", hint);
    }
    if (line != NULL) {
        yyjson_mut_doc_free(line->doc);
    }
    free(attempts);
    return CLI_FAILED;
}

int cli_fail_code(const struct cli *cli, enum lp2p_err code, const char *format, ...)
{
    struct failure failure = {.code = code, .stage = stage_of_code(code)};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(failure.detail, sizeof(failure.detail), format, args);
    va_end(args);
    return cli_fail(cli, &failure, NULL);
}

struct line cli_result(const struct cli *cli)
{
    progress_end(cli);
    struct line line = line_new("result");
    line_str(&line, "command", cli->command);
    line_bool(&line, "ok", true);
    return line;
}
