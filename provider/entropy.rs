//! EFFECT: where all randomness comes from: passwords, task ids, jitter.

use rand::Rng;

/// Draws from the random numbers of this thread, which the operating system seeds. A test may seed them
/// itself, so that the same happens twice.
pub(crate) fn draw<T>(from: impl FnOnce(&mut dyn Rng) -> T) -> T {
    #[cfg(test)]
    if let Some(mut seeded) = SEEDED.take() {
        let drawn = from(&mut seeded);
        SEEDED.set(Some(seeded));
        return drawn;
    }
    from(&mut rand::rng())
}

#[cfg(test)]
thread_local! {
    static SEEDED: std::cell::Cell<Option<rand::rngs::StdRng>> = const { std::cell::Cell::new(None) };
}

/// Has everything that this thread draws from now on follow from `seed`.
#[cfg(test)]
pub(crate) fn seed(seed: u64) {
    use rand::SeedableRng as _;
    SEEDED.set(Some(rand::rngs::StdRng::seed_from_u64(seed)));
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_and_none_does_not() {
        let some = || (0..4).map(|_| draw(|rng| rng.random::<u64>())).collect::<Vec<_>>();
        assert_ne!(some(), some());
        seed(7);
        let first = some();
        seed(7);
        assert_eq!(some(), first);
        SEEDED.set(None);
    }
}
