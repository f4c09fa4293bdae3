//! Checking free-form objects by the types of Kubernetes: what it does not know, misses, or takes otherwise.

use std::cell::RefCell;
use std::fmt;

use serde::Serialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::{Map, Value};

use super::Checker;
use crate::property::path::PropertyPath;
use crate::schema::shape::nearest;

impl Checker<'_> {
    /// Checks what is `given` at `path` by the type that Kubernetes has for it.
    pub(super) fn kubernetes<T>(&mut self, path: impl Into<PropertyPath>, given: &impl Serialize)
    where
        T: DeserializeOwned + Serialize,
    {
        let Ok(value) = serde_json::to_value(given) else { return };
        for (path, reason) in faults::<T>(&path.into(), &value) {
            self.fail_at(path, reason);
        }
    }
}

/// What is wrong with `value`, which stands at `path`, as a `T`.
fn faults<T: DeserializeOwned + Serialize>(
    path: &PropertyPath,
    value: &Value,
) -> Vec<(PropertyPath, String)> {
    let found = RefCell::new(Vec::new());
    let typed = T::deserialize(Given { value, path: path.clone(), found: &found }).ok();
    let mut found = found.into_inner();
    if let Some(typed) = typed.and_then(|typed| serde_json::to_value(typed).ok()) {
        missing(&typed, value, path, &mut found);
    }
    found
}

/// Finds what the types have filled in, since Kubernetes asks for it.
fn missing(typed: &Value, given: &Value, path: &PropertyPath, found: &mut Vec<(PropertyPath, String)>) {
    match (typed, given) {
        (Value::Object(typed), Value::Object(given)) => {
            for (key, typed) in typed {
                match given.get(key).filter(|given| !given.is_null()) {
                    Some(given) => missing(typed, given, &path.key(key), found),
                    None => found.push((path.key(key), "is required by Kubernetes, but missing".to_owned())),
                }
            }
        }
        (Value::Array(typed), Value::Array(given)) => {
            for (index, (typed, given)) in typed.iter().zip(given).enumerate() {
                missing(typed, given, &path.index(index), found);
            }
        }
        _ => {}
    }
}

/// A value that is read as one of Kubernetes' types.
struct Given<'a> {
    value: &'a Value,
    path: PropertyPath,
    found: &'a RefCell<Vec<(PropertyPath, String)>>,
}

impl<'a> Given<'a> {
    fn below(&self, value: &'a Value, path: PropertyPath) -> Self {
        Self { value, path, found: self.found }
    }

    /// Notes the first reason for which nothing came of the value.
    fn noted<T>(&self, result: Result<T, Wrong>) -> Result<T, Wrong> {
        result.map_err(|wrong| match wrong.0 {
            Some(reason) => {
                self.found.borrow_mut().push((self.path.clone(), reason));
                Wrong(None)
            }
            None => wrong,
        })
    }
}

impl<'de> Deserializer<'de> for Given<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let result = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                // Pulumi knows one kind of numbers.
                (.., number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(items) => visitor.visit_seq(Items { of: &self, rest: items.iter().enumerate() }),
            Value::Object(fields) => {
                visitor.visit_map(Fields { of: &self, rest: fields.iter(), current: None })
            }
        };
        self.noted(result)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let given = self.value.as_object().map(Map::keys).into_iter().flatten();
        for key in given.filter(|key| !fields.contains(&key.as_str())) {
            let remedy = match nearest(key, fields.iter().copied()) {
                Some(field) => format!("did you mean `{field}`?"),
                None => format!("there are `{}`", fields.join("`, `")),
            };
            let reason = format!("unknown field of Kubernetes' `{name}`; {remedy}");
            self.found.borrow_mut().push((self.path.key(key), reason));
        }
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The elements of a list.
struct Items<'s, 'de, I> {
    of: &'s Given<'de>,
    rest: I,
}

impl<'de, I: Iterator<Item = (usize, &'de Value)>> SeqAccess<'de> for Items<'_, 'de, I> {
    type Error = Wrong;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Wrong> {
        let next = self.rest.next();
        next.map(|(index, value)| seed.deserialize(self.of.below(value, self.of.path.index(index))))
            .transpose()
    }
}

/// The fields of an object.
struct Fields<'s, 'de, I> {
    of: &'s Given<'de>,
    rest: I,
    current: Option<(&'de String, &'de Value)>,
}

impl<'de, I: Iterator<Item = (&'de String, &'de Value)>> MapAccess<'de> for Fields<'_, 'de, I> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.current = self.rest.next();
        self.current.map(|(key, _)| seed.deserialize(key.as_str().into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let Some((key, value)) = self.current else { return Err(Wrong::custom("has no value")) };
        seed.deserialize(self.of.below(value, self.of.path.key(key)))
    }
}

/// Why nothing came of a value; `None` once that is noted. Never quotes the value, which may be a secret.
#[derive(Debug)]
struct Wrong(Option<String>);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("is not of the right type"))
    }
}

impl std::error::Error for Wrong {}

impl serde::de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Some(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Unit | Unexpected::Option => "nothing",
            Unexpected::Bool(_) => "a boolean",
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
            Unexpected::Float(_) => "a fraction",
            Unexpected::Str(_) => "a string",
            Unexpected::Seq => "a list",
            _ => "an object",
        };
        let expected = expected.to_string();
        let expected = match expected.as_str() {
            "i32" | "i64" => "a whole number",
            "a sequence" => "a list",
            "a map" => "an object",
            expected if expected.starts_with("a ") => expected,
            kind => &format!("a `{kind}`"),
        };
        Self(Some(format!("is {found}, but Kubernetes takes {expected}")))
    }

    fn invalid_value(_found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(Some(format!("is not a value that Kubernetes takes here: {expected}")))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Affinity, Container, Volume};
    use serde_json::json;

    use super::*;

    fn told<T: DeserializeOwned + Serialize>(value: &Value) -> Vec<String> {
        let found = faults::<T>(&"pod.x".into(), value);
        found.into_iter().map(|(path, reason)| format!("{path}: {reason}")).collect()
    }

    #[test]
    fn what_kubernetes_does_not_know_is_named_with_what_was_meant() {
        let term = json!({"topologyKeys": "zone", "labelSelector": {"matchlabels": {"a": "b"}}});
        let affinity =
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}, "x": 1});
        let place = "pod.x.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0]";
        assert_eq!(
            told::<Affinity>(&affinity),
            [
                "pod.x.x: unknown field of Kubernetes' `Affinity`; there are `nodeAffinity`, \
                    `podAffinity`, `podAntiAffinity`"
                    .to_owned(),
                format!(
                    "{place}.topologyKeys: unknown field of Kubernetes' `PodAffinityTerm`; did you mean \
                        `topologyKey`?"
                ),
                format!(
                    "{place}.labelSelector.matchlabels: unknown field of Kubernetes' `LabelSelector`; did \
                        you mean `matchLabels`?"
                ),
                format!("{place}.topologyKey: is required by Kubernetes, but missing"),
            ]
        );
    }

    #[test]
    fn a_value_of_another_type_is_named_and_never_quoted() {
        let container = json!({"name": "a", "env": [{"name": "hush", "value": 7}]});
        assert_eq!(
            told::<Container>(&container),
            ["pod.x.env[0].value: is a whole number, but Kubernetes takes a string"]
        );
        let probed = json!({"name": "a", "livenessProbe": {"periodSeconds": "hush"}});
        assert_eq!(
            told::<Container>(&probed),
            ["pod.x.livenessProbe.periodSeconds: is a string, but Kubernetes takes a whole number"]
        );
        assert_eq!(told::<Affinity>(&json!([])), ["pod.x: is a list, but Kubernetes takes a `Affinity`"]);
    }

    #[test]
    fn what_kubernetes_takes_is_let_through() {
        let container = json!({"name": "a", "image": "b", "resources": {"limits": {"cpu": 2, "memory": "1Gi",
            "b": 0.5}}, "readinessProbe": {"httpGet": {"port": "http"}}, "stdin": null,
            "ports": [{"containerPort": 1}], "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}});
        assert_eq!(told::<Container>(&container), Vec::<String>::new());
        for volume in [
            json!({"name": "a", "emptyDir": {}}),
            json!({"name": "a", "secret": {"secretName": "b",
            "items": [{"key": "k", "path": "p"}]}}),
        ] {
            assert_eq!(told::<Volume>(&volume), Vec::<String>::new());
        }
    }
}
