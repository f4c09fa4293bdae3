//! A simulated Kubernetes cluster, its operator and Pulumi's engine around the provider, in one thread, with
//! the time of tokio's paused clock: whole lives of clusters in milliseconds, with something going wrong at
//! any of their requests, and what a provider promises held against what is there then.
//!
//! Simulated are: the API server (the one of all unit tests), controllers and kubelets ([`controllers`]), and
//! the engine ([`engine`]). The operator is the testbed's stand-in. The provider is itself, from the
//! service's calls down to its HTTP requests. Everything that happens in a round follows from its
//! [`rounds::Plan`].

mod budgets;
mod controllers;
mod defects;
mod engine;
mod faults;
mod fuzz;
mod gate;
mod hands;
mod honesty;
mod oracle;
mod outside;
mod promises;
mod random;
mod rounds;
mod runs;
mod stories;
mod users;
mod world;

/// Of a life a fourth was spent in that of the C library.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
