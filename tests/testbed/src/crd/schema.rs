//! The few shapes that the definitions are put together from.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};

/// An object with these fields and no others.
pub(super) fn object<const N: usize>(fields: [(&str, JSONSchemaProps); N]) -> JSONSchemaProps {
    let properties = fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    JSONSchemaProps { properties: Some(properties), ..any_object() }
}

/// `base` with more fields.
pub(super) fn with<const N: usize>(
    mut base: JSONSchemaProps,
    fields: [(&str, JSONSchemaProps); N],
) -> JSONSchemaProps {
    base.properties
        .get_or_insert_default()
        .extend(fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    base
}

/// An object whose fields the API server knows by itself.
pub(super) fn any_object() -> JSONSchemaProps {
    of_type("object")
}

/// An object with any fields.
pub(super) fn free() -> JSONSchemaProps {
    JSONSchemaProps { x_kubernetes_preserve_unknown_fields: Some(true), ..any_object() }
}

/// A list.
pub(super) fn list(of: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps { items: Some(JSONSchemaPropsOrArray::Schema(Box::new(of))), ..of_type("array") }
}

/// A text.
pub(super) fn text() -> JSONSchemaProps {
    of_type("string")
}

/// A text that matches a regular expression.
pub(super) fn pattern(pattern: &str) -> JSONSchemaProps {
    JSONSchemaProps { pattern: Some(pattern.to_owned()), ..text() }
}

/// One of these texts.
pub(super) fn one_of(values: &[&str]) -> JSONSchemaProps {
    let values = values.iter().map(|value| JSON((*value).into())).collect();
    JSONSchemaProps { enum_: Some(values), ..text() }
}

/// A truth value as the operator writes it: a word.
pub(super) fn word() -> JSONSchemaProps {
    one_of(&[
        "", "0", "1", "False", "false", "True", "true", "No", "no", "Yes", "yes", "Off", "off", "On", "on",
        "Disable", "disable", "Enable", "enable", "Disabled", "disabled", "Enabled", "enabled",
    ])
}

/// A whole number.
pub(super) fn integer() -> JSONSchemaProps {
    of_type("integer")
}

/// A whole number within bounds.
pub(super) fn between(least: u16, most: u16) -> JSONSchemaProps {
    JSONSchemaProps { minimum: Some(f64::from(least)), maximum: Some(f64::from(most)), ..integer() }
}

/// A TCP port.
pub(super) fn port() -> JSONSchemaProps {
    between(1, u16::MAX)
}

fn of_type(name: &str) -> JSONSchemaProps {
    JSONSchemaProps { type_: Some(name.to_owned()), ..JSONSchemaProps::default() }
}
