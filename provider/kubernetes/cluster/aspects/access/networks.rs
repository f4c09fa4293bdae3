//! From where users may log in: addresses and ranges, names of hosts, and expressions for such names.

use serde_json::{Map, Value, json};

use super::super::check::{dns_problem, is_range};
use super::super::sections::strings;
use super::super::{Checker, ClusterArgs, IngressArgs};
use crate::property::path::PropertyPath;

/// The fields of a user's networks, and what each holds.
const FIELDS: [(&str, Kind); 3] = [
    ("networks/ip", Kind::Address),
    ("networks/host", Kind::Host),
    ("networks/host_regexp", Kind::Expression),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Host,
    /// It ends with `$`, as ClickHouse's documentation asks for.
    Expression,
}

impl Kind {
    /// What `text` is; `None` where it is nothing of the kind.
    fn of(text: &str) -> Option<Self> {
        if is_range(text) {
            Some(Self::Address)
        } else if text.ends_with('$') && !text.contains(['&', '<', '>']) {
            Some(Self::Expression)
        } else {
            let is_number = text.chars().all(|c| c.is_ascii_digit() || c == '.');
            (!is_number && dns_problem(text).is_none()).then_some(Self::Host)
        }
    }
}

impl Checker<'_> {
    /// Refuses what nobody could log in from.
    pub(in super::super) fn networks(&mut self, path: &PropertyPath, networks: &[String]) {
        if networks.is_empty() {
            let reason = "must name at least one address or range; leave it out for the private ranges, or \
                write `127.0.0.1` to let in nobody from outside";
            self.fail_newly(path.clone(), reason);
        }
        for (index, text) in networks.iter().enumerate().filter(|(_, text)| Kind::of(text).is_none()) {
            let reason = format!(
                "`{text}` is not an address range: write for example `10.0.0.0/8`, the name of a host, or an \
                expression for names that ends with `$`"
            );
            self.fail_at(path.index(index), reason);
        }
    }
}

/// The addresses and ranges among them.
pub(super) fn of_addresses(networks: &[String]) -> Vec<&String> {
    networks.iter().filter(|text| Kind::of(text) == Some(Kind::Address)).collect()
}

/// Writes the fields of `user`'s networks.
pub(in super::super) fn render(users: &mut Map<String, Value>, user: &str, networks: &[String]) {
    for (field, kind) in FIELDS {
        let some: Vec<_> = networks.iter().filter(|text| Kind::of(text) == Some(kind)).collect();
        if !some.is_empty() {
            users.insert(format!("{user}/{field}"), json!(some));
        }
    }
}

/// The networks in a user's fields, of which `field` gives one; `None` where there are none, or others than
/// inputs can say.
pub(in super::super) fn read<'a>(field: impl Fn(&str) -> Option<&'a Value>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    for (name, kind) in FIELDS {
        if let Some(value) = field(name) {
            let some = strings(value)?;
            if some.iter().any(|text| Kind::of(text) != Some(kind)) {
                return None;
            }
            found.extend(some);
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Refuses to let anybody on the Internet try passwords unless the program says so: what comes in by a load
/// balancer or a node's port may have the private address of a node, from which the administrator may log in.
pub(super) fn refuse_open(check: &mut Checker<'_>) {
    let args = check.args();
    let unknown = ["ingress", "admin.networks"].into_iter().any(|input| check.is_unknown(input));
    if !unknown && is_open(args) && !check.had(is_open) {
        let reason = "would let anybody who reaches it try passwords, since nodes hand connections on from \
            their own private addresses: set `ingress.sourceRanges` or `ingress.internal`, or say in \
            `admin.networks` who may log in (`[\"::/0\"]` is everybody)";
        check.fail_newly("ingress".into(), reason);
    }
}

/// Whether the Internet gets in, and nobody says who may log in.
fn is_open(args: &ClusterArgs) -> bool {
    let Some(IngressArgs { source_ranges, internal, annotations, .. }) = &args.ingress else { return false };
    let says_internal = |(key, value): (&String, &String)| {
        let (key, value) = (key.to_lowercase(), value.to_lowercase());
        key.contains("internal") && value != "false" || value == "internal" || value == "intranet"
    };
    internal != &Some(true)
        && source_ranges.as_ref().is_none_or(Vec::is_empty)
        && args.adopted().is_none()
        && args.access.admin.as_ref().is_none_or(|admin| admin.networks.is_none())
        && !annotations.iter().flatten().any(says_internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::cluster::tests::problems_of_program;

    #[test]
    fn an_ingress_is_not_opened_to_the_internet_unasked() {
        for ingress in [json!({}), json!({"type": "NodePort"}), json!({"annotations": {"a": "internal-lb"}})]
        {
            let found = problems_of_program(None, json!({"name": "db", "ingress": ingress}));
            assert!(
                found.len() == 1
                    && found[0].starts_with("ingress: would let anybody who reaches it try passwords"),
                "{ingress}: {found:?}"
            );
            let mut other = ingress.clone();
            other["labels"] = json!({"l": "m"});
            let changed = json!({"name": "db", "ingress": other});
            let last = json!({"name": "db", "ingress": ingress});
            assert_eq!(
                problems_of_program(Some(last), changed),
                Vec::<String>::new(),
                "a cluster has it already"
            );
        }
        for closed in [
            json!({"ingress": {"internal": true}}),
            json!({"ingress": {"sourceRanges": ["203.0.113.0/24"]}}),
            json!({"ingress": {"annotations": {"cloud.example/load-balancer-internal": "true"}}}),
            json!({"ingress": {"type": "NodePort"}, "admin": {"networks": ["2001:db8::/32"]}}),
            json!({"ingress": {}, "admin": {"networks": ["::/0"]}}),
        ] {
            assert_eq!(problems_of_program(None, closed.clone()), Vec::<String>::new(), "{closed}");
        }
    }

    #[test]
    fn each_kind_of_network_is_told_from_the_others() {
        for (text, kind) in [
            ("10.0.0.0/8", Some(Kind::Address)),
            ("2001:db8::/32", Some(Kind::Address)),
            ("bastion.example.com", Some(Kind::Host)),
            ("^web[0-9]+\\.corp$", Some(Kind::Expression)),
            ("10.0.0", None),
            ("10.0.0.0/33", None),
            ("A_b", None),
            ("<a>$", None),
        ] {
            assert_eq!(Kind::of(text), kind, "{text}");
        }
    }
}
