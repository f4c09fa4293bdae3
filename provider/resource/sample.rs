//! A resource and a function for tests. What the resource does is told by the inputs' `name`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::list::{List, Listed};
use super::{
    Autonaming, Change, ChangeKind, CheckFailure, Context, Diff, Existing, Failure, FailureKind, Found,
    Function, Known, Lookup, Paths, Preview, Resource,
};
use crate::property::path::PropertyPath;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ThingArgs {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("willReplaceOnChanges" = true))]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("secret" = true))]
    pub(crate) password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nodes: Option<Vec<Node>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overrides: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Node {
    pub(crate) host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("secret" = true))]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ThingState {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("secret" = true))]
    pub(crate) key: Option<String>,
    pub(crate) endpoints: Vec<String>,
    pub(crate) address: Option<String>,
}

/// The resource. Its inputs' `name` says what a create does: `panic`, `fail` (without a trace), `half`
/// (leaving something) or `wait` (until it is cancelled, leaving something); any other name works.
pub(crate) struct Thing;

impl Thing {
    pub(crate) const PORT: u16 = 80;

    fn state(args: &ThingArgs) -> ThingState {
        let name = args.name.clone().unwrap_or_default();
        ThingState {
            endpoints: vec![format!("{name}.example")],
            name,
            key: Some("hunter2".into()),
            address: None,
        }
    }
}

impl Resource for Thing {
    type Args = ThingArgs;
    type State = ThingState;
    const TOKEN: &'static str = "test:index:Thing";
    const DOCS: &'static str = "A thing.";
    const IDENTITY: &'static [&'static str] = &["endpoints"];

    async fn check(
        &self,
        ctx: &Context,
        autonaming: &Autonaming,
        old: Option<&ThingArgs>,
        new: &Known<ThingArgs>,
    ) -> Result<ThingArgs, Vec<CheckFailure>> {
        let mut failures = Vec::new();
        if new.value.size == Some(0) {
            failures.push(CheckFailure::new("size", "must be at least 1"));
        }
        if new.value.password.as_deref() == Some("") {
            failures.push(CheckFailure::new("password", "must not be empty"));
        }
        let mut args = new.value.clone();
        if args.name.is_none() && !new.is_unknown(&"name".into()) {
            args.name = match autonaming {
                Autonaming::Default => {
                    old.and_then(|old| old.name.clone()).or_else(|| Some(ctx.urn.name().to_owned()))
                }
                Autonaming::Propose(name) | Autonaming::Enforce(name) => Some(name.clone()),
                Autonaming::Disabled => {
                    failures.push(CheckFailure::new("name", "must be given"));
                    None
                }
            };
        }
        args.size = args.size.or(Some(1));
        args.password = args.password.or_else(|| Some("generated".into()));
        for node in args.nodes.iter_mut().flatten().chain(&mut args.target) {
            node.port = node.port.or(Some(Self::PORT));
        }
        if failures.is_empty() { Ok(args) } else { Err(failures) }
    }

    fn diff(&self, old: &ThingArgs, _: Option<&ThingState>, new: &Known<ThingArgs>) -> Diff {
        let mut changes = Vec::new();
        let mut change = |path: PropertyPath, kind| changes.push(Change::of_input(path, kind));
        if old.name != new.value.name {
            change("name".into(), ChangeKind::Update);
        }
        if old.size != new.value.size || new.is_unknown(&"size".into()) {
            change("size".into(), ChangeKind::Update);
        }
        if old.overrides != new.value.overrides {
            change(PropertyPath::from("overrides").key("a.b"), ChangeKind::Add);
            change(PropertyPath::from("overrides").key("c"), ChangeKind::Delete);
        }
        Diff { delete_before_replace: true, changes, in_place: Paths::new() }
    }

    async fn preview_create(
        &self,
        _: &Context,
        new: &Known<ThingArgs>,
    ) -> Result<Preview<ThingState>, Failure<ThingState>> {
        Ok(Preview {
            state: Self::state(&new.value),
            unknown: Paths::from(["key".into(), PropertyPath::from("endpoints").index(0)]),
        })
    }

    async fn create(
        &self,
        ctx: &Context,
        new: Box<ThingArgs>,
    ) -> Result<Existing<ThingState>, Failure<ThingState>> {
        let state = Self::state(&new);
        let id = format!("ns/{}", state.name);
        match state.name.as_str() {
            "panic" => panic!("out of cheese"),
            "fail" => Err(Failure::new(FailureKind::Forbidden, "not allowed")),
            "half" => Err(Failure::new(FailureKind::Timeout, "not ready").leaving(id, state)),
            "wait" => {
                ctx.report.status("waiting for the end");
                ctx.report.warn("this may take long");
                ctx.report.warn("this may take long");
                tracing::info!(times = 2, "waiting");
                ctx.cancel.cancelled().await;
                ctx.report.status("");
                Err(Failure::new(FailureKind::Cancelled, "stopped").leaving(id, state))
            }
            _ => Ok(Existing { id, state }),
        }
    }

    async fn preview_update(
        &self,
        ctx: &Context,
        _: &str,
        _: &ThingArgs,
        _: Option<&ThingState>,
        new: &Known<ThingArgs>,
    ) -> Result<Preview<ThingState>, Failure<ThingState>> {
        self.preview_create(ctx, new).await
    }

    /// An update keeps the old key, and fails leaving something for size 13.
    async fn update(
        &self,
        _: &Context,
        id: &str,
        _: &ThingArgs,
        old_state: Option<&ThingState>,
        new: &ThingArgs,
    ) -> Result<ThingState, Failure<ThingState>> {
        let state = ThingState { key: old_state.and_then(|state| state.key.clone()), ..Self::state(new) };
        if new.size == Some(13) {
            return Err(Failure::new(FailureKind::Timeout, "not ready").leaving(id, state));
        }
        Ok(state)
    }

    /// Ids are `ns/<name>`; `ns/gone` does not exist, `ns/ill` exists without being well; the size is 7 by
    /// now.
    async fn read(
        &self,
        _: &Context,
        id: &str,
        old: Option<&ThingArgs>,
        _: Option<&ThingState>,
    ) -> Lookup<ThingArgs, ThingState> {
        let name =
            id.strip_prefix("ns/").ok_or_else(|| Failure::new(FailureKind::Invalid, "ids are `ns/name`"))?;
        let inputs =
            ThingArgs { name: Some(name.to_owned()), size: Some(7), ..old.cloned().unwrap_or_default() };
        let state = Self::state(&inputs);
        match name {
            "gone" => Ok(None),
            "ill" => Err(Failure::new(FailureKind::Precondition, "not well").leaving(id, state)),
            _ => Ok(Some(Found {
                id: id.to_owned(),
                inputs: ThingArgs { size: Some(7), ..inputs },
                state,
                secrets: Paths::new(),
            })),
        }
    }

    async fn delete(
        &self,
        _: &Context,
        id: &str,
        old: Option<&ThingArgs>,
        _: Option<&ThingState>,
    ) -> Result<(), Failure<ThingState>> {
        match (id, old) {
            ("ns/stuck", Some(old)) => {
                Err(Failure::new(FailureKind::Timeout, "still there").leaving(id, Self::state(old)))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ThingQuery {
    prefix: Option<String>,
}

impl List for Thing {
    type Query = ThingQuery;

    async fn list(
        &self,
        _: &Context,
        query: &ThingQuery,
        limit: Option<usize>,
    ) -> Result<Vec<Listed>, Failure<()>> {
        let prefix = query.prefix.as_deref().unwrap_or("t");
        let all = (0..3)
            .map(|number| Listed { id: format!("ns/{prefix}{number}"), name: format!("{prefix}{number}") });
        Ok(all.take(limit.unwrap_or(usize::MAX)).collect())
    }
}

/// The function: gives back what it was called with.
pub(crate) struct GetThing;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct GetThingArgs {
    id: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GetThingResult {
    id: String,
    #[schemars(extend("secret" = true))]
    key: String,
}

impl Function for GetThing {
    type Args = GetThingArgs;
    type Result = GetThingResult;
    const TOKEN: &'static str = "test:index:getThing";
    const DOCS: &'static str = "Reads a thing.";

    async fn invoke(&self, _: &Context, args: &GetThingArgs) -> Result<GetThingResult, Failure<()>> {
        match args.id.as_str() {
            "ns/gone" => Err(Failure::new(FailureKind::Invalid, "there is no `ns/gone`")),
            id => Ok(GetThingResult { id: id.to_owned(), key: "hunter2".into() }),
        }
    }
}
