//! The `clickhouse` Pulumi provider: a gRPC server that implements Pulumi's `ResourceProvider` protocol and gives its users one
//! resource, a whole ClickHouse cluster on Kubernetes.
//!
//! The modules are rings; each imports only from those below it: [`process`] runs the plugin and [`rpc`] speaks the protocol, [`package`]
//! and [`config`] are the package as Pulumi sees it, [`kubernetes`] has the resource and what it needs of a cluster, [`resource`] says
//! what a resource is, [`schema`] and [`property`] know types and values. `.github/CONTRIBUTING.md` has the page on how a call goes through them.

pub mod config;
pub mod kubernetes;
pub mod package;
pub mod process;
pub mod property;
pub mod resource;
pub mod rpc;
pub mod schema;
