//! The examples as people copy them: they name published packages. Here they are laid out with the packages
//! of this clone in the place of these.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clickhouse_provider::Origin;
use zip::ZipArchive;

use super::identity::Identity;
use super::packages::{self, NPM, Packages};
use crate::tools::workspace_directory;

/// What a program of an example is written in, by the names of the folders.
pub const LANGUAGES: [&str; 4] = ["yaml", "typescript", "python", "go"];

/// Where the packages are, beside the examples.
const PACKAGES: &str = "packages";

/// How a manifest names a package, published and here.
struct Named {
    /// The manifest's file name.
    manifest: &'static str,
    published: String,
    here: String,
}

/// The names of all examples.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace_directory().join("examples"))? {
        let path = entry?.path();
        if path.is_dir() {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Lays examples out in the empty folder `out`, all of them when none is named, with this clone's packages
/// beside them; the folders of their programs.
pub fn lay_out(chosen: &[&str], out: &Path) -> Result<Vec<PathBuf>> {
    let all = names()?;
    if let Some(unknown) = chosen.iter().find(|name| !all.iter().any(|known| known == *name)) {
        bail!("there is no example `{unknown}`, but {}", all.join(", "));
    }
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("`{}` is not empty: name a folder that is, or that is not there yet", out.display());
    }
    let identity = Identity::declared()?;
    let made = packages::make(&out.join(PACKAGES))?;
    let module = out.join(PACKAGES).join("go-module");
    unpack_go(&identity, &made.go, &module)?;
    let renamed = named(&identity, Some((&made, &module)), out)?;
    let mut programs = Vec::new();
    for name in all.iter().filter(|name| chosen.is_empty() || chosen.contains(&name.as_str())) {
        let folder = out.join(name);
        packages::copy(&workspace_directory().join("examples").join(name), &folder)?;
        for program in
            LANGUAGES.map(|language| folder.join(language)).into_iter().filter(|path| path.exists())
        {
            for named in &renamed {
                let manifest = program.join(named.manifest);
                if manifest.exists() {
                    let text = fs::read_to_string(&manifest)?;
                    if !text.contains(&named.published) {
                        bail!("{name}: {} does not name `{}`", named.manifest, named.published);
                    }
                    fs::write(&manifest, text.replace(&named.published, &named.here))?;
                }
            }
            programs.push(program);
        }
    }
    Ok(programs)
}

/// The path of the package that a laid-out program in TypeScript or Python is told to take.
pub fn package_of(program: &Path) -> Result<PathBuf> {
    for manifest in ["package.json", "requirements.txt"] {
        let Ok(text) = fs::read_to_string(program.join(manifest)) else { continue };
        let path = text.split(['"', '\n', ':']).find(|part| part.starts_with("../../packages/"));
        return Ok(program.join(path.with_context(|| format!("{manifest} names no package of this clone"))?));
    }
    bail!("`{}` has no manifest", program.display())
}

/// How each kind of manifest names the package of this identity; and, for `made`, the one below `out`.
fn named(identity: &Identity, made: Option<(&Packages, &Path)>, out: &Path) -> Result<[Named; 3]> {
    let Identity { repository, version } = identity;
    let module = Origin::new(repository).go_module();
    let beside =
        |path: &Path| -> Result<String> { Ok(format!("../../{}", path.strip_prefix(out)?.display())) };
    let [npm, wheel, go] = match made {
        Some((packages, module)) => [beside(&packages.npm)?, beside(&packages.wheel)?, beside(module)?],
        None => Default::default(),
    };
    let dependency = |of: &str| format!("\"{NPM}\": \"{of}\"");
    let required = format!("{module} v{version}\n");
    Ok([
        Named {
            manifest: "package.json",
            published: dependency(&format!("^{version}")),
            here: dependency(&format!("file:{npm}")),
        },
        Named { manifest: "requirements.txt", published: format!("{NPM}~={version}"), here: wheel },
        Named {
            manifest: "go.mod",
            // In the block of what is required, whose end it takes along.
            published: format!("require (\n\t{required}"),
            here: format!("replace {module} => {go}\n\nrequire (\n\t{required}"),
        },
    ])
}

/// Unpacks the module that a proxy's folder serves.
fn unpack_go(identity: &Identity, proxy: &Path, folder: &Path) -> Result<()> {
    let Identity { repository, version } = identity;
    let module = Origin::new(repository).go_module();
    let mut archive = ZipArchive::new(File::open(packages::go_archive(identity, proxy))?)?;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let name = file.enclosed_name().context("a file of the module is inside of it")?;
        let target = folder.join(name.strip_prefix(format!("{module}@v{version}"))?);
        fs::create_dir_all(target.parent().context("a file has a folder")?)?;
        std::io::copy(&mut file, &mut File::create(target)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_names_the_published_package_of_this_version() {
        let identity = Identity::declared().unwrap();
        let expected = named(&identity, None, Path::new("")).unwrap();
        let mut found = 0;
        for name in names().unwrap() {
            for language in LANGUAGES {
                let folder = workspace_directory().join("examples").join(&name).join(language);
                for Named { manifest, published, .. } in &expected {
                    let Ok(text) = fs::read_to_string(folder.join(manifest)) else { continue };
                    assert!(text.contains(published), "{name}: {manifest} has no {published}");
                    for path in ["file:", "..", "replace"] {
                        assert!(!text.contains(path), "{name}: {manifest} depends on a path");
                    }
                    found += 1;
                }
                assert!(!folder.join(".npmrc").exists() && !folder.join("go.sum").exists(), "{name}");
            }
        }
        assert!(found > 12, "{found} manifests");
    }

    #[test]
    fn a_folder_with_something_in_it_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "").unwrap();
        let refused = lay_out(&["quickstart"], folder.path()).unwrap_err().to_string();
        assert!(refused.contains("is not empty"), "{refused}");
        let unknown = lay_out(&["none"], folder.path()).unwrap_err().to_string();
        assert!(unknown.contains("there is no example `none`, but analytics, "), "{unknown}");
    }
}
