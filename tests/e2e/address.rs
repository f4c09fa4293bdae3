//! The testbed under its two addresses.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use testbed::Testbed;

/// Where a kubeconfig's server is, in each of its two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    Number,
    Name,
}

/// The testbed's kubeconfig with its server's other name, and with a second context.
pub async fn kubeconfig(address: Address) -> Result<String> {
    let mut kubeconfig: Value =
        serde_json::from_slice(&std::fs::read(Testbed::shared().await.kubeconfig())?)?;
    let mut other = kubeconfig["contexts"][0].clone();
    other["name"] = json!("other");
    kubeconfig["contexts"].as_array_mut().context("the kubeconfig has contexts")?.push(other);
    if address == Address::Name {
        let cluster = &mut kubeconfig["clusters"][0]["cluster"];
        let server = cluster["server"]
            .as_str()
            .context("the kubeconfig has a server")?
            .replace("127.0.0.1", "localhost");
        cluster["server"] = json!(server);
        cluster["tls-server-name"] = json!("kubernetes");
    }
    Ok(kubeconfig.to_string())
}
