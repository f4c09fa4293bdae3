//! ClickHouse's own engines as judges of configuration: they say which settings there are, and what they
//! start with.
//!
//! They come from a package registry as libraries for Python, one for each release, and run in a process of
//! theirs, again and again with another configuration. What of a server is not in them: its ports, and what
//! its program looks for before it starts the engine.

pub mod catalogue;
pub mod engines;
pub mod judge;
mod mutations;
