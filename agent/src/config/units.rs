//! Durations and sizes as people write them.

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration: `500ms`, `1s`, `5m`, `2h`. A number without a unit is refused, but for 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// A size: `512`, `64KiB`, `8MiB`, `1GiB`, or decimal `100MB`. Without a unit it is bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Smallest first. Nanoseconds, and the unit's name.
const PERIODS: [(u64, &str); 5] = [
    (1_000, "us"),
    (1_000_000, "ms"),
    (1_000_000_000, "s"),
    (60_000_000_000, "m"),
    (3_600_000_000_000, "h"),
];

/// Smallest first. Bytes, and the unit's name.
const SIZES: [(u64, &str); 7] = [
    (1, "B"),
    (1_000, "kB"),
    (1 << 10, "KiB"),
    (1_000_000, "MB"),
    (1 << 20, "MiB"),
    (1_000_000_000, "GB"),
    (1 << 30, "GiB"),
];

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a duration such as \"500ms\", \"1s\" or \"5m\"");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        if number == 0 && unit.is_empty() {
            return Ok(Self(Duration::ZERO));
        }
        let factor = find(&PERIODS, unit).ok_or_else(wrong)?;
        let nanos = number.checked_mul(factor).ok_or_else(wrong)?;
        Ok(Self(Duration::from_nanos(nanos)))
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a size such as \"64KiB\", \"8MiB\" or 4096");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let unit = if unit.is_empty() { "B" } else { unit };
        let factor = find(&SIZES, unit).ok_or_else(wrong)?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim()))
}

fn find(units: &[(u64, &str)], wanted: &str) -> Option<u64> {
    let unit = units
        .iter()
        .find(|(_, name)| name.eq_ignore_ascii_case(wanted));
    unit.map(|(factor, _)| *factor)
}

/// The largest unit that gives a whole number.
fn write(f: &mut fmt::Formatter<'_>, value: u64, units: &[(u64, &str)]) -> fmt::Result {
    let whole = |(factor, _): &&(u64, &str)| value.is_multiple_of(*factor);
    match units.iter().rev().find(whole) {
        Some((factor, name)) => write!(f, "{}{name}", value / factor),
        None => write!(f, "{value}"),
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        write(f, nanos, &PERIODS)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0B");
        }
        write(f, self.0, &SIZES)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

struct Text<T>(&'static str, std::marker::PhantomData<T>);

impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let what = "a duration such as \"500ms\", \"1s\" or \"5m\"";
        deserializer.deserialize_any(Text(what, std::marker::PhantomData))
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let what = "a size such as \"64KiB\", \"8MiB\" or 4096";
        deserializer.deserialize_any(Text(what, std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            ("500ms", Some("500ms")),
            ("1500ms", Some("1500ms")),
            ("60s", Some("1m")),
            (" 2 h ", Some("2h")),
            ("0", Some("0s")),
            ("5", None),
            ("-1s", None),
            ("1 fortnight", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
            ("", None),
        ];
        for (text, expected) in table {
            let parsed = text.parse::<Period>().map(|period| period.to_string());
            assert_eq!(parsed.ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let table = [
            ("8MiB", Some("8MiB")),
            ("8388608", Some("8MiB")),
            ("100mb", Some("100MB")),
            ("1500", Some("1500B")),
            ("0", Some("0B")),
            ("8 parsecs", None),
            ("99999999999GiB", None),
            ("MiB", None),
        ];
        for (text, expected) in table {
            let parsed = text.parse::<Size>().map(|size| size.to_string());
            assert_eq!(parsed.ok().as_deref(), expected, "{text}");
        }
    }
}
