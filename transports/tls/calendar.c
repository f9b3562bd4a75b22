/* SPDX-License-Identifier: MIT */
#include "tls/calendar.h"

#include "wire/der.h"

enum { TAG_UTC = 0x17, TAG_GENERALIZED = 0x18 };

static const uint8_t MONTH_DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_of(int64_t year, int month)
{
    return MONTH_DAYS[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/** Days from 1 January of the year 1 to 1 January of this year (proleptic Gregorian, year >= 0). */
static int64_t days_before_year(int64_t year)
{
    int64_t past = year - 1;
    return past < 0 ? -366 : past * 365 + past / 4 - past / 100 + past / 400;
}

static int two_digits(const uint8_t *text)
{
    bool good = text[0] >= '0' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9';
    return good ? (text[0] - '0') * 10 + (text[1] - '0') : -1;
}

int64_t lp2p_tls_calendar_seconds(int64_t year, int month, int day, int hour, int minute, int second)
{
    int64_t days = days_before_year(year) - days_before_year(1970) + day - 1;
    for (int m = 1; m < month && m <= 12; m++) {
        days += days_of(year, m);
    }
    return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

/** "MMDDHHMMSSZ" of this year. */
static enum lp2p_err read_rest(int64_t year, const uint8_t *text, int64_t *seconds)
{
    int month = two_digits(text), day = two_digits(text + 2), hour = two_digits(text + 4);
    int minute = two_digits(text + 6), second = two_digits(text + 8);
    if (month < 1 || month > 12 || day < 1 || day > days_of(year, month) || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 59 || text[10] != 'Z') {
        return LP2P_EMALFORMED;
    }
    *seconds = lp2p_tls_calendar_seconds(year, month, day, hour, minute, second);
    return LP2P_OK;
}

enum lp2p_err lp2p_tls_calendar_take(struct lp2p_span *in, int64_t *seconds)
{
    struct lp2p_span text;
    if (lp2p_der_take(in, TAG_UTC, &text) == LP2P_OK) {
        int year = text.len == 13 ? two_digits(text.ptr) : -1;
        return year < 0 ? LP2P_EMALFORMED
                        : read_rest(year < 50 ? 2000 + year : 1900 + year, text.ptr + 2, seconds);
    }
    if (lp2p_der_take(in, TAG_GENERALIZED, &text) != LP2P_OK || text.len != 15) {
        return LP2P_EMALFORMED;
    }
    int century = two_digits(text.ptr), year = two_digits(text.ptr + 2);
    return century < 0 || year < 0 ? LP2P_EMALFORMED : read_rest(century * 100 + year, text.ptr + 4, seconds);
}

static void put_two(uint8_t *out, int value)
{
    out[0] = (uint8_t)('0' + value / 10);
    out[1] = (uint8_t)('0' + value % 10);
}

size_t lp2p_tls_calendar_put(int64_t seconds, uint8_t out[LP2P_TLS_DATE_MAX])
{
    const int64_t first = -days_before_year(1970) * 86400;
    const int64_t last = (days_before_year(10000) - days_before_year(1970)) * 86400 - 1;
    seconds = seconds < first ? first : seconds > last ? last : seconds;
    int64_t days = (seconds - first) / 86400, year = days / 366 + 1;
    int left = (int)((seconds - first) % 86400), month = 1;
    while (days_before_year(year + 1) <= days) {
        year++;
    }
    days -= days_before_year(year);
    while (days >= days_of(year, month)) {
        days -= days_of(year, month++);
    }
    bool utc = year >= 1950 && year < 2050;
    uint8_t *at = out + 2;
    if (!utc) {
        put_two(at, (int)(year / 100));
        at += 2;
    }
    put_two(at, (int)(year % 100));
    put_two(at + 2, month);
    put_two(at + 4, (int)days + 1);
    put_two(at + 6, left / 3600);
    put_two(at + 8, left / 60 % 60);
    put_two(at + 10, left % 60);
    at[12] = 'Z';
    out[0] = utc ? TAG_UTC : TAG_GENERALIZED;
    out[1] = (uint8_t)(at + 13 - out - 2);
    return (size_t)(at + 13 - out);
}
