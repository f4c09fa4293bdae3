//! Users and quotas.

use std::net::IpAddr;

use serde_json::Value;

use super::super::aspects::{QUOTA, missing};
use super::said::{Said, Told};
use super::{By, Judge};
use super::{profiles, value};

/// Yes or no.
const FLAGS: [&str; 5] = [
    "access_management",
    "named_collection_control",
    "show_named_collections",
    "show_named_collections_secrets",
    "storage_policies",
];
/// Hashes, and how many digits they have.
const HASHES: [(&str, usize); 2] = [("password_sha256_hex", 64), ("password_double_sha1_hex", 40)];
/// What says the same as `grants` do.
const BESIDE_GRANTS: [&str; 5] = [
    "access_management",
    "named_collection_control",
    "show_named_collections_secrets",
    "allow_databases",
    "allow_dictionaries",
];
/// Each element of a quota that begins with it is an interval.
const INTERVAL: &str = "interval";
/// What a quota counts in whole numbers.
const COUNTS: [&str; 9] = [
    "queries",
    "query_selects",
    "query_inserts",
    "errors",
    "result_rows",
    "result_bytes",
    "read_rows",
    "read_bytes",
    "written_bytes",
];
impl Judge<'_> {
    pub(super) fn users(&mut self, users: &[Said], profiles: &[Said], quotas: &[Said], spec: &Value) {
        // Templates add to an installation what is not seen in it.
        let from_templates = spec["useTemplates"].as_array().is_some_and(|templates| !templates.is_empty());
        for said in users.iter().filter(|said| !said.is_removed()) {
            let names = said.names();
            match (names.as_slice(), said.text()) {
                ([_, "profile"], Some(name)) if !from_templates && !self.has_profile(name, profiles) => {
                    let reason = format!(
                        "{}; ClickHouse does not start without",
                        missing(name, "profile", profiles::names(profiles))
                    );
                    self.refuse(said, By::Engine, reason);
                }
                ([_, "quota"], Some(name)) if !from_templates && !self.has_quota(name, quotas) => {
                    let reason = missing(name, "quota", profiles::names(quotas));
                    self.refuse(said, By::Nobody, reason);
                }
                ([_, "networks", "ip"], _) => self.networks(said),
                ([user, "grants", "query"], _) => self.grants(user, said, users),
                ([_, flag], Some(value)) if FLAGS.contains(flag) && !is_flag(value) => {
                    let reason =
                        format!("ClickHouse does not start with `{value}`: `{flag}` takes `1` or `0`");
                    self.refuse(said, By::Engine, reason);
                }
                ([_, field], Some(value)) => {
                    let digits = HASHES.iter().find(|(hash, _)| hash == field).map(|(_, digits)| *digits);
                    if let Some(digits) = digits.filter(|digits| {
                        value.len() != *digits || !value.chars().all(|c| c.is_ascii_hexdigit())
                    }) {
                        let reason =
                            format!("ClickHouse does not start with it: `{field}` takes {digits} hex digits");
                        self.refuse(said, By::Engine, reason);
                    }
                }
                _ => {}
            }
        }
    }

    fn has_quota(&self, name: &str, quotas: &[Said]) -> bool {
        name == QUOTA || profiles::names(quotas).any(|other| other == name) || self.is_in_files(name)
    }

    fn networks(&mut self, said: &Said) {
        let Told::Values(values) = &said.value else { return };
        if let Some(wrong) = values.iter().find(|value| !is_network(value)) {
            let reason = format!(
                "ClickHouse does not start with `{wrong}`, which is not an address or a range: write for \
                example `10.0.0.0/8`"
            );
            self.refuse(said, By::Engine, reason);
        }
    }

    fn grants(&mut self, user: &str, said: &Said, users: &[Said]) {
        let is_on = |said: &&Said| {
            said.path.get(1).is_some_and(|field| field.starts_with("allow_"))
                || said.text().is_none_or(means_yes)
        };
        let beside = users
            .iter()
            .filter(|other| other.path.first().is_some_and(|name| name == user) && !other.is_removed())
            .filter(is_on)
            .find_map(|other| other.path.get(1).filter(|field| BESIDE_GRANTS.contains(&field.as_str())));
        if let Some(field) = beside {
            let reason = format!(
                "ClickHouse does not start with `grants` beside `{user}/{field}`: remove one of them"
            );
            self.refuse(said, By::Engine, reason);
        }
    }

    pub(super) fn quotas(&mut self, quotas: &[Said]) {
        for said in quotas.iter().filter(|said| !said.is_removed()) {
            let names = said.names();
            let ([_, interval, field], Some(value)) = (names.as_slice(), said.text()) else { continue };
            if !interval.starts_with(INTERVAL) {
                continue;
            }
            let digits = value.strip_prefix('+').unwrap_or(value);
            let is_count = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
            let takes = match *field {
                "duration" if whole(value).is_none() => "a whole number of seconds",
                field if COUNTS.contains(&field) && !is_count => "a whole number, without a unit",
                "execution_time" if !value::is_duration(value, self.release) => "a number of seconds",
                "randomize" if !is_flag(value) => "`1` or `0`",
                _ => continue,
            };
            let reason = format!("ClickHouse does not start with `{value}`: `{field}` takes {takes}");
            self.refuse(said, By::Engine, reason);
        }
    }
}

/// A whole number as the server reads one of 32 bits: after spaces, with commas between its digits.
fn whole(text: &str) -> Option<i64> {
    let plain = text.trim_start().replace(',', "");
    let number = match plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok()?,
        None => plain.parse().ok()?,
    };
    i32::try_from(number).ok().map(i64::from)
}

/// Whether the server reads it as yes or no.
fn is_flag(text: &str) -> bool {
    let word = ["true", "yes", "on", "false", "no", "off"].iter().any(|word| word.eq_ignore_ascii_case(text));
    word || is_decimal(text) && whole(text).is_some()
}

/// Whether it is no hexadecimal number.
fn is_decimal(text: &str) -> bool {
    !text.contains(['x', 'X'])
}

fn means_yes(text: &str) -> bool {
    let no = ["false", "no", "off"].iter().any(|word| word.eq_ignore_ascii_case(text));
    !no && whole(text) != Some(0)
}

/// Whether the server reads it as an address, or as one and a mask; older spellings of IPv4 are let through.
fn is_network(text: &str) -> bool {
    let (address, mask) = text
        .trim_end()
        .split_once('/')
        .map_or((text.trim_end(), None), |(address, mask)| (address, Some(mask)));
    let old = is_old_address(address);
    let v6 = match address.parse::<IpAddr>() {
        Ok(address) => address.is_ipv6(),
        Err(_) if old => false,
        Err(_) => return false,
    };
    let bits = if v6 { 128 } else { 32 };
    mask.is_none_or(|mask| {
        mask.parse::<u32>().is_ok_and(|mask| mask <= bits) || mask.parse::<IpAddr>().is_ok()
    })
}

/// Whether `inet_aton` reads it: up to four numbers, of which the last one stands for the bytes that are
/// left.
fn is_old_address(text: &str) -> bool {
    const BYTES: usize = 4;
    let parts: Vec<&str> = text.split('.').collect();
    let Some((last, others)) = parts.split_last().filter(|(_, others)| others.len() < BYTES) else {
        return false;
    };
    let fits = |part: &str, bytes: usize| old_number(part).is_some_and(|number| number >> (8 * bytes) == 0);
    text.is_empty() || others.iter().all(|part| fits(part, 1)) && fits(last, BYTES - others.len())
}

/// A number as `inet_aton` reads it.
fn old_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if text.starts_with('0') => u64::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    }
}
