//! The repository's address, and every name that follows from it.

/// Where the package comes from.
///
/// Cargo.toml's `repository` is the one place that says it. While its owner is not known it stands under a
/// domain that is reserved for examples, so that nobody else can register what the package's users download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    host: &'a str,
    path: &'a str,
}

impl<'a> Origin<'a> {
    /// The origin whose repository is at `address`: `https://`, a host and a path.
    pub fn new(address: &'a str) -> Self {
        let address = address.strip_prefix("https://").unwrap_or(address).trim_end_matches('/');
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        Self { host, path }
    }

    /// Whether it stands for one that is not known yet.
    pub fn is_placeholder(self) -> bool {
        self.host == "example.com" || self.host.ends_with(".example.com")
    }

    /// The repository's address, for people.
    pub fn repository(self) -> String {
        format!("https://{}/{}", self.host, self.path)
    }

    /// Who publishes the package: the repository's owner.
    pub fn publisher(self) -> &'a str {
        self.path.split_once('/').map_or(self.host, |(owner, _)| owner)
    }

    /// Where Pulumi's command line finds the plugin's archives: the releases on GitHub, or a folder of files.
    pub fn download_url(self) -> String {
        if self.host == "github.com" {
            format!("github://api.github.com/{}", self.path)
        } else {
            format!("{}/releases", self.repository())
        }
    }

    /// Where a file of the repository is served as it is.
    pub fn file_url(self, file: &str) -> String {
        format!("{}/raw/main/{file}", self.repository())
    }

    /// The path of the Go module in `sdk/go`.
    pub fn go_module(self) -> String {
        format!("{}/{}/sdk/go", self.host, self.path)
    }

    /// The package above that of a generated Java SDK: the owner's domain, read backwards.
    pub fn java_package(self) -> String {
        let host = if self.host == "github.com" { "github.io" } else { self.host };
        let mut labels: Vec<&str> = host.rsplit('.').collect();
        labels.extend(self.path.split_once('/').map(|(owner, _)| owner));
        labels.join(".").replace('-', "_").to_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_github_plugin_and_modules_are_the_owners() {
        let origin = Origin::new("https://github.com/Some-Owner/pulumi-clickhouse/");
        assert!(!origin.is_placeholder());
        assert_eq!(origin.repository(), "https://github.com/Some-Owner/pulumi-clickhouse");
        assert_eq!(origin.publisher(), "Some-Owner");
        assert_eq!(origin.download_url(), "github://api.github.com/Some-Owner/pulumi-clickhouse");
        assert_eq!(
            origin.file_url("docs/logo.svg"),
            "https://github.com/Some-Owner/pulumi-clickhouse/raw/main/docs/logo.svg"
        );
        assert_eq!(origin.go_module(), "github.com/Some-Owner/pulumi-clickhouse/sdk/go");
        assert_eq!(origin.java_package(), "io.github.some_owner");
    }

    #[test]
    fn until_it_is_known_everything_stands_under_a_reserved_domain() {
        let origin = Origin::new("https://example.com/pulumi-clickhouse");
        assert!(origin.is_placeholder());
        assert_eq!(origin.publisher(), "example.com");
        assert_eq!(origin.download_url(), "https://example.com/pulumi-clickhouse/releases");
        assert_eq!(origin.go_module(), "example.com/pulumi-clickhouse/sdk/go");
        assert_eq!(origin.java_package(), "com.example");
    }
}
