/* SPDX-License-Identifier: MIT
 * Dates of certificates (RFC 5280 section 4.1.2.5) from and to seconds since 1970, without asking a clock or
 * a time zone. Private to the room. Pure functions. */
#ifndef LP2P_TLS_CALENDAR_H
#define LP2P_TLS_CALENDAR_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_TLS_DATE_MAX 17 /* bytes of a date with its tag and length */

/** Seconds since 1970 of a valid date (year >= 0, month and day from 1). */
int64_t lp2p_tls_calendar_seconds(int64_t year, int month, int day, int hour, int minute, int second);
/** Takes a UTCTime or GeneralizedTime, to the second and in UTC, off the front of *in. EMALFORMED. */
enum lp2p_err lp2p_tls_calendar_take(struct lp2p_span *in, int64_t *seconds) LP2P_MUST_CHECK;
/** Writes a date in the form that its year demands; years 1 to 9999, others are moved to the nearest. Returns
 * the bytes. */
size_t lp2p_tls_calendar_put(int64_t seconds, uint8_t out[LP2P_TLS_DATE_MAX]);

#endif
