//! EFFECT: runs the credentials plugin that a kubeconfig's user names.

use std::process::Stdio;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{Instant, timeout_at};

use crate::kubernetes::error::Error;

/// The largest answer of a plugin that is read.
const MAX_BYTES: u64 = 1024 * 1024;

/// How long before their end credentials are renewed, at most: half of their time for short ones.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// What a plugin prints. Its values are never repeated.
#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<Timestamp>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// Fills in the credentials of a user whose only way to them is a plugin; gives when they are to be renewed.
/// The plugin is ended at `deadline`, and when nobody waits for it any more.
pub(super) async fn log_in(user: &mut AuthInfo, deadline: Instant) -> Result<Option<Instant>, Error> {
    let has_password = user.username.is_some() && user.password.is_some();
    if has_password || user.auth_provider.is_some() || user.token.is_some() || user.token_file.is_some() {
        return Ok(None);
    }
    let Some(plugin) = user.exec.take() else { return Ok(None) };
    let command = plugin
        .command
        .clone()
        .ok_or_else(|| failed("the user of the kubeconfig has a plugin without a `command`"))?;
    let started = Instant::now();
    let Ok(printed) = timeout_at(deadline, run(&plugin, &command)).await else {
        let waited = started.elapsed().as_secs();
        return Err(failed(&format!(
            "`{command}` of the kubeconfig did not end within {waited} seconds; run it by hand to log in \
                first"
        )));
    };
    // JSON is YAML, and some plugins print the latter.
    let credential: Option<ExecCredential> = serde_saphyr::from_slice(&printed?).ok();
    let gave_none = || {
        failed(&format!(
            "`{command}` of the kubeconfig printed no ExecCredential; run it by hand to log in first"
        ))
    };
    let status = credential.and_then(|credential| credential.status).ok_or_else(gave_none)?;
    match (status.token, status.client_certificate_data, status.client_key_data) {
        (_, Some(certificate), Some(key)) => {
            user.client_certificate_data = base64(certificate);
            user.client_key_data = base64(key).map(SecretString::from);
        }
        (Some(token), ..) => user.token = Some(token.into()),
        _ => return Err(gave_none()),
    }
    Ok(status.expiration_timestamp.map(|end| {
        let left = end.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO);
        Instant::now() + left.saturating_sub(RENEW_BEFORE.min(left / 2))
    }))
}

async fn run(plugin: &ExecConfig, command: &str) -> Result<Vec<u8>, Error> {
    // The standard input is the engine's, so nobody can be asked anything there.
    let mut spec = json!({"interactive": false});
    if plugin.provide_cluster_info {
        spec["cluster"] = serde_json::to_value(&plugin.cluster).unwrap_or_default();
    }
    let info = json!({"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec});
    let quiet = plugin.interactive_mode == Some(ExecInteractiveMode::Never);
    let variables = plugin
        .env
        .iter()
        .flatten()
        .filter_map(|variable| Some((variable.get("name")?, variable.get("value")?)));
    let mut child = Command::new(command)
        .args(plugin.args.iter().flatten())
        .envs(variables)
        .env("KUBERNETES_EXEC_INFO", info.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(if quiet { Stdio::null() } else { Stdio::inherit() })
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| {
            failed(&format!(
                "the kubeconfig's plugin can't be started (`{command}`: {cause}); install it, or \
                put it on the PATH"
            ))
        })?;
    let mut printed = Vec::new();
    let output = child.stdout.take();
    let read = async {
        if let Some(output) = output {
            output.take(MAX_BYTES).read_to_end(&mut printed).await?;
        }
        child.wait().await
    };
    let ended = read
        .await
        .map_err(|cause| failed(&format!("`{command}` of the kubeconfig can't be waited for: {cause}")))?;
    if !ended.success() {
        return Err(failed(&format!(
            "`{command}` of the kubeconfig ended with {ended}; run it by hand to find out why"
        )));
    }
    Ok(printed)
}

fn failed(problem: &str) -> Error {
    Error::Kubeconfig { message: format!("failed to get credentials: {problem}") }
}

/// As a kubeconfig holds certificates and keys.
fn base64(text: String) -> Option<String> {
    serde_json::to_value(ByteString(text.into_bytes())).ok()?.as_str().map(str::to_owned)
}
