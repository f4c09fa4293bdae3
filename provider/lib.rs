//! The `clickhouse` Pulumi provider: a gRPC server that implements Pulumi's `ResourceProvider` protocol and
//! gives its users one resource, a whole ClickHouse cluster on Kubernetes.
//!
//! The modules are rings; each imports only from those below it: `process` runs the plugin and `rpc` speaks
//! the protocol, `package` and `config` are the package as Pulumi sees it, `kubernetes` has the resource and
//! what it needs of a cluster, `resource` says what a resource is, `schema` and `property` know types and
//! values. `.github/CONTRIBUTING.md` has the page on how a call goes through them. What is named here is all
//! that the plugin's `main` and the tests from outside may use.

mod config;
mod entropy;
mod kubernetes;
mod origin;
mod package;
mod process;
mod property;
mod resource;
mod rpc;
mod schema;
#[cfg(test)]
#[path = "../tests/simulation/mod.rs"]
mod simulation;

pub use kubernetes::cluster::settings;
pub use origin::Origin;
pub use package::{NAME, REPOSITORY, VERSION, schema};
pub use process::{Arguments, ended};
pub use rpc::Server;
pub use rpc::log::{EngineLog, forwards};

/// The provider, ready to serve Pulumi; what it has to say in between goes to `log`.
pub fn server(log: EngineLog) -> Server {
    Server::new(rpc::Package { version: VERSION, schema, registry: package::registry }, log)
}
