//! A repeatable source of chance, for tests and fuzz targets.

/// Splitmix64.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below a limit; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % (limit.max(1) as u64)) as usize
    }

    /// One of two.
    pub fn flip(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

/// Seeds of workloads that are made by chance: so many, or as many as `CASK_CRASH_SEEDS` says.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    0..std::env::var("CASK_CRASH_SEEDS").ok().map_or(count, |text| text.parse().expect("CASK_CRASH_SEEDS is a number"))
}
