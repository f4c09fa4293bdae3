//! The API server: the way to it, objects, and watches. Nothing outside of this folder can send it anything.

mod backoff;
pub mod client;
pub mod objects;
pub mod watch;
