//! Task ids: by them the operator tells which of our writes it is done with.

use rand::RngExt as _;

use crate::entropy::draw;

/// An id that was never used before. Every write of an installation carries one.
pub(super) fn new_id() -> String {
    let random: u128 = draw(|rng| rng.random());
    format!("pulumi-{random:032x}")
}
