//! Addresses and URLs of a cluster.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::state::{Connection, Endpoint, Endpoints};

/// The port of the HTTP interface.
pub(super) const HTTP_PORT: u16 = 8123;
/// The port of the native protocol.
pub(super) const NATIVE_PORT: u16 = 9000;

/// The port of the HTTP interface over TLS.
pub(super) const HTTPS_PORT: u16 = 8443;
/// The port of the native protocol over TLS.
pub(super) const NATIVE_SECURE_PORT: u16 = 9440;
/// The port between hosts over TLS.
pub(super) const INTERSERVER_HTTPS_PORT: u16 = 9010;

/// Which ports clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    /// Of the HTTP interface.
    pub(super) http: Option<u16>,
    /// Of the native protocol.
    pub(super) native: Option<u16>,
    /// Of the HTTP interface over TLS.
    pub(super) https: Option<u16>,
    /// Of the native protocol over TLS.
    pub(super) native_secure: Option<u16>,
}

impl Ports {
    /// Those without TLS, and those with it.
    pub(super) fn new(plain: bool, secure: bool) -> Self {
        Self {
            http: plain.then_some(HTTP_PORT),
            native: plain.then_some(NATIVE_PORT),
            https: secure.then_some(HTTPS_PORT),
            native_secure: secure.then_some(NATIVE_SECURE_PORT),
        }
    }

    /// Each with the name that the operator gives it.
    pub(super) fn each(self) -> impl Iterator<Item = (&'static str, u16)> {
        let Self { http, native, https, native_secure } = self;
        let all = [("http", http), ("tcp", native), ("https", https), ("secureclient", native_secure)];
        all.into_iter().filter_map(|(name, port)| Some((name, port?)))
    }
}

/// What stands for itself in each part of a URL (RFC 3986's unreserved characters).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The addresses at `host`, without a login.
pub(super) fn endpoints(host: &str, Ports { http, native, https, native_secure }: Ports) -> Endpoints {
    let at = |scheme: &str, port: u16, more: &str| Endpoint {
        host: host.to_owned(),
        port,
        url: format!("{scheme}://{}:{port}{more}", bracketed(host)),
    };
    Endpoints {
        http: http.map(|port| at("http", port, "")),
        native: native.map(|port| at("clickhouse", port, "")),
        https: https.map(|port| at("https", port, "")),
        native_secure: native_secure.map(|port| at("clickhouse", port, "/?secure=true")),
    }
}

/// The addresses with the login in them, over TLS where there is any.
pub(super) fn connection(endpoints: &Endpoints, username: &str, password: &str) -> Connection {
    let (user, password) = (utf8_percent_encode(username, RESERVED), utf8_percent_encode(password, RESERVED));
    let url = |endpoint: Option<&Endpoint>, scheme: &str| {
        endpoint
            .map(|at| format!("{scheme}://{user}:{password}@{}:{}/", bracketed(&at.host), at.port))
            .unwrap_or_default()
    };
    let Endpoints { http, native, https, native_secure } = endpoints;
    let (scheme, ssl) = if https.is_some() { ("https", "&ssl=true") } else { ("http", "") };
    let http = https.as_ref().or(http.as_ref());
    let jdbc_url = http
        .map(|at| {
            let place = format!("{}:{}", bracketed(&at.host), at.port);
            format!("jdbc:clickhouse://{place}/?user={user}&password={password}{ssl}")
        })
        .unwrap_or_default();
    let secure = if native_secure.is_some() { "?secure=true" } else { "" };
    Connection {
        http_url: url(http, scheme),
        native_url: url(native_secure.as_ref().or(native.as_ref()), "clickhouse") + secure,
        jdbc_url,
    }
}

/// An IPv6 address as a URL holds it; anything else as it is.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_tls_the_login_goes_over_it() {
        for plain in [true, false] {
            let endpoints = endpoints("db.example", Ports::new(plain, true));
            assert_eq!(endpoints.http.is_some(), plain);
            let connection = connection(&endpoints, "boss", "hush");
            assert_eq!(connection.http_url, "https://boss:hush@db.example:8443/");
            assert_eq!(connection.native_url, "clickhouse://boss:hush@db.example:9440/?secure=true");
            assert_eq!(
                connection.jdbc_url,
                "jdbc:clickhouse://db.example:8443/?user=boss&password=hush&ssl=true"
            );
        }
    }

    #[test]
    fn a_login_with_odd_characters_stays_one_login() {
        let connection = connection(&endpoints("db.example", Ports::new(true, false)), "ad@min", "p:w/d?&#%");
        assert_eq!(connection.http_url, "http://ad%40min:p%3Aw%2Fd%3F%26%23%25@db.example:8123/");
        assert_eq!(
            connection.jdbc_url,
            "jdbc:clickhouse://db.example:8123/?user=ad%40min&password=p%3Aw%2Fd%3F%26%23%25"
        );
    }

    #[test]
    fn an_ipv6_address_is_bracketed_in_urls_only() {
        let http = endpoints("2001:db8::1", Ports::new(true, false)).http.expect("has http");
        assert_eq!((http.host.as_str(), http.url.as_str()), ("2001:db8::1", "http://[2001:db8::1]:8123"));
    }
}
