//! Compiles the vendored protocol definitions, from which the plugin has its own.

use std::error::Error;

const ROOT: &str = "../../proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let mut descriptors =
        protox::compile(["../../proto/pulumi/provider.proto", "../../proto/pulumi/engine.proto"], [ROOT])?;
    // The definitions' comments hold fenced examples, which rustdoc would take for Rust and compile.
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
