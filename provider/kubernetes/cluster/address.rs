//! Addresses and URLs of a cluster.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::state::{Connection, Endpoint, Endpoints};

/// The port of the HTTP interface.
pub(super) const HTTP_PORT: u16 = 8123;
/// The port of the native protocol.
pub(super) const NATIVE_PORT: u16 = 9000;

/// What stands for itself in each part of a URL (RFC 3986's unreserved characters).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The addresses at `host`, without a login.
pub(super) fn endpoints(host: &str) -> Endpoints {
    let at = |scheme: &str, port: u16| Endpoint {
        host: host.to_owned(),
        port,
        url: format!("{scheme}://{}:{port}", bracketed(host)),
    };
    Endpoints {
        http: Some(at("http", HTTP_PORT)),
        native: Some(at("clickhouse", NATIVE_PORT)),
        https: None,
        native_secure: None,
    }
}

/// The addresses with the login in them.
pub(super) fn connection(endpoints: &Endpoints, username: &str, password: &str) -> Connection {
    let (user, password) = (utf8_percent_encode(username, RESERVED), utf8_percent_encode(password, RESERVED));
    let url = |endpoint: &Option<Endpoint>, scheme: &str| {
        endpoint
            .as_ref()
            .map(|at| format!("{scheme}://{user}:{password}@{}:{}/", bracketed(&at.host), at.port))
            .unwrap_or_default()
    };
    let jdbc_url = endpoints
        .http
        .as_ref()
        .map(|at| {
            format!("jdbc:clickhouse://{}:{}/?user={user}&password={password}", bracketed(&at.host), at.port)
        })
        .unwrap_or_default();
    Connection {
        http_url: url(&endpoints.http, "http"),
        native_url: url(&endpoints.native, "clickhouse"),
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
    fn a_login_with_odd_characters_stays_one_login() {
        let connection = connection(&endpoints("db.example"), "ad@min", "p:w/d?&#%");
        assert_eq!(connection.http_url, "http://ad%40min:p%3Aw%2Fd%3F%26%23%25@db.example:8123/");
        assert_eq!(
            connection.jdbc_url,
            "jdbc:clickhouse://db.example:8123/?user=ad%40min&password=p%3Aw%2Fd%3F%26%23%25"
        );
    }

    #[test]
    fn an_ipv6_address_is_bracketed_in_urls_only() {
        let http = endpoints("2001:db8::1").http.expect("has http");
        assert_eq!((http.host.as_str(), http.url.as_str()), ("2001:db8::1", "http://[2001:db8::1]:8123"));
    }
}
