//! How long findings have lasted, and when that ends a wait. Pure; time comes in as an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{Finding, GracePeriod};

/// How long a state that won't mend itself may last before the wait ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GracePeriods {
    /// For an image that can't be pulled: registries have bad moments, and the kubelet tries several times
    /// within this.
    pub image: Duration,
    /// For everything else that only an edit mends.
    pub other: Duration,
}

impl Default for GracePeriods {
    fn default() -> Self {
        Self { image: Duration::from_secs(60), other: Duration::from_secs(30) }
    }
}

/// Since when each finding has been there.
#[derive(Debug, Default)]
pub(crate) struct FindingAges(HashMap<String, Instant>);

/// What findings come to at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expired {
    /// Those that have lasted longer than their grace.
    pub(crate) reasons: Vec<String>,
    /// When the next one will have.
    pub(crate) again: Option<Instant>,
}

impl FindingAges {
    /// Takes note of the findings as of `now`; what isn't found any more is forgotten.
    pub(crate) fn judge(
        &mut self,
        findings: &[Finding],
        grace_periods: &GracePeriods,
        now: Instant,
    ) -> Expired {
        self.0.retain(|key, _| findings.iter().any(|finding| finding.key == *key && finding.ends.is_some()));
        let mut judged = Expired::default();
        for finding in findings {
            let Some(ends) = finding.ends else { continue };
            let since = *self.0.entry(finding.key.clone()).or_insert(now);
            let until =
                since + if ends == GracePeriod::Image { grace_periods.image } else { grace_periods.other };
            if now >= until {
                judged.reasons.push(finding.text.clone());
            } else {
                judged.again = Some(judged.again.map_or(until, |again| again.min(until)));
            }
        }
        judged
    }
}
