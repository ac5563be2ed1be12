//! The times of schedules: grids, cron expressions, summer time, and texts that are refused.

use super::*;

fn timetable(text: &str) -> Timetable {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn millis(time: &str) -> u64 {
    let time: Timestamp = time.parse().expect(time);
    u64::try_from(time.as_millisecond()).expect("a time after the epoch")
}

/// Returns the times of `text` after `from`, as they are written in UTC.
fn times(text: &str, from: &str, count: usize) -> Vec<String> {
    let timetable = timetable(text);
    let mut at = millis(from);
    let mut next = || {
        at = timetable.next(at).expect("there is a next time");
        Timestamp::from_millisecond(i64::try_from(at).unwrap())
            .unwrap()
            .to_string()
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn i12_5_every_is_a_grid_from_the_epoch() {
    assert_eq!(
        times("every 5s", "2026-01-01T00:00:04.999Z", 2),
        ["2026-01-01T00:00:05Z", "2026-01-01T00:00:10Z"]
    );
    assert_eq!(timetable("every 5s").next(5_000), Some(10_000));
    assert_eq!(timetable("every 1h 30m").next(0), Some(5_400_000));
    assert_eq!(timetable("every   7s").to_string(), "every 7s");
    assert_eq!(timetable("every 1s").next(u64::MAX), None);
}

#[test]
fn i12_5_a_length_has_a_unit_and_bounds() {
    for text in [
        "every",
        "every 5",
        "every 5M",
        "every 1month",
        "every 1y",
        "every -5s",
        "every s",
    ] {
        let error = text.parse::<Timetable>().unwrap_err();
        assert!(
            matches!(error, TimetableError::Length(_)),
            "{text}: {error}"
        );
    }
    for text in ["every 0s", "every 999ms", "every 367d", "every 60w"] {
        let error = text.parse::<Timetable>().unwrap_err();
        assert!(
            matches!(error, TimetableError::Bounds(_)),
            "{text}: {error}"
        );
    }
}

#[test]
fn i12_5_cron_has_five_or_six_fields_and_a_zone() {
    assert_eq!(
        times("0 3 * * *", "2026-03-01T02:00:00Z", 2),
        ["2026-03-01T03:00:00Z", "2026-03-02T03:00:00Z"]
    );
    assert_eq!(
        times("*/20 * * * * *", "2026-03-01T02:00:00.5Z", 2),
        ["2026-03-01T02:00:20Z", "2026-03-01T02:00:40Z"]
    );
    assert_eq!(
        times(
            "0 9 * * mon-fri America/New_York",
            "2026-03-06T15:00:00Z",
            1
        ),
        ["2026-03-09T13:00:00Z"],
        "the week-end has passed, and so has the change to summer"
    );
    assert_eq!(
        times("0 3 L * *", "2028-02-01T00:00:00Z", 1),
        ["2028-02-29T03:00:00Z"]
    );
    assert_eq!(
        times("0 3 * * MON#1 UTC", "2026-03-01T00:00:00Z", 1),
        ["2026-03-02T03:00:00Z"]
    );
    assert_eq!(
        times("0 3 13 * FRI", "2026-03-01T00:00:00Z", 3),
        [
            "2026-03-06T03:00:00Z",
            "2026-03-13T03:00:00Z",
            "2026-03-20T03:00:00Z"
        ],
        "either day has to match"
    );
}

#[test]
fn i12_5_a_wrong_field_is_named_with_an_example() {
    for (text, words) in [
        ("0 25 * * *", &["the hour", "25", "0 9-17 * * *"][..]),
        ("60 3 * * *", &["the minute", "60"]),
        ("61 0 3 * * *", &["the second", "61"]),
        ("0 3 0 * *", &["the day of the month"]),
        ("0 3 * 13 *", &["the month", "13"]),
        ("0 3 * * 8", &["the day of the week", "8"]),
        ("SUN 3 * * *", &["the minute", "SUN"]),
        ("1,, 3 * * *", &["the minute", "1,,"]),
        ("*/0 3 * * *", &["the minute", "*/0"]),
        ("5-1 3 * * *", &["the minute", "5-1"]),
        ("0 L * * *", &["the hour", "L"]),
        ("0 3 15W * *", &["the day of the month"]),
        ("0 3 * *", &["4 fields", "every 5s", "0 3 * * *"]),
        ("0 0 3 * * * 2027", &["7 fields"]),
        ("", &["no fields"]),
        ("x", &["\"x\" has one field", "every 5s"]),
        ("evry 5s", &["2 fields", "every 5s"]),
        ("@daily", &["one field"]),
        ("0 3 * * * Europe/Berlim", &["Europe/Berlim", "time zone"]),
        ("0 3 30 2 *", &["never run"]),
    ] {
        let error = text.parse::<Timetable>().unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{text}: {word:?} in {error}");
        }
    }
}

#[test]
fn i12_5_where_clocks_are_put_forward_a_fixed_time_runs_after_the_gap() {
    // In Berlin, 02:00 to 03:00 was left out on 2026-03-29: 01:00 UTC was 03:00 there.
    assert_eq!(
        times("30 2 * * * Europe/Berlin", "2026-03-28T02:00:00Z", 2),
        ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    assert_eq!(
        times("*/30 2 * * * Europe/Berlin", "2026-03-28T02:00:00Z", 2),
        ["2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"],
        "what follows the clock leaves the gap out"
    );
}

#[test]
fn i12_5_where_clocks_are_put_back_a_fixed_time_runs_once() {
    // In Berlin, 02:00 to 03:00 came twice on 2026-10-25: from 00:00 and from 01:00 UTC.
    assert_eq!(
        times("30 2 * * * Europe/Berlin", "2026-10-24T12:00:00Z", 2),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    );
    assert_eq!(
        times("*/30 2 * * * Europe/Berlin", "2026-10-24T12:00:00Z", 5),
        [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
            "2026-10-26T01:00:00Z"
        ],
        "what follows the clock repeats the hour"
    );
}

/// Texts of all kinds, made of the characters that mean something, neither panic nor hang.
#[test]
fn i12_5_no_text_is_too_strange() {
    let signs: Vec<char> = "0123456789*,-/#LW?+ SUNMOJAEBevry5sm@".chars().collect();
    let mut state = 12_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..20_000 {
        let length = random(24);
        let text: String = (0..length).map(|_| signs[random(signs.len())]).collect();
        if let Ok(timetable) = text.parse::<Timetable>() {
            assert!(timetable.next(1_800_000_000_000).is_some(), "{text}");
        }
    }
    for field in [
        "4294967296",
        "*/4294967296",
        "18446744073709551616",
        "0-99999999999",
        "1#9",
        "#",
        "L#L",
        "1#",
    ] {
        let _ = format!("* * * * {field}").parse::<Timetable>();
        let _ = format!("{field} * * * *").parse::<Timetable>();
    }
}
