//! The parts of Pulumi's package schema that this package uses, under their names there.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// A whole package.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageSpec {
    /// The name, the first part of each token.
    pub name: String,
    /// The name as people read it.
    pub display_name: String,
    /// The semantic version, without `v`.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Under what the registry files it.
    pub keywords: Vec<String>,
    /// The licence's SPDX identifier.
    pub license: String,
    /// Who publishes it.
    pub publisher: String,
    /// Its page.
    pub homepage: String,
    /// Where its source is.
    pub repository: String,
    /// Its picture in the registry.
    pub logo_url: String,
    /// Where the command line finds the plugin's archives. Without it, it takes another plugin of the same
    /// name from where its own list says.
    #[serde(rename = "pluginDownloadURL")]
    pub plugin_download_url: String,
    /// How Pulumi derives modules from tokens.
    pub meta: MetaSpec,
    /// What the generators of the single languages are told.
    pub language: BTreeMap<String, Value>,
    /// What `pulumi config set <package>:…` knows.
    pub config: ConfigSpec,
    /// The provider as a resource: the same settings, as arguments.
    pub provider: ResourceSpec,
    /// Objects and enums that the others refer to, by token.
    pub types: BTreeMap<String, ComplexTypeSpec>,
    /// The resources, by token.
    pub resources: BTreeMap<String, ResourceSpec>,
    /// The functions, by token.
    pub functions: BTreeMap<String, FunctionSpec>,
}

/// How the document itself is to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetaSpec {
    /// A pattern whose first group is a token's module.
    pub module_format: String,
    /// Whether several packages may be generated beside each other.
    pub support_pack: bool,
}

/// The package's configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ConfigSpec {
    /// The settings, by name.
    pub variables: BTreeMap<String, PropertySpec>,
}

/// A type that is used in place: a primitive, a list, a map, or a reference.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeSpec {
    /// `string`, `boolean`, `integer`, `number`, `array` or `object`; none for a reference.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// The type that is referred to.
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The elements of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<TypeSpec>>,
    /// The values of a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<Box<TypeSpec>>,
    /// The types of which it is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<TypeSpec>,
}

/// A property of an object, a resource or a function.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PropertySpec {
    /// Its type.
    #[serde(flatten)]
    pub value: TypeSpec,
    /// What it means, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What the SDKs fill in when the program gives nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Why not to use it any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecation_message: Option<String>,
    /// Whether it is encrypted in state and hidden on display.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Whether a change of it replaces the resource. Documentation: the provider decides in Diff.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub will_replace_on_changes: bool,
}

/// An object type.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ObjectSpec {
    /// What it is, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Always `object`.
    #[serde(rename = "type")]
    pub kind: ObjectKind,
    /// Its properties, by name.
    pub properties: BTreeMap<String, PropertySpec>,
    /// Those that are always there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
}

/// The text `object`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// The only one.
    #[default]
    Object,
}

/// An enum of texts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EnumSpec {
    /// What it is, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Always `string`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The values.
    #[serde(rename = "enum")]
    pub values: Vec<EnumValueSpec>,
}

/// One value of an enum.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EnumValueSpec {
    /// The name in programs.
    pub name: String,
    /// The text that stands for it.
    pub value: String,
    /// What it means, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A named type.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ComplexTypeSpec {
    /// An object.
    Object(ObjectSpec),
    /// An enum.
    Enum(EnumSpec),
}

/// A resource.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSpec {
    /// The outputs.
    #[serde(flatten)]
    pub outputs: ObjectSpec,
    /// The inputs, by name.
    pub input_properties: BTreeMap<String, PropertySpec>,
    /// Those that the program must give.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_inputs: Vec<String>,
    /// What may be said when the existing ones are listed; `None` for a resource that can't be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_inputs: Option<ObjectSpec>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionSpec {
    /// What it does, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its arguments.
    pub inputs: ObjectSpec,
    /// Its result.
    pub outputs: ObjectSpec,
}
