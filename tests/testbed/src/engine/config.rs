//! From what a pod mounts to the files that its engine reads.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::pod::{Files, Mounted};
use super::process::Ports;

/// The file that a server starts with.
pub(super) const MAIN: &str = "/etc/clickhouse-server/config.xml";
/// The variable with the hash of `default`'s password, for an engine that does not check it.
const HASH: &str = "PASSWORD_SHA256";
/// Where a server's configuration is, in its container.
const CONFIGURATION: &str = "/etc/clickhouse-server";
/// Where its data is.
pub(super) const DATA: &str = "/var/lib/clickhouse";
const LOGS: &str = "/var/log/clickhouse-server";

/// The files of an engine, by their paths in its folder `home`, out of those that its pod mounts.
///
/// Paths of the container become paths in `home`, and hosts for which `find` knows ports become loopback
/// addresses. What else differs from the pod's own files is in `zz-testbed.xml`; an engine that does not
/// check passwords lets `default` in without.
pub(super) fn files(
    mounted: &Mounted,
    home: &Path,
    ports: Ports,
    checks: bool,
    mut find: impl FnMut(&str) -> Option<Ports>,
) -> Files {
    let root = home.display().to_string();
    let mut files: Files = mounted
        .files
        .iter()
        .map(|(path, text)| (path.clone(), with_loopback(&with_root(text, &root, mounted), &mut find)))
        .collect();
    let configuration = format!("{root}{CONFIGURATION}");
    let base = format!(
        "<clickhouse><logger><level>information</level><console>1</console></logger>\
         <path>{root}{DATA}/</path><tmp_path>{root}{DATA}/tmp/</tmp_path>\
         <user_files_path>{root}{DATA}/user_files/</user_files_path>\
         <filesystem_caches_path>{root}{DATA}/</filesystem_caches_path>\
         <users_config>{configuration}/users.xml</users_config>\
         <default_database>default</default_database></clickhouse>\n"
    );
    files.insert(MAIN.to_owned(), base);
    let users = "<clickhouse><profiles><default/></profiles><quotas><default/></quotas>\
         <users><default><password></password><networks><ip>::/0</ip></networks>\
         <profile>default</profile><quota>default</quota></default></users></clickhouse>\n";
    files.insert(format!("{CONFIGURATION}/users.xml"), users.to_owned());
    // `clickhouse local` takes a section of this name for its option `--compression`.
    let own = format!(
        "<clickhouse><listen_host remove=\"1\"/><compression remove=\"1\"/><logger><log \
            remove=\"1\"/><errorlog remove=\"1\"/></logger>\
         <http_port>{}</http_port><tcp_port>{}</tcp_port></clickhouse>\n",
        ports.http, ports.tcp
    );
    files.insert(format!("{CONFIGURATION}/conf.d/zz-testbed.xml"), own);
    if let Some((kind, element)) = default_password(&mounted.files) {
        // The engine's own session logs in as `default` with an empty password, so that one is let in beside
        // the user's own.
        let either = format!(
            "<auth_methods><own>{element}</own><testbed><password></password></testbed></auth_methods>"
        );
        let login = if checks { &either } else { "<no_password/>" };
        let text = format!(
            "<clickhouse><users><default><password remove=\"1\"/><{kind} \
                remove=\"1\"/>{login}</default></users></clickhouse>\n"
        );
        files.insert(format!("{CONFIGURATION}/users.d/zz-testbed.xml"), text);
    }
    files
}

/// What tells an engine that does not check passwords which one is right.
pub(super) fn variables(mounted: &Mounted) -> Vec<(String, String)> {
    let hash = default_password(&mounted.files)
        .and_then(|(_, element)| between(element, ">", "<").map(|(_, hash, _)| hash.to_owned()));
    hash.map(|hash| (HASH.to_owned(), hash)).into_iter().collect()
}

/// The place of a path of the container in the folder of a pod.
pub(super) fn inside(home: &Path, path: &str) -> PathBuf {
    home.join(path.trim_start_matches('/'))
}

/// The text with its absolute paths in the folder `root`.
fn with_root(text: &str, root: &str, mounted: &Mounted) -> String {
    let folders = mounted.volumes.keys().map(|folder| folder.trim_end_matches('/'));
    // One that begins with another's path has got its root with that one.
    let prefixes = [CONFIGURATION, DATA, LOGS].into_iter().chain(folders);
    prefixes.fold(text.to_owned(), |text, prefix| {
        text.replace(&format!(">{prefix}"), &format!(">{root}{prefix}"))
    })
}

/// The text with the loopback ports of those `<host>`s, and of the `<port>`s after them, that are known.
fn with_loopback(text: &str, find: &mut impl FnMut(&str) -> Option<Ports>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, host, after)) = between(rest, "<host>", "</host>") {
        out.push_str(before);
        let known = find(host);
        let name = if known.is_some() { "127.0.0.1" } else { host };
        let _ = write!(out, "<host>{name}</host>");
        rest = after;
        if let (Some(ports), Some((gap, _, after))) = (known, between(rest, "<port>", "</port>"))
            && gap.trim().is_empty()
        {
            let _ = write!(out, "{gap}<port>{}</port>", ports.tcp);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// The kind of `default`'s password and its element, where there is one.
fn default_password(mounted: &Files) -> Option<(&'static str, &str)> {
    let users = mounted.iter().filter(|(path, _)| path.starts_with(&format!("{CONFIGURATION}/users.d/")));
    let mut found = None;
    for (_, text) in users {
        let Some((_, users, _)) = between(text, "<users>", "</users>") else { continue };
        let Some((_, default, _)) = between(users, "<default>", "</default>") else { continue };
        for kind in ["password_sha256_hex", "password_double_sha1_hex"] {
            let Some(at) = default.find(&format!("<{kind}")) else { continue };
            let end = format!("</{kind}>");
            if let Some(length) = default[at..].find(&end) {
                found = Some((kind, &default[at..at + length + end.len()]));
            }
        }
    }
    found
}

/// What is before, between and after the first occurrences of two marks.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let (before, rest) = text.split_once(open)?;
    let (inner, after) = rest.split_once(close)?;
    Some((before, inner, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ports = Ports { http: 20_000, tcp: 20_001 };

    fn made(path: &str, text: &str) -> Files {
        let mounted =
            Mounted { files: Files::from([(path.to_owned(), text.to_owned())]), ..Mounted::default() };
        files(&mounted, Path::new("/tmp/pod"), OWN, true, |host| {
            host.starts_with("chi-").then_some(Ports { http: 20_002, tcp: 20_003 })
        })
    }

    #[test]
    fn hosts_of_the_testbed_become_loopback_ports_and_others_stay() {
        let path = "/etc/clickhouse-server/config.d/remote_servers.xml";
        let text =
            "<a><host>chi-db-0-0</host>\n  <port>9000</port></a><a><host>keeper</host><port>2181</port></a>";
        let expected =
            "<a><host>127.0.0.1</host>\n  <port>20003</port></a><a><host>keeper</host><port>2181</port></a>";
        assert_eq!(made(path, text)[path], expected);
    }

    #[test]
    fn paths_of_the_container_are_in_the_pods_folder() {
        let path = "/etc/clickhouse-server/config.d/storage.xml";
        let text = "<path>/var/lib/clickhouse2/</path><key>/etc/clickhouse-server/secrets.d/key</key>";
        let expected = "<path>/tmp/pod/var/lib/clickhouse2/</path>\
            <key>/tmp/pod/etc/clickhouse-server/secrets.d/key</key>";
        assert_eq!(made(path, text)[path], expected);
    }

    #[test]
    fn the_default_user_keeps_its_password_beside_the_engines_own_login() {
        let users = "<clickhouse><users><app><password_sha256_hex>00</password_sha256_hex></app>\
            <default><password remove=\"1\"></password><password_sha256_hex>ab</password_sha256_hex>\
            </default></users></clickhouse>";
        let files = made("/etc/clickhouse-server/users.d/users.xml", users);
        let login = &files["/etc/clickhouse-server/users.d/zz-testbed.xml"];
        assert!(login.contains("<own><password_sha256_hex>ab</password_sha256_hex></own>"), "{login}");
        let open = made(
            "/etc/clickhouse-server/users.d/users.xml",
            "<clickhouse><users><default/></users></clickhouse>",
        );
        assert!(!open.contains_key("/etc/clickhouse-server/users.d/zz-testbed.xml"));
    }
}
