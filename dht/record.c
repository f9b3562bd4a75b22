/* SPDX-License-Identifier: MIT */
#include "dht/record.h"

#include "wire/pb.h"

#include "kad.pb.h"

#include <stdio.h>

#define DAY_MS UINT64_C(86400000)
#define LAST_MS UINT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

enum lp2p_err lp2p_kad_record_decode(struct lp2p_span in, struct lp2p_kad_record *out)
{
    *out = (struct lp2p_kad_record){0};
    lp2p_kadpb_Record record = lp2p_kadpb_Record_init_zero;
    record.key = lp2p_pb_read_span(&out->key);
    record.value = lp2p_pb_read_span(&out->value);
    record.timeReceived = lp2p_pb_read_span(&out->time_text);
    return lp2p_pb_decode(in, lp2p_kadpb_Record_fields, &record);
}

enum lp2p_err lp2p_kad_record_encode(const struct lp2p_kad_record *record, uint8_t *out, size_t cap,
                                     size_t *len)
{
    lp2p_kadpb_Record message = lp2p_kadpb_Record_init_zero;
    message.key = lp2p_pb_write_span(&record->key);
    message.value = lp2p_pb_write_span(&record->value);
    message.timeReceived = lp2p_pb_write_span(&record->time_text);
    return lp2p_pb_encode(lp2p_kadpb_Record_fields, &message, out, cap, len);
}

/* Civil date of a day number, counted from 1970-01-01. Years are taken to begin in March, so that the leap
 * day is the last one of its year and the lengths of the months before it follow (153 m + 2) / 5. */
static void date_of_day(uint64_t day, unsigned *year, unsigned *month, unsigned *mday)
{
    uint64_t from_0000 = day + 719468; /* days since 0000-03-01 */
    uint64_t era = from_0000 / 146097;
    unsigned in_era = (unsigned)(from_0000 % 146097);
    unsigned year_in_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year_in_era + year_in_era / 4 - year_in_era / 100);
    unsigned from_march = (5 * in_year + 2) / 153;
    *mday = in_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march < 10 ? from_march + 3 : from_march - 9;
    *year = (unsigned)(era * 400) + year_in_era + (*month <= 2 ? 1 : 0);
}

static uint64_t day_of_date(unsigned year, unsigned month, unsigned mday)
{
    unsigned y = month <= 2 ? year - 1 : year;
    unsigned from_march = month > 2 ? month - 3 : month + 9;
    uint64_t era = y / 400;
    unsigned year_in_era = y % 400;
    unsigned in_year = (153 * from_march + 2) / 5 + mday - 1;
    uint64_t in_era = (uint64_t)year_in_era * 365 + year_in_era / 4 - year_in_era / 100 + in_year;
    return era * 146097 + in_era - 719468;
}

void lp2p_kad_time_text(uint64_t unix_ms, char out[LP2P_KAD_TIME_TEXT_MAX])
{
    unix_ms = unix_ms > LAST_MS ? LAST_MS : unix_ms;
    unsigned year, month, mday;
    date_of_day(unix_ms / DAY_MS, &year, &month, &mday);
    unsigned in_day = (unsigned)(unix_ms % DAY_MS);
    snprintf(out, LP2P_KAD_TIME_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03u000000Z", year % 10000,
             month % 100, mday % 100, in_day / 3600000 % 100, in_day / 60000 % 60, in_day / 1000 % 60,
             in_day % 1000);
}

/* Takes `digits` decimal digits and then `end` (0: nothing) off the front. */
static bool take_number(struct lp2p_span *text, unsigned digits, char end, unsigned *value)
{
    *value = 0;
    if (text->len < digits + (end != 0)) {
        return false;
    }
    for (unsigned i = 0; i < digits; i++) {
        if (text->ptr[i] < '0' || text->ptr[i] > '9') {
            return false;
        }
        *value = *value * 10 + (unsigned)(text->ptr[i] - '0');
    }
    if (end != 0 && text->ptr[digits] != (uint8_t)end) {
        return false;
    }
    *text = lp2p_span_skip(*text, digits + (end != 0));
    return true;
}

static bool take_fraction(struct lp2p_span *text, unsigned *ms)
{
    *ms = 0;
    if (text->len == 0 || text->ptr[0] != '.') {
        return true;
    }
    *text = lp2p_span_skip(*text, 1);
    unsigned digits = 0;
    while (text->len > 0 && text->ptr[0] >= '0' && text->ptr[0] <= '9') {
        if (digits < 3) {
            *ms = *ms * 10 + (unsigned)(text->ptr[0] - '0');
        }
        digits++;
        *text = lp2p_span_skip(*text, 1);
    }
    for (unsigned i = digits; i < 3; i++) {
        *ms *= 10;
    }
    return digits >= 1 && digits <= 9;
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

enum lp2p_err lp2p_kad_time_parse(struct lp2p_span text, uint64_t *unix_ms)
{
    unsigned year, month, mday, hour, minute, second, ms;
    if (!take_number(&text, 4, '-', &year) || !take_number(&text, 2, '-', &month) ||
        !take_number(&text, 2, 'T', &mday) || !take_number(&text, 2, ':', &hour) ||
        !take_number(&text, 2, ':', &minute) || !take_number(&text, 2, 0, &second) ||
        !take_fraction(&text, &ms) || !lp2p_span_eq_str(text, "Z")) {
        return LP2P_EMALFORMED;
    }
    if (year < 1970 || month < 1 || month > 12 || mday < 1 || mday > month_days(year, month) || hour > 23 ||
        minute > 59 || second > 60) {
        return LP2P_EMALFORMED;
    }
    uint64_t seconds = day_of_date(year, month, mday) * 86400 + hour * 3600u + minute * 60u + second;
    *unix_ms = seconds * 1000 + ms;
    return LP2P_OK;
}
