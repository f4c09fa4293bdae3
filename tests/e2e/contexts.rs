//! Another Kubernetes cluster than the one that the state tells of, by whatever way Pulumi came to it:
//! nothing is made there, nothing is changed here, and nothing is forgotten.

use k8s_openapi::api::rbac::v1::Role;
use kube::ResourceExt as _;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use testbed::pulumi::Stack;
use testbed::{Namespace, Testbed, needs};

use crate::support::{acting_as, documented_role, grant, objects, program};

/// A way to another Kubernetes cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The environment variable KUBECONFIG.
    Environment,
    /// `kubectl config use-context`.
    CurrentContext,
    /// The provider's configuration in the stack: its `context`.
    ConfiguredContext,
    /// An explicit provider's kubeconfig.
    Provider,
}

/// A stack here, and the two clusters' kubeconfigs for it.
struct Journey {
    way: Way,
    here: Namespace,
    there: Namespace,
    stack: Stack,
    kubeconfigs: [String; 2],
    /// Where Pulumi is.
    away: bool,
}

fn server(kubeconfig: &str) -> String {
    let kubeconfig: Value = serde_json::from_str(kubeconfig).unwrap();
    kubeconfig["clusters"][0]["cluster"]["server"].as_str().unwrap().to_owned()
}

/// Both kubeconfigs in one, with the contexts `here` and `there`.
fn merged(kubeconfigs: &[String; 2], current: &str) -> String {
    let mut merged = json!({"apiVersion": "v1", "kind": "Config", "current-context": current, "clusters": [],
        "users": [], "contexts": []});
    for (name, kubeconfig) in ["here", "there"].into_iter().zip(kubeconfigs) {
        let mut kubeconfig: Value = serde_json::from_str(kubeconfig).unwrap();
        for list in ["clusters", "users", "contexts"] {
            let mut entry = kubeconfig[list][0].take();
            entry["name"] = json!(name);
            if list == "contexts" {
                entry["context"] = json!({"cluster": name, "user": name});
            }
            merged[list].as_array_mut().unwrap().push(entry);
        }
    }
    merged.to_string()
}

impl Journey {
    /// Begins with a cluster that is up here. With `user`, everything is done as that one.
    async fn begin(way: Way, user: Option<(&str, Role)>) -> Self {
        let testbed = Testbed::shared().await;
        let elsewhere = testbed.elsewhere().await.unwrap();
        let here = testbed.namespace().await.unwrap();
        let there = elsewhere.namespace(here.name()).await.unwrap();
        let paths = [testbed.kubeconfig().to_owned(), elsewhere.kubeconfig()];
        let mut kubeconfigs = paths.clone().map(|path| std::fs::read_to_string(path).unwrap());
        if let Some((user, role)) = user {
            kubeconfigs = paths.map(|path| acting_as(&path, user));
            for namespace in [&here, &there] {
                grant(namespace, role.clone(), user).await;
            }
        }
        let mut stack = testbed.stack("resources: {}\n").await.unwrap();
        let path = stack.directory().join("kubeconfig").display().to_string();
        stack.set_environment("KUBECONFIG", &path);
        let mut journey = Self { way, here, there, stack, kubeconfigs, away: false };
        journey.go(false, 1).await;
        journey.stack.up().await.unwrap().succeeded().unwrap();
        journey
    }

    /// Leads Pulumi there or back, and sets the program.
    async fn go(&mut self, away: bool, shards: u32) {
        self.away = away;
        let kubeconfig = &self.kubeconfigs[usize::from(away)];
        let context = if away { "there" } else { "here" };
        let ambient = match self.way {
            Way::Environment => kubeconfig.clone(),
            Way::CurrentContext => merged(&self.kubeconfigs, context),
            Way::ConfiguredContext => merged(&self.kubeconfigs, "here"),
            Way::Provider => String::new(),
        };
        std::fs::write(self.stack.directory().join("kubeconfig"), ambient).unwrap();
        if self.way == Way::ConfiguredContext {
            self.stack.set_config("clickhouse:context", context, false).await.unwrap();
        }
        let text = program(self.here.name(), &json!({"name": "db", "shards": shards}));
        let text = if self.way == Way::Provider {
            let provider =
                json!({"type": "pulumi:providers:clickhouse", "properties": {"kubeconfig": kubeconfig}});
            let text = text.replacen("\"options\":{}", "\"options\":{\"provider\":\"${kube}\"}", 1);
            text.replacen("resources: {", &format!("resources: {{\"kube\": {provider}, "), 1)
        } else {
            text
        };
        self.stack.set_program(&text).unwrap();
    }

    /// What the state says of the cluster, in clear. The engine's own notes beside it come and go.
    async fn stated(&self) -> Value {
        let export = self.stack.run(&["stack", "export", "--show-secrets"]).await.unwrap().json().unwrap();
        let resources = export["deployment"]["resources"].as_array().unwrap();
        let cluster = resources
            .iter()
            .find(|resource| resource["type"] == "clickhouse:kubernetes:Cluster")
            .expect("it is in the state");
        json!({"urn": cluster["urn"], "id": cluster["id"], "inputs": cluster["inputs"],
            "outputs": cluster["outputs"]})
    }

    /// Everything that Pulumi may be told to do, there.
    async fn fails_there(&mut self) {
        let (state, left) = (self.stated().await, objects(&self.here).await);
        self.go(true, 2).await;
        // What is configured in the program is only known by running it.
        for command in [
            vec!["preview"],
            vec!["up", "--yes", "--skip-preview"],
            vec!["refresh", "--yes", "--skip-preview", "--run-program"],
            vec!["destroy", "--yes", "--skip-preview", "--run-program"],
        ] {
            let run = self.stack.run(&command).await.unwrap().failed().unwrap();
            for part in self.kubeconfigs.iter().map(|kubeconfig| server(kubeconfig)) {
                assert!(run.text().contains(&part), "{:?}: `{part}` is not in:\n{}", self.way, run.text());
            }
            assert_eq!(self.stated().await, state, "{:?}: `{command:?}` changed the state", self.way);
            assert_eq!(
                objects(&self.there).await,
                Vec::<String>::new(),
                "{:?}: `{command:?}` made something there",
                self.way
            );
            assert_eq!(
                objects(&self.here).await,
                left,
                "{:?}: `{command:?}` changed something here",
                self.way
            );
        }
    }

    /// Everything goes on here.
    async fn goes_on_here(mut self) {
        let uid = self.here.installations().get("db").await.unwrap().uid();
        self.go(false, 2).await;
        self.stack.up().await.unwrap().succeeded().unwrap();
        self.stack
            .run(&["refresh", "--yes", "--skip-preview", "--expect-no-changes"])
            .await
            .unwrap()
            .succeeded()
            .unwrap();
        let installation = self.here.installations().get("db").await.unwrap();
        assert_eq!(installation.uid(), uid, "{:?}", self.way);
        assert_eq!(
            installation.data["spec"]["configuration"]["clusters"][0]["layout"]["shardsCount"], 2,
            "{:?}",
            self.way
        );
        self.stack.destroy().await.unwrap().succeeded().unwrap();
        assert_eq!(
            self.here.installations().list(&ListParams::default()).await.unwrap().items.len(),
            0,
            "{:?}",
            self.way
        );
    }
}

async fn there_and_back(way: Way) {
    let mut journey = Journey::begin(way, None).await;
    journey.fails_there().await;
    journey.goes_on_here().await;
}

#[tokio::test]
async fn a_kubeconfig_of_another_cluster_is_told_and_changes_nothing() {
    needs!(ControlPlanes);
    there_and_back(Way::Environment).await;
}

#[tokio::test]
async fn another_current_context_is_told_and_changes_nothing() {
    needs!(ControlPlanes);
    there_and_back(Way::CurrentContext).await;
}

#[tokio::test]
async fn another_configured_context_is_told_and_changes_nothing() {
    needs!(ControlPlanes);
    there_and_back(Way::ConfiguredContext).await;
}

#[tokio::test]
async fn another_provider_is_told_and_changes_nothing() {
    needs!(ControlPlanes);
    there_and_back(Way::Provider).await;
}

#[tokio::test]
async fn who_may_read_only_the_namespace_is_told_too() {
    needs!(ControlPlanes);
    let mut journey = Journey::begin(Way::CurrentContext, Some(("deployer", documented_role()))).await;
    journey.fails_there().await;
    journey.goes_on_here().await;
}

#[tokio::test]
async fn who_may_not_even_read_the_namespace_forgets_nothing() {
    needs!(ControlPlanes);
    let mut role = documented_role();
    role.rules
        .as_mut()
        .unwrap()
        .retain(|rule| rule.resources.as_ref().is_none_or(|resources| resources != &["namespaces"]));
    let mut journey = Journey::begin(Way::CurrentContext, Some(("blind", role))).await;
    let (state, left) = (journey.stated().await, objects(&journey.here).await);
    journey.go(true, 2).await;
    for command in ["preview", "up", "refresh", "destroy"] {
        let arguments =
            if command == "preview" { vec![command] } else { vec![command, "--yes", "--skip-preview"] };
        journey.stack.run(&arguments).await.unwrap().failed().unwrap();
        assert_eq!(journey.stated().await, state, "`{command}` changed the state");
        assert_eq!(objects(&journey.there).await, Vec::<String>::new(), "`{command}` made something there");
        assert_eq!(objects(&journey.here).await, left, "`{command}` changed something here");
    }
    journey.goes_on_here().await;
}

/// An object of the same name there is not ours either.
#[tokio::test]
async fn a_namesake_in_another_cluster_is_left_alone() {
    needs!(ControlPlanes);
    let mut journey = Journey::begin(Way::Environment, None).await;
    let theirs = json!({
        "apiVersion": "clickhouse.altinity.com/v1", "kind": "ClickHouseInstallation",
            "metadata": {"name": "db"},
        "spec": {"configuration": {"clusters": [{"name": "cluster"}]}},
    });
    journey
        .there
        .installations()
        .create(&PostParams::default(), &serde_json::from_value(theirs).unwrap())
        .await
        .unwrap();
    let (state, left) = (journey.stated().await, objects(&journey.there).await);
    journey.go(true, 2).await;
    for command in ["up", "refresh", "destroy"] {
        journey.stack.run(&[command, "--yes", "--skip-preview"]).await.unwrap().failed().unwrap();
        assert_eq!(journey.stated().await, state, "`{command}` changed the state");
        assert_eq!(objects(&journey.there).await, left, "`{command}` changed something there");
    }
    journey.goes_on_here().await;
}

/// `kubens`: where a cluster without `namespace` is does not depend on who runs Pulumi.
#[tokio::test]
async fn another_default_namespace_of_the_context_changes_nothing() {
    let testbed = Testbed::shared().await;
    let namespaces = [testbed.namespace().await.unwrap(), testbed.namespace().await.unwrap()];
    let kubeconfig: Value = serde_json::from_slice(&std::fs::read(testbed.kubeconfig()).unwrap()).unwrap();
    let mut stack = testbed
        .stack(
            "resources: {db: {type: \"clickhouse:kubernetes:Cluster\", properties: {name: db, storage: \
            {ephemeral: true}}}}\n",
        )
        .await
        .unwrap();
    let path = stack.directory().join("kubeconfig");
    stack.set_environment("KUBECONFIG", &path.display().to_string());
    let set_default = |namespace: &str| {
        let mut kubeconfig = kubeconfig.clone();
        kubeconfig["contexts"][0]["context"]["namespace"] = json!(namespace);
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
    };
    set_default(namespaces[0].name());
    stack.up().await.unwrap().succeeded().unwrap();
    let made = objects(&namespaces[0]).await;
    set_default(namespaces[1].name());
    for command in
        [vec!["preview"], vec!["up", "--yes", "--skip-preview"], vec!["refresh", "--yes", "--skip-preview"]]
    {
        let arguments: Vec<&str> = command.into_iter().chain(["--expect-no-changes"]).collect();
        stack.run(&arguments).await.unwrap().succeeded().unwrap();
    }
    assert_eq!(objects(&namespaces[0]).await, made);
    assert_eq!(objects(&namespaces[1]).await, Vec::<String>::new());
    stack.destroy().await.unwrap().succeeded().unwrap();
    assert!(namespaces[0].installations().get_opt("db").await.unwrap().is_none());
}
