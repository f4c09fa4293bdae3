//! The kubeconfig: where it comes from, what it says, what is wrong with it. Its contents are never repeated
//! in a text.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use secrecy::ExposeSecret;

use super::Settings;
use crate::kubernetes::error::Error;

/// The namespace where a context names none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// The largest kubeconfig that is read.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Why a kubeconfig can't be had. Says which file, where it is one.
#[derive(Debug, PartialEq, Eq)]
enum Problem {
    /// There is no such file, which may still come.
    Missing(String),
    /// It can't be used.
    Unusable(String),
}

impl Problem {
    fn text(self) -> String {
        match self {
            Self::Missing(text) | Self::Unusable(text) => text,
        }
    }
}

/// What is to be said of settings before anything uses them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is wrong: (setting, problem).
    pub failures: Vec<(&'static str, String)>,
    /// What may come right by itself.
    pub warnings: Vec<String>,
}

/// Finds what is wrong with the settings. Reads a kubeconfig's file, but asks no server; a file that is not
/// there may come in the same run, or need not be there for what is to be done.
pub fn check(settings: &Settings) -> Checked {
    let config = match read_given(settings) {
        None => return Checked::default(),
        Some(Ok(config)) => config,
        Some(Err(Problem::Missing(problem))) => {
            return Checked { warnings: vec![format!("`kubeconfig`: {problem}")], ..Checked::default() };
        }
        Some(Err(Problem::Unusable(problem))) => {
            return Checked { failures: vec![("kubeconfig", problem)], ..Checked::default() };
        }
    };
    Checked { failures: contradictions(settings, &config), warnings: Vec::new() }
}

fn contradictions(settings: &Settings, config: &Kubeconfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let contexts: Vec<_> = config.contexts.iter().map(|context| context.name.as_str()).collect();
    match (&settings.context, &config.current_context) {
        (Some(context), _) if !contexts.contains(&context.as_str()) => {
            problems.push((
                "context",
                format!("the kubeconfig has no context `{context}`; it has {}", listed(&contexts)),
            ));
        }
        (None, None) => problems.push((
            "kubeconfig",
            format!("it has no current context; set `context` to one of {}", listed(&contexts)),
        )),
        (None, Some(current)) if !contexts.contains(&current.as_str()) => {
            problems.push((
                "kubeconfig",
                format!("its current context `{current}` is not in it; it has {}", listed(&contexts)),
            ));
        }
        _ => {}
    }
    let clusters: Vec<_> = config.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    if let Some(cluster) = settings.cluster.as_ref().filter(|cluster| !clusters.contains(&cluster.as_str())) {
        problems.push((
            "cluster",
            format!("the kubeconfig has no cluster `{cluster}`; it has {}", listed(&clusters)),
        ));
    }
    problems
}

/// The URL of the API server that the settings lead to; `None` when they lead to none. Asks no server.
pub fn server(settings: &Settings) -> Option<String> {
    let config = read(settings).ok()?;
    let wanted = match &settings.cluster {
        Some(cluster) => cluster.clone(),
        None => context(settings, &config)?.cluster,
    };
    let cluster = config.clusters.into_iter().find(|cluster| cluster.name == wanted)?;
    cluster.cluster?.server.map(|server| server.trim_end_matches('/').to_owned())
}

/// The name of the context in use; `None` when there is none.
pub(super) fn context_name(settings: &Settings) -> Option<String> {
    settings.context.clone().or_else(|| read(settings).ok()?.current_context)
}

/// The namespace of the context, or of the service account, else `default`; `None` when no kubeconfig can be
/// read.
pub(super) fn namespace(settings: &Settings) -> Option<String> {
    match read(settings) {
        Ok(config) => {
            let namespace = context(settings, &config)
                .and_then(|context| context.namespace)
                .filter(|namespace| !namespace.is_empty());
            Some(namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()))
        }
        Err(_) => Config::incluster().ok().map(|config| config.default_namespace),
    }
}

/// The command of the credentials plugin that the settings lead to.
pub(super) fn plugin(settings: &Settings) -> Option<String> {
    let config = read(settings).ok()?;
    let user = context(settings, &config)?.user?;
    let user = config.auth_infos.into_iter().find(|named| named.name == user)?;
    user.auth_info?.exec?.command
}

/// The client's configuration.
pub(super) async fn load(settings: &Settings) -> Result<Config, Error> {
    let config = match read(settings) {
        Ok(config) => config,
        Err(Problem::Missing(problem)) if settings.kubeconfig.is_none() => return incluster(&problem),
        Err(problem) => return Err(unusable(&problem.text())),
    };
    let options = KubeConfigOptions {
        context: settings.context.clone(),
        cluster: settings.cluster.clone(),
        user: None,
    };
    Config::from_custom_kubeconfig(config, &options).await.map_err(|error| unusable(&describe(&error)))
}

/// In a pod there is no kubeconfig but a service account.
fn incluster(problem: &str) -> Result<Config, Error> {
    Config::incluster().map_err(|_| Error::Kubeconfig {
        message: format!(
            "no Kubernetes cluster is configured ({problem}); set `clickhouse:kubeconfig`, or the \
                environment variable KUBECONFIG"
        ),
    })
}

fn unusable(problem: &str) -> Error {
    Error::Kubeconfig { message: format!("the kubeconfig can't be used: {problem}") }
}

fn context(settings: &Settings, config: &Kubeconfig) -> Option<kube::config::Context> {
    let wanted = settings.context.as_ref().or(config.current_context.as_ref())?;
    config.contexts.iter().find(|context| &context.name == wanted)?.context.clone()
}

fn read(settings: &Settings) -> Result<Kubeconfig, Problem> {
    read_given(settings).unwrap_or_else(|| read_ambient(std::env::var_os("KUBECONFIG").as_deref()))
}

/// The kubeconfig that the settings give; `None` when they give none.
fn read_given(settings: &Settings) -> Option<Result<Kubeconfig, Problem>> {
    let given = settings.kubeconfig.as_ref()?.expose_secret().trim();
    if given.is_empty() {
        return None;
    }
    let read = if is_contents(given) {
        Kubeconfig::from_yaml(given).map_err(|error| Problem::Unusable(describe(&error)))
    } else {
        read_file(&expand(given))
    };
    let read = read.and_then(|config| {
        if config.clusters.is_empty() && config.contexts.is_empty() {
            let problem =
                "it holds neither clusters nor contexts; give a kubeconfig's contents or the path to one";
            return Err(Problem::Unusable(problem.to_owned()));
        }
        Ok(config)
    });
    Some(read)
}

/// What `KUBECONFIG` names, one file or several; else the file in the home directory.
fn read_ambient(variable: Option<&OsStr>) -> Result<Kubeconfig, Problem> {
    let mut paths: Vec<PathBuf> =
        variable.map(|paths| std::env::split_paths(paths).collect()).unwrap_or_default();
    paths.retain(|path| !path.as_os_str().is_empty());
    if paths.is_empty() {
        let home =
            std::env::home_dir().ok_or_else(|| Problem::Missing(describe(&KubeconfigError::FindPath)))?;
        paths.push(home.join(".kube").join("config"));
    }
    paths.iter().try_fold(Kubeconfig::default(), |merged, path| {
        merged
            .merge(read_file(path)?)
            .map_err(|error| Problem::Unusable(format!("'{}': {}", path.display(), describe(&error))))
    })
}

/// Reads a file: a regular one, since others may never end, and of a size that a kubeconfig has.
fn read_file(path: &Path) -> Result<Kubeconfig, Problem> {
    let unusable = |problem: String| Problem::Unusable(format!("'{}': {problem}", path.display()));
    match std::fs::metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(Problem::Missing(format!("failed to read '{}': {cause}", path.display())));
        }
        Err(cause) => return Err(Problem::Unusable(format!("failed to read '{}': {cause}", path.display()))),
        Ok(file) if !file.is_file() => return Err(unusable("it is not a regular file".to_owned())),
        Ok(file) if file.len() > MAX_BYTES => {
            return Err(unusable(format!(
                "it has {} bytes, which no kubeconfig has: at most {MAX_BYTES} are read",
                file.len()
            )));
        }
        Ok(_) => {}
    }
    Kubeconfig::read_from(path).map_err(|error| match error {
        // It names the file itself.
        KubeconfigError::ReadConfig(..) => Problem::Unusable(describe(&error)),
        _ => unusable(describe(&error)),
    })
}

/// Contents are YAML or JSON, a mapping in any case; a path is neither.
pub fn is_contents(given: &str) -> bool {
    given.contains('\n') || given.starts_with('{') || given.contains(": ")
}

fn expand(path: &str) -> PathBuf {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => std::env::home_dir()
            .map_or_else(|| PathBuf::from(path), |home| home.join(Path::new(rest.trim_start_matches('/')))),
        _ => PathBuf::from(path),
    }
}

/// The problem without a word of the contents.
fn describe(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(cause) => match cause.location() {
            Some(place) => format!(
                "it is not a valid kubeconfig in YAML (line {}, column {})",
                place.line(),
                place.column()
            ),
            None => "it is not a valid kubeconfig in YAML".to_owned(),
        },
        KubeconfigError::ReadConfig(cause, path) => format!("failed to read '{}': {cause}", path.display()),
        KubeconfigError::LoadContext(context) => format!("it has no context `{context}`"),
        KubeconfigError::LoadClusterOfContext(cluster) => format!("it has no cluster `{cluster}`"),
        KubeconfigError::CurrentContextNotSet => "it has no current context; set `context`".to_owned(),
        KubeconfigError::FindPath => "there is no home directory to look for `.kube/config` in".to_owned(),
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "its certificate authority can't be read".to_owned()
        }
        KubeconfigError::LoadClientCertificate(_) => "its client certificate can't be read".to_owned(),
        KubeconfigError::LoadClientKey(_) => "its client key can't be read".to_owned(),
        KubeconfigError::MissingClusterUrl => "its cluster names no server".to_owned(),
        KubeconfigError::ParseClusterUrl(_) => "its cluster's server is not a valid URL".to_owned(),
        _ => "it contradicts itself".to_owned(),
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
        clusters:\n- name: ca\n  cluster: {server: 'https://a.example:6443/'}\n- name: cb\n  cluster: \
        {server: 'https://b.example:6443'}\n\
        contexts:\n- name: a\n  context: {cluster: ca, user: u, namespace: team-a}\n- name: b\n  context: \
        {cluster: cb, user: u}\n\
        users:\n- name: u\n  user: {token: hunter2}\n";

    fn settings(kubeconfig: &str) -> Settings {
        Settings { kubeconfig: Some(kubeconfig.into()), ..Settings::default() }
    }

    #[test]
    fn the_server_follows_context_and_cluster() {
        let mut given = settings(VALID);
        assert_eq!(server(&given).as_deref(), Some("https://a.example:6443"));
        given.context = Some("b".into());
        assert_eq!(server(&given).as_deref(), Some("https://b.example:6443"));
        given.cluster = Some("ca".into());
        assert_eq!(server(&given).as_deref(), Some("https://a.example:6443"));
        given.cluster = Some("none".into());
        assert_eq!(server(&given), None);
    }

    #[test]
    fn the_namespace_is_the_contexts() {
        let mut given = settings(VALID);
        assert_eq!(namespace(&given).as_deref(), Some("team-a"));
        given.context = Some("b".into());
        assert_eq!(namespace(&given).as_deref(), Some("default"));
        assert_eq!(namespace(&settings("/nowhere/kubeconfig")), None);
    }

    #[test]
    fn problems_name_the_setting_and_what_there_is() {
        let mut given = settings(VALID);
        given.context = Some("prod".into());
        given.cluster = Some("cx".into());
        let problems = check(&given).failures;
        assert_eq!(problems.iter().map(|(field, _)| *field).collect::<Vec<_>>(), ["context", "cluster"]);
        assert!(problems[0].1.contains("`a`, `b`"), "{problems:?}");
        assert!(problems[1].1.contains("`ca`, `cb`"), "{problems:?}");
        assert_eq!(check(&settings(VALID)), Checked::default());
        assert_eq!(check(&Settings::default()), Checked::default());
    }

    #[test]
    fn an_unreadable_kubeconfig_is_told_without_its_contents() {
        let missing = check(&settings("/nowhere/kubeconfig"));
        assert!(
            missing.failures.is_empty() && missing.warnings[0].contains("'/nowhere/kubeconfig'"),
            "{missing:?}"
        );
        for broken in [
            "users:\n- name: u\n  user: {token: hunter2",
            "{\"token\": \"hunter2\"}",
            "users: hunter2\nclusters: []\n",
        ] {
            let problems = check(&settings(broken)).failures;
            assert_eq!(problems[0].0, "kubeconfig");
            assert!(!format!("{problems:?}").contains("hunter2"), "{problems:?}");
        }
    }

    #[test]
    fn what_is_no_file_of_a_kubeconfigs_size_is_not_read() {
        let folder = std::env::temp_dir().join(format!("kubeconfigs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let large = folder.join("large");
        std::fs::File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let fifo = folder.join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for (path, part) in [
            (Path::new("/dev/zero"), "regular file"),
            (&fifo, "regular file"),
            (&folder, "regular file"),
            (&large, "at most 4194304"),
        ] {
            let told = check(&settings(&path.display().to_string())).failures;
            assert!(
                told[0].1.starts_with(&format!("'{}': ", path.display())) && told[0].1.contains(part),
                "{told:?}"
            );
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_unusable_file_of_the_environment_is_named() {
        let folder = std::env::temp_dir().join(format!("ambient-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (sound, broken) = (folder.join("sound"), folder.join("broken"));
        std::fs::write(&sound, VALID).unwrap();
        std::fs::write(&broken, "users:\n- name: u\n  user: {token: hunter2").unwrap();
        let both = std::env::join_paths([&sound, &broken]).unwrap();
        let Err(Problem::Unusable(told)) = read_ambient(Some(&both)) else { panic!("it is unusable") };
        assert!(
            told.starts_with(&format!("'{}': it is not a valid kubeconfig", broken.display()))
                && !told.contains("hunter2"),
            "{told}"
        );
        assert_eq!(read_ambient(Some(sound.as_os_str())).unwrap().clusters.len(), 2);
        assert!(matches!(read_ambient(Some(OsStr::new("/nowhere/kubeconfig"))), Err(Problem::Missing(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_path_may_start_at_home() {
        assert!(expand("~/.kube/config").ends_with(".kube/config"));
        assert!(!expand("~/.kube/config").starts_with("~"));
        assert_eq!(expand("/etc/kube"), PathBuf::from("/etc/kube"));
    }
}
