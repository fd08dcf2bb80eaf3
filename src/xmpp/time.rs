//! Dates and times (XEP-0082 1.1), and the older form of XEP-0091 for writing. Times are milliseconds since 1970 in UTC, without leap seconds.

/// The last millisecond of the year 9999: no time of XEP-0082 is later.
pub const LATEST_MS: u64 = 253_402_300_799_999;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// DateTime (XEP-0082 §3.2) in UTC: `2026-11-22T12:56:01.123Z`, without the fraction when it is zero. Later than [`LATEST_MS`] is written as that.
pub fn format(ms: u64) -> String {
    let mut text = String::with_capacity(24);
    write(&mut text, ms);
    text
}

/// Appends what [`format`] gives.
pub fn write(out: &mut String, ms: u64) {
    write_date(out, ms, true);
    out.push('T');
    write_time(out, ms);
    let fraction = ms.min(LATEST_MS) % 1000;
    if fraction != 0 {
        out.push('.');
        write_number(out, fraction, 3);
    }
    out.push('Z');
}

/// Date (XEP-0082 §3.1) in UTC: `2026-11-22`.
pub fn format_date(ms: u64) -> String {
    let mut text = String::with_capacity(10);
    write_date(&mut text, ms, true);
    text
}

/// The form of XEP-0091 in UTC: `20261122T12:56:01`, for clients that know no other.
pub fn format_legacy(ms: u64) -> String {
    let mut text = String::with_capacity(17);
    write_date(&mut text, ms, false);
    text.push('T');
    write_time(&mut text, ms);
    text
}

/// Reads a DateTime with `Z` or an offset, with or without a fraction (cut to milliseconds). `None` for anything else, for days and
/// times that do not exist (leap seconds among them), and for times before 1970.
pub fn parse(text: &str) -> Option<u64> {
    let mut rest = text.as_bytes();
    let day = take_date(&mut rest)?;
    take_byte(&mut rest, b'T')?;
    let hour = take_number(&mut rest, 2).filter(|hour| *hour < 24)?;
    take_byte(&mut rest, b':')?;
    let minute = take_number(&mut rest, 2).filter(|minute| *minute < 60)?;
    take_byte(&mut rest, b':')?;
    let second = take_number(&mut rest, 2).filter(|second| *second < 60)?;
    let fraction = take_fraction(&mut rest)?;
    let offset_minutes = take_offset(&mut rest)?;
    if !rest.is_empty() {
        return None;
    }
    let local = (((day * 24 + hour) * 60 + minute) * 60 + second) * 1000 + fraction;
    let ms =
        u64::try_from(local - offset_minutes * 60_000 - DAYS_BEFORE_1970 * DAY_MS as i64).ok()?;
    (ms <= LATEST_MS).then_some(ms)
}

/// Reads a Date (without a time zone, as XEP-0082 §3.1 has it) as its first millisecond in UTC. `None` before 1970.
pub fn parse_date(text: &str) -> Option<u64> {
    let mut rest = text.as_bytes();
    let day = take_date(&mut rest)?;
    let days = u64::try_from(day - DAYS_BEFORE_1970).ok()?;
    rest.is_empty().then_some(days * DAY_MS)
}

/// Days from 0001-01-01 to 1970-01-01 in the Gregorian calendar.
const DAYS_BEFORE_1970: i64 = 719_162;

const MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    MONTHS[month as usize - 1] + i64::from(month == 2 && is_leap(year))
}

/// Days from 0001-01-01 to the first of January of `year`.
fn days_before_year(year: i64) -> i64 {
    let whole = year - 1;
    whole * 365 + whole / 4 - whole / 100 + whole / 400
}

fn write_date(out: &mut String, ms: u64, dashes: bool) {
    let mut day = (ms.min(LATEST_MS) / DAY_MS) as i64 + DAYS_BEFORE_1970;
    // The guess by the mean year is at most one off.
    let mut year = day * 400 / 146_097 + 1;
    if days_before_year(year) > day {
        year -= 1;
    } else if days_before_year(year + 1) <= day {
        year += 1;
    }
    day -= days_before_year(year);
    let mut month = 1;
    while day >= days_of_month(year, month) {
        day -= days_of_month(year, month);
        month += 1;
    }
    write_number(out, year as u64, 4);
    for number in [month, day + 1] {
        if dashes {
            out.push('-');
        }
        write_number(out, number as u64, 2);
    }
}

fn write_time(out: &mut String, ms: u64) {
    let seconds = ms.min(LATEST_MS) / 1000;
    write_number(out, seconds / 3600 % 24, 2);
    out.push(':');
    write_number(out, seconds / 60 % 60, 2);
    out.push(':');
    write_number(out, seconds % 60, 2);
}

fn write_number(out: &mut String, number: u64, digits: u32) {
    for place in (0..digits).rev() {
        out.push(char::from(b'0' + (number / 10u64.pow(place) % 10) as u8));
    }
}

/// Days since 0001-01-01.
fn take_date(rest: &mut &[u8]) -> Option<i64> {
    let year = take_number(rest, 4).filter(|year| *year > 0)?;
    take_byte(rest, b'-')?;
    let month = take_number(rest, 2).filter(|month| (1..=12).contains(month))?;
    take_byte(rest, b'-')?;
    let day = take_number(rest, 2).filter(|day| (1..=days_of_month(year, month)).contains(day))?;
    Some(
        days_before_year(year)
            + (1..month)
                .map(|month| days_of_month(year, month))
                .sum::<i64>()
            + day
            - 1,
    )
}

/// Milliseconds of a fraction of any length, 0 when there is none.
fn take_fraction(rest: &mut &[u8]) -> Option<i64> {
    if take_byte(rest, b'.').is_none() {
        return Some(0);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, after) = rest.split_at(digits);
    *rest = after;
    let place = |index: usize| {
        fraction
            .get(index)
            .map_or(0, |digit| i64::from(digit - b'0'))
    };
    (digits > 0).then(|| place(0) * 100 + place(1) * 10 + place(2))
}

/// Minutes that local time is ahead of UTC.
fn take_offset(rest: &mut &[u8]) -> Option<i64> {
    if take_byte(rest, b'Z').is_some() {
        return Some(0);
    }
    let sign = if take_byte(rest, b'+').is_some() {
        1
    } else {
        take_byte(rest, b'-')?;
        -1
    };
    let hours = take_number(rest, 2)?;
    take_byte(rest, b':')?;
    let minutes = take_number(rest, 2).filter(|minutes| *minutes < 60)?;
    let offset = hours * 60 + minutes;
    // No zone is further away (XML Schema Part 2 §3.2.7.3).
    (offset <= 14 * 60).then_some(sign * offset)
}

fn take_byte(rest: &mut &[u8], byte: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[byte])?;
    Some(())
}

fn take_number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (number, after) = rest.split_at_checked(digits)?;
    *rest = after;
    number.iter().try_fold(0, |value, byte| {
        byte.is_ascii_digit()
            .then(|| value * 10 + i64::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_xep_0082_and_0091() {
        // Reference values from date(1).
        assert_eq!(format(0), "1970-01-01T00:00:00Z");
        assert_eq!(format(1_795_352_161_123), "2026-11-22T12:56:01.123Z");
        assert_eq!(format(1_795_352_161_007), "2026-11-22T12:56:01.007Z");
        assert_eq!(format(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(format(4_107_542_399_999), "2100-02-28T23:59:59.999Z");
        assert_eq!(format(4_107_542_400_000), "2100-03-01T00:00:00Z");
        assert_eq!(format(LATEST_MS), "9999-12-31T23:59:59.999Z");
        assert_eq!(format(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(format_date(1_795_352_161_123), "2026-11-22");
        assert_eq!(format_legacy(1_795_352_161_123), "20261122T12:56:01");
    }

    #[test]
    fn reads_zones_and_fractions() {
        let noon = 1_795_352_161_000;
        assert_eq!(parse("2026-11-22T12:56:01Z"), Some(noon));
        assert_eq!(parse("2026-11-22T12:56:01.1Z"), Some(noon + 100));
        assert_eq!(parse("2026-11-22T12:56:01.123456789Z"), Some(noon + 123));
        assert_eq!(parse("2026-11-22T14:56:01+02:00"), Some(noon));
        assert_eq!(parse("2026-11-22T06:26:01.5-06:30"), Some(noon + 500));
        assert_eq!(parse("2026-11-22T12:56:01-00:00"), Some(noon));
        // XEP-0082 §3.2's own pair of the first step on the moon is before 1970, and so no time for us; an hour makes the difference here.
        assert_eq!(parse("1969-07-21T02:56:15Z"), None);
        assert_eq!(parse("1970-01-01T00:30:00+01:00"), None);
        assert_eq!(parse("1969-12-31T23:30:00-01:00"), Some(30 * 60 * 1000));
        assert_eq!(parse("9999-12-31T23:59:59.999Z"), Some(LATEST_MS));
        assert_eq!(parse("9999-12-31T23:59:59-00:01"), None);
        assert_eq!(parse_date("2026-11-22"), Some(noon / DAY_MS * DAY_MS));
        assert_eq!(parse_date("1969-12-31"), None);
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "2026",
            "2026-11-22",
            "2026-11-22T12:56:01",
            "2026-11-22 12:56:01Z",
            "2026-11-22t12:56:01z",
            "2026-11-22T12:56Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:60:00Z",
            "2026-11-22T12:56:60Z",
            "2026-11-22T12:56:01.Z",
            "2026-11-22T12:56:01,5Z",
            "2026-11-22T12:56:01+2:00",
            "2026-11-22T12:56:01+0200",
            "2026-11-22T12:56:01+14:01",
            "2026-11-22T12:56:01+01:60",
            "2026-11-22T12:56:01ZZ",
            " 2026-11-22T12:56:01Z",
            "2026-11-22T12:56:01Z ",
            "02026-11-22T12:56:01Z",
            "0000-11-22T12:56:01Z",
            "-026-11-22T12:56:01Z",
            "+026-11-22T12:56:01Z",
            "20261122T12:56:01",
            "２026-11-22T12:56:01Z",
            "2026-11-22T12:56:01.5+1²:00",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        for text in [
            "",
            "2026-11-2",
            "2026-11-22Z",
            "2026-02-30",
            "2026-11-22T00:00:00Z",
        ] {
            assert_eq!(parse_date(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let mut previous = String::new();
        // Every day until 2243, then one in each month at least.
        for day in (0..100_000).chain((100_000..=LATEST_MS / DAY_MS).step_by(28)) {
            let ms = day * DAY_MS;
            let date = format_date(ms);
            assert!(date > previous, "{date} after {previous}");
            assert_eq!(parse_date(&date), Some(ms));
            previous = date;
        }
        let mut ms = 1;
        while ms < LATEST_MS {
            assert_eq!(parse(&format(ms)), Some(ms));
            ms = ms * 3 / 2 + 1;
        }
    }
}
