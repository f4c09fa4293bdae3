//! The fault switch: what a real operator does rarely, done on demand.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::{Choice, ENGINES};

/// The annotation that switches a fault on, on the installation or, for all in it, on its namespace:
/// a name of [`Fault`], where there is a time followed by `:` and seconds (`stale-completed:3`).
pub const FAULT: &str = "stand-in/fault";
/// An annotation at the same places: how many seconds a new host's pod has to get ready before the
/// operator passes it by.
pub const CREATE_TIMEOUT: &str = "stand-in/create-timeout";
/// The same for a changed host's pod, before the operator gives up with `Aborted`.
pub const UPDATE_TIMEOUT: &str = "stand-in/update-timeout";

/// An annotation at the same places: with `paired` each member of a Keeper has two Services, as since
/// operator 0.27.2: its own for the other members, and `<its own>-client`, which leads to a member that is
/// ready.
pub const KEEPER_SERVICES: &str = "stand-in/keeper-services";

/// The annotation by which a crashed stand-in is known, on the namespace in which it crashed: the name of the
/// Keeper that was deleted under it. It is down in that namespace for as long as the fault is set.
pub const CRASHED: &str = "stand-in/crashed";

/// A way to misbehave that the real operator has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `stale-completed[:seconds]`: after a change the old status stays for 2 s.
    StaleCompleted(Duration),
    /// `finalize-race`: the first change of a completed installation is recorded as completed, never as
    /// started, and never rolled out. The next one is served.
    FinalizeRace,
    /// `completed-not-ready[:seconds]`: Completed while no pod is ready; they get ready after that time, or
    /// never.
    CompletedNotReady(Option<Duration>),
    /// `aborted`: each task ends Aborted.
    Aborted,
    /// `aborted-recovers[:seconds]`: the task ends Aborted, and is taken up again after 2 s by itself.
    AbortedRecovers(Duration),
    /// `keeper-stuck`: a Keeper whose hosts all run stays InProgress.
    KeeperStuck,
    /// `keeper-crash`: a Keeper that is deleted while its status is InProgress takes the whole operator down.
    /// 0.25.6 does so always: it polls for the object and asserts that it is there.
    KeeperCrash,
    /// `silent`: nothing happens at all, as with no operator.
    Silent,
    /// `finalizer-never-goes`: a deletion stays Terminating as long as this is set.
    FinalizerNeverGoes,
}

impl Fault {
    /// The fault of an annotation's value; `None` for an unknown one.
    pub fn parse(value: &str) -> Option<Self> {
        let (name, seconds) =
            value.split_once(':').map_or((value, None), |(name, seconds)| (name, seconds_of(seconds)));
        let or_two = seconds.unwrap_or(Duration::from_secs(2));
        Some(match name {
            "stale-completed" => Self::StaleCompleted(or_two),
            "finalize-race" => Self::FinalizeRace,
            "completed-not-ready" => Self::CompletedNotReady(seconds),
            "aborted" => Self::Aborted,
            "aborted-recovers" => Self::AbortedRecovers(or_two),
            "keeper-stuck" => Self::KeeperStuck,
            "keeper-crash" => Self::KeeperCrash,
            "silent" => Self::Silent,
            "finalizer-never-goes" => Self::FinalizerNeverGoes,
            _ => return None,
        })
    }
}

/// What the annotations of an installation and its namespace switch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Switches {
    pub(super) fault: Option<Fault>,
    pub(super) create_timeout: Duration,
    pub(super) update_timeout: Duration,
    /// Which engines the hosts have, if any.
    pub(super) engines: Option<Choice>,
    /// Whether the members of a Keeper have two Services each.
    pub(super) paired: bool,
}

impl Switches {
    /// The nearest annotation wins.
    pub(super) fn of(
        places: [&BTreeMap<String, String>; 2],
        create_timeout: Duration,
        update_timeout: Duration,
    ) -> Self {
        let value = |key: &str| places.iter().find_map(|place| place.get(key));
        let seconds = |key: &str| value(key).and_then(|value| seconds_of(value));
        let fault = value(FAULT).and_then(|value| Fault::parse(value));
        let crashed = fault == Some(Fault::KeeperCrash) && value(CRASHED).is_some();
        Self {
            fault: if crashed { Some(Fault::Silent) } else { fault },
            create_timeout: seconds(CREATE_TIMEOUT).unwrap_or(create_timeout),
            update_timeout: seconds(UPDATE_TIMEOUT).unwrap_or(update_timeout),
            engines: value(ENGINES).and_then(|word| Choice::parse(word)),
            paired: value(KEEPER_SERVICES).is_some_and(|word| word == "paired"),
        }
    }
}

fn seconds_of(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_with_its_time() {
        assert_eq!(
            Fault::parse("stale-completed:0.5"),
            Some(Fault::StaleCompleted(Duration::from_millis(500)))
        );
        assert_eq!(Fault::parse("stale-completed"), Some(Fault::StaleCompleted(Duration::from_secs(2))));
        assert_eq!(Fault::parse("completed-not-ready"), Some(Fault::CompletedNotReady(None)));
        assert_eq!(Fault::parse("no-such-fault"), None);
    }

    #[test]
    fn a_crashed_operator_is_silent_until_the_fault_is_taken_away() {
        let none = BTreeMap::new();
        let fault = |annotations: &[(&str, &str)]| {
            let annotations =
                annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            Switches::of([&none, &annotations], Duration::ZERO, Duration::ZERO).fault
        };
        assert_eq!(fault(&[(FAULT, "keeper-crash")]), Some(Fault::KeeperCrash));
        assert_eq!(fault(&[(FAULT, "keeper-crash"), (CRASHED, "db")]), Some(Fault::Silent));
        assert_eq!(fault(&[(CRASHED, "db")]), None);
    }

    #[test]
    fn the_installations_own_annotation_wins_over_its_namespaces() {
        let near = BTreeMap::from([(FAULT.to_owned(), "silent".to_owned())]);
        let far = BTreeMap::from([
            (FAULT.to_owned(), "aborted".to_owned()),
            (UPDATE_TIMEOUT.to_owned(), "1.5".to_owned()),
        ]);
        let switches = Switches::of([&near, &far], Duration::from_secs(20), Duration::from_secs(20));
        assert_eq!(switches.fault, Some(Fault::Silent));
        assert_eq!(switches.create_timeout, Duration::from_secs(20));
        assert_eq!(switches.update_timeout, Duration::from_millis(1500));
    }
}
