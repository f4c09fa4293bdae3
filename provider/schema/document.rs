//! The whole document that `GetSchema` answers with, made of plain data.

use std::collections::BTreeMap;

use serde_json::Value;

use super::convert::{ConvertError, Converter};
use super::spec::{ConfigSpec, FunctionSpec, MetaSpec, ObjectSpec, PackageSpec, ResourceSpec};

/// What the document says about the package itself.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// The package's name.
    pub name: &'static str,
    /// The module that its types stand in.
    pub module: &'static str,
    /// The name as people read it.
    pub display_name: &'static str,
    /// The semantic version, without `v`.
    pub version: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Under what the registry files it.
    pub keywords: &'static [&'static str],
    /// The licence's SPDX identifier.
    pub license: &'static str,
    /// Who publishes it.
    pub publisher: &'static str,
    /// Where its source is, and its page.
    pub repository: String,
    /// Where its picture is.
    pub logo_url: String,
    /// Where the command line finds the plugin's archives.
    pub plugin_download_url: String,
    /// What the generators of the single languages are told, by language.
    pub language: BTreeMap<String, Value>,
    /// What the provider as a resource is described as, in Markdown.
    pub provider_description: &'static str,
}

/// The schemas of a resource.
#[derive(Debug, Clone)]
pub struct ResourceTypes {
    /// The type token.
    pub token: &'static str,
    /// What it is described as, in Markdown with examples.
    pub description: &'static str,
    /// The JSON Schema of its inputs.
    pub inputs: Value,
    /// The JSON Schema of its computed outputs.
    pub state: Value,
    /// The JSON Schema of what its listing takes.
    pub list: Value,
}

/// The schemas of a function.
#[derive(Debug, Clone)]
pub struct FunctionTypes {
    /// The token.
    pub token: &'static str,
    /// What it is described as, in Markdown.
    pub description: &'static str,
    /// The JSON Schema of its arguments.
    pub arguments: Value,
    /// The JSON Schema of its result.
    pub result: Value,
}

/// Makes the document. Fails when a type can't be expressed in it, which is a defect of that type.
pub fn build(
    metadata: Metadata,
    config: &Value,
    resources: Vec<ResourceTypes>,
    functions: Vec<FunctionTypes>,
) -> Result<PackageSpec, ConvertError> {
    let mut converter = Converter::new(format!("{}:{}", metadata.name, metadata.module));
    let config = converter.input(config)?;
    let mut resource_specs = BTreeMap::new();
    for resource in resources {
        let inputs = converter.input(&resource.inputs)?;
        let state = converter.output(&resource.state)?;
        let list_inputs = Some(converter.input(&resource.list)?);
        let spec = ResourceSpec { list_inputs, ..resource_spec(resource.description, inputs, state) };
        resource_specs.insert(resource.token.to_owned(), spec);
    }
    let mut function_specs = BTreeMap::new();
    for function in functions {
        let inputs = ObjectSpec { description: None, ..converter.input(&function.arguments)? };
        let outputs = converter.output(&function.result)?;
        let description = Some(function.description.trim().to_owned());
        function_specs.insert(function.token.to_owned(), FunctionSpec { description, inputs, outputs });
    }
    Ok(PackageSpec {
        name: metadata.name.to_owned(),
        display_name: metadata.display_name.to_owned(),
        version: metadata.version.to_owned(),
        description: metadata.description.to_owned(),
        keywords: metadata.keywords.iter().map(|&keyword| keyword.to_owned()).collect(),
        license: metadata.license.to_owned(),
        publisher: metadata.publisher.to_owned(),
        homepage: metadata.repository.clone(),
        repository: metadata.repository,
        logo_url: metadata.logo_url,
        plugin_download_url: metadata.plugin_download_url,
        meta: MetaSpec { module_format: "(.*)".to_owned(), support_pack: true },
        language: metadata.language,
        config: ConfigSpec { variables: config.properties.clone() },
        provider: provider_spec(metadata.provider_description, config),
        types: converter.into_types(),
        resources: resource_specs,
        functions: function_specs,
    })
}

/// Outputs are the inputs, echoed, and over them the computed ones; only a computed one is always there,
/// since an input that the program leaves out is echoed as nothing.
fn resource_spec(description: &str, inputs: ObjectSpec, state: ObjectSpec) -> ResourceSpec {
    let mut properties = inputs.properties.clone();
    for (name, mut property) in state.properties {
        property.will_replace_on_changes =
            properties.get(&name).is_some_and(|input| input.will_replace_on_changes);
        properties.insert(name, property);
    }
    ResourceSpec {
        outputs: ObjectSpec {
            description: Some(description.trim().to_owned()),
            properties,
            required: state.required,
            ..ObjectSpec::default()
        },
        input_properties: inputs.properties,
        required_inputs: inputs.required,
        list_inputs: None,
    }
}

/// The provider's arguments are the package's configuration. A provider keeps only texts in its outputs.
fn provider_spec(description: &str, config: ObjectSpec) -> ResourceSpec {
    let texts = config.properties.iter().filter(|(_, property)| property.value.kind == Some("string"));
    ResourceSpec {
        outputs: ObjectSpec {
            description: Some(description.trim().to_owned()),
            properties: texts.map(|(name, property)| (name.clone(), property.clone())).collect(),
            ..ObjectSpec::default()
        },
        input_properties: config.properties,
        required_inputs: config.required,
        list_inputs: None,
    }
}
