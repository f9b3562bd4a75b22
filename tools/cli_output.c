/* SPDX-License-Identifier: MIT
 * Lines for people and for machines. */
#include "cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- JSON lines */

struct line line_new(const char *event)
{
    struct line line = {.doc = yyjson_mut_doc_new(NULL)};
    line.root = line.doc == NULL ? NULL : yyjson_mut_obj(line.doc);
    if (line.root == NULL) {
        fputs("out of memory\n", stderr);
        exit(CLI_FAILED);
    }
    yyjson_mut_doc_set_root(line.doc, line.root);
    line_str(&line, "event", event);
    return line;
}

void line_str(struct line *line, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        yyjson_mut_obj_add_strcpy(line->doc, line->root, name, text);
    }
}

void line_uint(struct line *line, const char *name, uint64_t value)
{
    yyjson_mut_obj_add_uint(line->doc, line->root, name, value);
}

void line_real(struct line *line, const char *name, double value)
{
    yyjson_mut_obj_add_real(line->doc, line->root, name, round(value * 1000) / 1000);
}

void line_ms(struct line *line, const char *name, uint64_t ns)
{
    line_real(line, name, (double)ns / 1e6);
}

void line_bool(struct line *line, const char *name, bool value)
{
    yyjson_mut_obj_add_bool(line->doc, line->root, name, value);
}

static yyjson_mut_val *strs(yyjson_mut_doc *doc, const char *const *texts, size_t len)
{
    yyjson_mut_val *array = yyjson_mut_arr(doc);
    for (size_t i = 0; i < len; i++) {
        yyjson_mut_arr_add_strcpy(doc, array, texts[i]);
    }
    return array;
}

void line_strs(struct line *line, const char *name, const char *const *texts, size_t len)
{
    yyjson_mut_obj_add_val(line->doc, line->root, name, strs(line->doc, texts, len));
}

void line_base64(struct line *line, const char *name, const void *bytes, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = bytes;
    char *text = malloc((len + 2) / 3 * 4 + 1), *to = text;
    if (text == NULL) {
        return;
    }
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t group =
            (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (n > 2 ? in[i + 2] : 0);
        for (size_t j = 0; j < 4; j++) {
            *to++ = j <= n ? alphabet[group >> (18 - 6 * j) & 63] : '=';
        }
    }
    *to = '\0';
    yyjson_mut_obj_add(line->root, yyjson_mut_strcpy(line->doc, name), yyjson_mut_strcpy(line->doc, text));
    free(text);
}

/* The writer refuses a string that is not UTF-8: so it is asked. */
static bool is_utf8(const void *bytes, size_t len)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, yyjson_mut_strn(doc, bytes, len));
    char *text = yyjson_mut_write(doc, 0, NULL);
    free(text);
    yyjson_mut_doc_free(doc);
    return text != NULL;
}

void line_bytes(struct line *line, const char *name, const void *bytes, size_t len)
{
    char base64[64];
    (void)snprintf(base64, sizeof(base64), "%s_base64", name);
    if (is_utf8(bytes, len)) {
        yyjson_mut_obj_add_strncpy(line->doc, line->root, name, bytes, len);
    }
    line_base64(line, base64, bytes, len);
}

void line_json(struct line *line, const char *name, const char *json, size_t len)
{
    /* Numbers are kept as they are written: what JavaScript wrote is not to be rounded here. */
    yyjson_doc *doc = yyjson_read(json, len, YYJSON_READ_NUMBER_AS_RAW);
    yyjson_mut_val *value = doc == NULL ? NULL : yyjson_val_mut_copy(line->doc, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    if (value != NULL) {
        yyjson_mut_obj_add_val(line->doc, line->root, name, value);
    }
}

void line_peers(struct line *line, const char *name, const struct lp2p_peer *peers, size_t len)
{
    yyjson_mut_val *array = yyjson_mut_arr(line->doc);
    for (size_t i = 0; i < len; i++) {
        yyjson_mut_val *peer = yyjson_mut_arr_add_obj(line->doc, array);
        yyjson_mut_obj_add_strcpy(line->doc, peer, "peer", peers[i].id);
        yyjson_mut_obj_add_val(line->doc, peer, "addrs", strs(line->doc, peers[i].addrs, peers[i].addrs_len));
    }
    yyjson_mut_obj_add_val(line->doc, line->root, name, array);
}

void line_print(struct line *line)
{
    char *text = yyjson_mut_write(line->doc, 0, NULL);
    if (text != NULL) {
        puts(text);
        (void)fflush(stdout);
    }
    free(text);
    yyjson_mut_doc_free(line->doc);
    *line = (struct line){0};
}

/* ---- text */

/* Bytes of a sequence that a terminal could take amiss at the front: control characters, C1, bidirectional
 * marks; 0: none. */
static size_t harmful(const unsigned char *text, size_t len)
{
    if (text[0] < 0x20 || text[0] == 0x7F) {
        return 1;
    }
    if (len >= 2 && text[0] == 0xC2 && text[1] < 0xA0) {
        return 2;
    }
    if (len >= 3 && text[0] == 0xE2 &&
        ((text[1] == 0x80 &&
          ((text[2] >= 0x8E && text[2] <= 0x8F) || (text[2] >= 0xA8 && text[2] <= 0xAE))) ||
         (text[1] == 0x81 && text[2] >= 0xA6 && text[2] <= 0xA9))) {
        return 3;
    }
    return 0;
}

void put_clean(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t bad = harmful((const unsigned char *)text + i, len - i);
        fputc(bad > 0 ? '?' : text[i], out);
        i += bad > 0 ? bad : 1;
    }
}

void say(const struct cli *cli, const char *format, ...)
{
    if (cli->json) {
        return;
    }
    char text[4096];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len > 0) {
        put_clean(stdout, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
    }
    putchar('\n');
    (void)fflush(stdout);
}

/* ---- progress */

uint64_t cli_clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t progress_last;
static bool progress_shown;

void progress(const struct cli *cli, uint64_t done, uint64_t total, const char *unit)
{
    uint64_t now = cli_clock_ns();
    if (progress_last == 0) {
        progress_last = now; /* what is done within a second needs no progress */
    }
    if (now - progress_last < 1000000000u) {
        return;
    }
    progress_last = now;
    if (cli->json) {
        struct line line = line_new("progress");
        line_str(&line, "command", cli->command);
        line_uint(&line, "done", done);
        if (total > 0) {
            line_uint(&line, "total", total);
        }
        line_str(&line, "unit", unit);
        line_print(&line);
    } else if (isatty(STDERR_FILENO) || cli->progress) {
        progress_shown = true;
        const char *start = isatty(STDERR_FILENO) ? "\r" : "", *end = isatty(STDERR_FILENO) ? "   " : "\n";
        if (total > 0) {
            fprintf(stderr, "%s%s: %llu of %llu %s%s", start, cli->command, (unsigned long long)done,
                    (unsigned long long)total, unit, end);
        } else {
            fprintf(stderr, "%s%s: %llu %s%s", start, cli->command, (unsigned long long)done, unit, end);
        }
    }
}

void progress_end(const struct cli *cli)
{
    if (progress_shown && !cli->json && isatty(STDERR_FILENO)) {
        fputc('\n', stderr);
    }
    progress_shown = false;
}
