//! The engines of each release as Python wheels: libraries that a program in Python runs, without ports.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};
use clickhouse_provider::settings::catalogue::Release;
use sha2::{Digest as _, Sha256};

use crate::tools;

/// An engine of one release, as a pinned package.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// The release line that it is.
    pub release: Release,
    package: &'static str,
    hash: &'static str,
    /// Whether it judges configurations, and is kept on the machine for that: it takes half a gigabyte.
    pub judges: bool,
}

/// All of them, the oldest first.
pub const WHEELS: [Wheel; 6] = [
    wheel(25, 8, "chdb==3.7.2", "c119f0830c12438a4e4b60b8370859ba50992e8b1b01a8c681e1c57eeb2dc82d").judging(),
    wheel(26, 1, "chdb-core==26.1.0", "ff3559d024c10a31c5041ab4387e0b7d6a3b5d5bbf6dda884c5a36d4dc50ce47"),
    wheel(26, 3, "chdb-core==26.3.0", "2b91a47a69db1185908f51aebdb32d1258cf7c0646e7dc6be3d2922cb694e3ad"),
    wheel(26, 5, "chdb-core==26.5.0", "85ddbf675b4a070aa5abb79456b0a08643273dcf3977dc39f347c8acf846c804"),
    wheel(26, 7, "chdb-core==26.7.3", "b10b96f9599fab42ba51d9be80333e1819782bdc8a91b2b26979149693ba431f"),
    wheel(26, 9, "chdb-core==26.9.0", "707e2ec3fe0f7953bac97942eaeb7a1ed1d66b1e56ecef3f0aa2130f61f6e735")
        .judging(),
];

const fn wheel(year: u16, month: u16, package: &'static str, hash: &'static str) -> Wheel {
    Wheel { release: Release { year, month }, package, hash, judges: false }
}

impl Wheel {
    const fn judging(self) -> Self {
        Self { judges: true, ..self }
    }

    /// Those that judge configurations and are on this machine; none is downloaded.
    pub fn present() -> Result<Vec<Self>> {
        let mut present = Vec::new();
        for wheel in WHEELS.into_iter().filter(|wheel| wheel.judges) {
            if wheel.folder()?.exists() {
                present.push(wheel);
            }
        }
        Ok(present)
    }

    /// The folder of its packages, there or not.
    pub fn folder(self) -> Result<PathBuf> {
        let key = tools::hex(&Sha256::digest(self.pins()));
        let key = key.get(..16).context("a hash is longer")?;
        Ok(tools::cache_directory()?.join(format!("wheel-{key}")))
    }

    /// Downloads it by pip, where it is not there yet, and gives the folder of its packages.
    ///
    /// Fails when there is none for this machine, or the registry can't be reached.
    pub fn install(self) -> Result<PathBuf> {
        const PIP: &str = "-m pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps \
            --require-hashes --only-binary :all:";
        let folder = self.folder()?;
        tools::cached(&folder, |fresh| {
            let pins = tempfile::NamedTempFile::new()?;
            std::fs::write(pins.path(), self.pins())?;
            let mut pip = Command::new("python3");
            pip.args(PIP.split(' ')).arg("--target").arg(fresh).arg("-r").arg(pins.path());
            tools::run(&mut pip, &format!("downloading the engine of ClickHouse {}", self.release))
        })?;
        Ok(folder)
    }

    /// Takes it off this machine.
    pub fn remove(self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.folder()?)?)
    }

    fn pins(self) -> String {
        format!("{} --hash=sha256:{}\n", self.package, self.hash)
    }
}
