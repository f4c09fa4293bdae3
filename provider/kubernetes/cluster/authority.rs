//! EFFECT: reads the certificate of the authority that has signed the hosts' own.

use super::login;
use crate::kubernetes::client::Api;
use crate::kubernetes::meta::{Kind, ObjectRef};
use crate::kubernetes::objects::fetch;

/// The key of the authority's certificate.
const KEY: &str = "ca.crt";

/// What the Secret `secret` has of it; `last` where it can't be read.
pub(super) async fn read(api: &Api, namespace: &str, secret: &str, last: Option<String>) -> Option<String> {
    match fetch(api, &ObjectRef::new(Kind::Secret, namespace, secret)).await {
        Ok(found) => found.and_then(|found| login::decode(&found, KEY)).filter(|text| !text.is_empty()),
        Err(_) => last,
    }
}
