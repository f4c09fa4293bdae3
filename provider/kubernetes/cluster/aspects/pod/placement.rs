//! On which nodes the pods run: affinities and zones.

use serde_json::{Map, Value, json};

use super::{AntiAffinity, FreeForm};

/// The label of nodes that says their zone.
const ZONE: &str = "topology.kubernetes.io/zone";
const NODES: &str = "/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Pods that do the same work.
pub(super) struct Peers {
    /// By which labels they are found.
    selector: Value,
    /// Labels of which those that belong together have the same value.
    keys: &'static [&'static str],
    /// How many belong together.
    replicas: u32,
}

/// What is said of the nodes.
#[derive(Default)]
pub(super) struct Placement {
    pub(super) affinity: Option<FreeForm>,
    pub(super) anti_affinity: Option<AntiAffinity>,
    pub(super) zones: Option<Vec<String>>,
    pub(super) topology_spread: Option<Vec<FreeForm>>,
}

impl Peers {
    /// The hosts of a cluster, of which the replicas of a shard belong together.
    pub(super) fn hosts(name: &str, replicas: u32) -> Self {
        let selector = json!({"clickhouse.altinity.com/chi": name});
        Self { selector, keys: &["clickhouse.altinity.com/shard"], replicas }
    }

    /// The members of a Keeper.
    pub(super) fn keeper(name: &str, replicas: u32) -> Self {
        Self { selector: json!({"clickhouse-keeper.altinity.com/chk": name}), keys: &[], replicas }
    }

    /// Whether they run on different nodes where nobody says it.
    pub(super) fn preset(&self, affinity: Option<&FreeForm>) -> AntiAffinity {
        let is_said = affinity.is_some_and(|affinity| affinity.contains_key("podAntiAffinity"));
        if self.replicas > 1 && !is_said { AntiAffinity::Preferred } else { AntiAffinity::None }
    }

    /// The affinity; null where there is nothing to say.
    pub(super) fn affinity(
        &self,
        given: Option<&FreeForm>,
        anti_affinity: AntiAffinity,
        zones: &[String],
    ) -> Value {
        let mut affinity = json!(given);
        let apart = match anti_affinity {
            AntiAffinity::None => None,
            AntiAffinity::Preferred => Some((PREFERRED, self.preferred())),
            AntiAffinity::Required => Some((REQUIRED, self.apart())),
        };
        if let Some((how, term)) = apart
            && let Some(terms) = list(&mut affinity, &["podAntiAffinity", how])
        {
            terms.push(term);
        }
        if !zones.is_empty()
            && let Some(terms) = list(&mut affinity, &["nodeAffinity", REQUIRED, "nodeSelectorTerms"])
        {
            if terms.is_empty() {
                terms.push(json!({}));
            }
            for expressions in terms.iter_mut().filter_map(|term| list(term, &["matchExpressions"])) {
                expressions.push(in_zones(zones));
            }
        }
        affinity
    }

    /// How they are spread over several zones.
    pub(super) fn over_zones(&self, zones: &[String]) -> Option<Value> {
        let mut rule = json!({"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": self.selector}});
        if self.replicas > 1 && !self.keys.is_empty() {
            rule["matchLabelKeys"] = json!(self.keys);
        }
        (zones.len() > 1).then_some(rule)
    }

    /// Different nodes for those that belong together.
    fn apart(&self) -> Value {
        let mut term = json!({"labelSelector": {"matchLabels": self.selector},
            "topologyKey": "kubernetes.io/hostname"});
        if !self.keys.is_empty() {
            term["matchLabelKeys"] = json!(self.keys);
        }
        term
    }

    fn preferred(&self) -> Value {
        json!({"weight": 100, "podAffinityTerm": self.apart()})
    }

    /// What the `spec` of pods says of their nodes.
    pub(super) fn read(&self, spec: &Value) -> Placement {
        let mut affinity = spec["affinity"].clone();
        let mut spread = spec["topologySpreadConstraints"].clone();
        let mut found = AntiAffinity::None;
        for (kind, how, term) in [
            (AntiAffinity::Preferred, PREFERRED, self.preferred()),
            (AntiAffinity::Required, REQUIRED, self.apart()),
        ] {
            if found == AntiAffinity::None && take(&mut affinity, &format!("/podAntiAffinity/{how}"), &term) {
                found = kind;
            }
        }
        let zones = zones(&affinity);
        let zones =
            zones.filter(|zones| self.over_zones(zones).is_none_or(|rule| take(&mut spread, "", &rule)));
        if let Some(Value::Array(terms)) = affinity.pointer_mut(NODES).filter(|_| zones.is_some()) {
            for expressions in
                terms.iter_mut().filter_map(|term| term.get_mut("matchExpressions")?.as_array_mut())
            {
                expressions.pop();
            }
        }
        if found != AntiAffinity::None || zones.is_some() {
            prune(&mut affinity);
        }
        let affinity: Option<FreeForm> = serde_json::from_value(affinity).unwrap_or_default();
        Placement {
            anti_affinity: (found != self.preset(affinity.as_ref())).then_some(found),
            affinity: affinity.filter(|affinity| !affinity.is_empty()),
            zones,
            topology_spread: serde_json::from_value(spread).ok().filter(|rules: &Vec<_>| !rules.is_empty()),
        }
    }
}

fn in_zones(zones: &[String]) -> Value {
    json!({"key": ZONE, "operator": "In", "values": zones})
}

/// The zones that the last expression of every term asks for.
fn zones(affinity: &Value) -> Option<Vec<String>> {
    let terms = affinity.pointer(NODES)?.as_array()?;
    let last = |term: &Value| term["matchExpressions"].as_array()?.last().cloned();
    let zones: Vec<String> = serde_json::from_value(terms.first().and_then(last)?["values"].clone()).ok()?;
    terms.iter().all(|term| last(term) == Some(in_zones(&zones))).then_some(zones)
}

/// The list at a place below `value`, which is made where there is none.
fn list<'v>(value: &'v mut Value, path: &[&str]) -> Option<&'v mut Vec<Value>> {
    let mut place = value;
    for key in path {
        if place.is_null() {
            *place = json!({});
        }
        place = place.as_object_mut()?.entry(*key).or_insert(Value::Null);
    }
    if place.is_null() {
        *place = json!([]);
    }
    place.as_array_mut()
}

/// Takes the last element that is `sought` out of the list at `pointer`, and says whether it was there.
fn take(value: &mut Value, pointer: &str, sought: &Value) -> bool {
    let Some(Value::Array(list)) = value.pointer_mut(pointer) else { return false };
    let Some(place) = list.iter().rposition(|element| element == sought) else { return false };
    list.remove(place);
    true
}

/// Takes out what holds nothing any more once the terms are taken out.
fn prune(affinity: &mut Value) {
    const FIELDS: [&str; 6] =
        ["podAntiAffinity", "nodeAffinity", PREFERRED, REQUIRED, "nodeSelectorTerms", "matchExpressions"];
    let is_empty = |value: &Value| {
        value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
    };
    let Value::Object(fields) = affinity else { return };
    for field in FIELDS {
        if let Some(value) = fields.get_mut(field) {
            prune(value);
            if let Value::Array(terms) = value
                && field == "nodeSelectorTerms"
            {
                terms.iter_mut().for_each(prune);
                terms.retain(|term| !is_empty(term));
            }
            if is_empty(value) {
                fields.remove(field);
            }
        }
    }
}
