//! The contract that each resource and function of the package meets, in typed values.
//!
//! A resource sees neither protobuf nor Pulumi's markers: [`erased`] takes unknowns and secrets out
//! of its inputs before it is called, and puts them back into what it returns.

pub mod erased;
pub mod list;
pub mod registry;
#[cfg(test)]
pub(crate) mod sample;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::property::path::PropertyPath;
use crate::schema::fields::Fields;

pub use crate::property::{CheckFailure, Paths};

/// A value of which a part may not be known yet (in a preview, when it comes from a resource that
/// does not exist): what is known, with the unknown parts left out, and where they are.
#[derive(Debug, Clone)]
pub struct Known<T> {
    /// The known part. A field whose value is unknown is absent; a list with an unknown element is
    /// absent as a whole.
    pub value: T,
    /// Where the unknown parts are. Empty in a real create or update.
    pub unknown: Paths,
}

impl<T> Known<T> {
    /// A value without unknown parts.
    pub fn all(value: T) -> Self {
        Self { value, unknown: Paths::new() }
    }

    /// Whether the value at `path`, or one that it stands in, or a part of it, is unknown.
    pub fn is_unknown(&self, path: &PropertyPath) -> bool {
        self.unknown.iter().any(|unknown| unknown.contains(path) || path.contains(unknown))
    }
}

/// What Pulumi asks of a physical name when the program gives none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Autonaming {
    /// Nothing configured: the provider's own rule.
    Default,
    /// A proposal that the provider may adapt.
    Propose(String),
    /// Exactly this name, or a failure.
    Enforce(String),
    /// The program must give the name.
    Disabled,
}

/// A Pulumi URN. Kept as a string; only its type and its name are ever looked into.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Urn(pub String);

impl Urn {
    /// The resource's name in the program.
    pub fn name(&self) -> &str {
        self.0.splitn(4, "::").nth(3).unwrap_or(&self.0)
    }

    /// The resource's type token, without its parents'.
    pub fn resource_type(&self) -> &str {
        let types = self.0.split("::").nth(2).unwrap_or_default();
        types.rsplit('$').next().unwrap_or_default()
    }
}

impl fmt::Display for Urn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says something to the user, on the resource's row of Pulumi's display.
pub trait Reporter: Send + Sync {
    /// Replaces the row's status line; an empty text clears it. Cheap and lossy: only the newest
    /// text matters.
    fn status(&self, text: &str);
    /// A line that stays in the run's diagnostics.
    fn info(&self, text: &str);
    /// A warning that stays in the run's diagnostics.
    fn warn(&self, text: &str);
}

/// What one call brings along besides its values.
#[derive(Clone)]
pub struct Context {
    /// The resource that the call is about.
    pub urn: Urn,
    /// Ends when the user pressed Ctrl-C or the engine leaves: waits must return at once.
    pub cancel: CancellationToken,
    /// When the call began.
    pub started: Instant,
    /// How long the user lets the operation take (`customTimeouts`); `None` means the resource's own default.
    pub timeout: Option<Duration>,
    /// The resource's row on the display.
    pub report: Arc<dyn Reporter>,
}

impl Context {
    /// When the call is to end: as long after its start as the user lets it take, or `default`.
    pub fn deadline(&self, default: Duration) -> Instant {
        self.started + self.timeout.unwrap_or(default)
    }
}

/// How a property changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was absent.
    Add,
    /// It goes.
    Delete,
    /// It has another value.
    Update,
}

/// One property's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which property.
    pub path: PropertyPath,
    /// How.
    pub kind: ChangeKind,
    /// Whether the resource is replaced for it: false until [`Diff::mark_replacing`] says otherwise.
    pub replace: bool,
    /// Whether the old value is to be shown from the old inputs (a change that the program asks
    /// for) rather than from the old outputs (a drift).
    pub of_inputs: bool,
}

impl Change {
    /// A change that the program asks for.
    pub fn of_input(path: impl Into<PropertyPath>, kind: ChangeKind) -> Self {
        Self { path: path.into(), kind, replace: false, of_inputs: true }
    }

    /// A drift: an output is not what it should be.
    pub fn of_output(path: impl Into<PropertyPath>, kind: ChangeKind) -> Self {
        Self { path: path.into(), kind, replace: false, of_inputs: false }
    }
}

/// The answer to "what would change?".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The changed properties; none means no change.
    pub changes: Vec<Change>,
    /// Inputs whose change does not replace the resource this time, although the type says
    /// `willReplaceOnChanges`.
    pub in_place: Paths,
    /// Whether a replacement must delete the old object before it makes the new one.
    pub delete_before_replace: bool,
}

impl Diff {
    /// Marks the changes for which the resource is replaced: those of inputs that the types mark so, but for
    /// those `in_place`.
    #[must_use]
    pub fn mark_replacing(mut self, inputs: &Fields) -> Self {
        let replacing = inputs.replacing();
        for change in &mut self.changes {
            let is_marked = change
                .path
                .top_level()
                .is_some_and(|name| replacing.iter().any(|replacing| replacing == name));
            let is_in_place =
                self.in_place.iter().any(|path| path.contains(&change.path) || change.path.contains(path));
            change.replace = change.of_inputs && is_marked && !is_in_place;
        }
        self
    }
}

/// Why a failed call failed, for the status code that the engine sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The request can't be fulfilled as it is written.
    Invalid,
    /// The object exists already and is not owned by this stack.
    AlreadyExists,
    /// The API server does not allow it.
    Forbidden,
    /// The API server can't be used: it gives no answer, or does not accept the credentials.
    Unavailable,
    /// Nobody can be connected to where the API server should be.
    NoServer,
    /// The state of the cluster does not allow it (no CRD, a hanging finalizer …).
    Precondition,
    /// The deadline came.
    Timeout,
    /// The user stopped it.
    Cancelled,
    /// A defect of this provider.
    Internal,
}

/// A call that failed, with what exists nevertheless.
#[derive(Debug, Clone)]
pub struct Failure<S> {
    /// The class of the failure.
    pub kind: FailureKind,
    /// What to tell the user, one item a reason, the most useful first. Never contains a secret.
    pub reasons: Vec<String>,
    /// What exists on the API after the call: Pulumi keeps it in state, and the next `up` goes on
    /// from there. `None` only when nothing was made or changed.
    pub partial: Option<Box<Existing<S>>>,
}

impl<S> From<Vec<CheckFailure>> for Failure<S> {
    fn from(failures: Vec<CheckFailure>) -> Self {
        let reasons =
            failures.iter().map(|failure| format!("{}: {}", failure.path, failure.reason)).collect();
        Self { kind: FailureKind::Invalid, reasons, partial: None }
    }
}

impl<S> Failure<S> {
    /// A failure that left nothing behind.
    pub fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reasons: vec![reason.into()], partial: None }
    }

    /// The same failure, with what exists.
    #[must_use]
    pub fn leaving(mut self, id: impl Into<String>, state: S) -> Self {
        self.partial = Some(Box::new(Existing { id: id.into(), state }));
        self
    }
}

/// A resource that exists: its id and its computed outputs.
#[derive(Debug, Clone)]
pub struct Existing<S> {
    /// Pulumi's id.
    pub id: String,
    /// The computed outputs.
    pub state: S,
}

/// The outputs that a preview can predict.
#[derive(Debug, Clone)]
pub struct Preview<S> {
    /// The computed outputs; whatever stands at an unknown path is ignored.
    pub state: S,
    /// Which outputs are not known before the real run.
    pub unknown: Paths,
}

/// A resource as it was read.
#[derive(Debug, Clone)]
pub struct Found<A, S> {
    /// The canonical id.
    pub id: String,
    /// The inputs that the live objects correspond to.
    pub inputs: A,
    /// The computed outputs.
    pub state: S,
    /// Inputs that are secret though their types don't say so: credentials in free-form ones.
    pub secrets: Paths,
}

/// What a read gives: `None` when there is nothing.
pub type Lookup<A, S> = Result<Option<Found<A, S>>, Failure<S>>;

/// A kind of resource: typed inputs, typed computed outputs, and its life cycle.
///
/// What Pulumi calls the outputs of a resource is its inputs, echoed, and over them the fields of `State`.
pub trait Resource: Send + Sync + 'static {
    /// The inputs. Doc comments are user documentation.
    type Args: Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync;
    /// The computed outputs.
    type State: Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync;

    /// The type token, `package:module:Name`.
    const TOKEN: &'static str;

    /// What it is, for its users: Markdown with examples.
    const DOCS: &'static str;

    /// The outputs by which the resource is known again: they are in the state also when there is no room for
    /// the others.
    const IDENTITY: &'static [&'static str] = &[];

    /// Fills in the defaults and finds everything that is wrong. Pure as long as nothing is: only before it
    /// refuses a change may it look at what is there.
    ///
    /// `old` are the inputs of the last run (as checked, or as read by a refresh). Fields that the
    /// result has and `new` lacks are added to the user's inputs; nothing that the user wrote is changed.
    fn check(
        &self,
        ctx: &Context,
        autonaming: &Autonaming,
        old: Option<&Self::Args>,
        new: &Known<Self::Args>,
    ) -> impl Future<Output = Result<Self::Args, Vec<CheckFailure>>> + Send;

    /// Compares. Pure; no network. Which changes replace the resource is said once, by the inputs'
    /// `willReplaceOnChanges`.
    fn diff(&self, old: &Self::Args, old_state: Option<&Self::State>, new: &Known<Self::Args>) -> Diff;

    /// Dry-runs the creation on the API server, which creates nothing, and predicts the outputs.
    fn preview_create(
        &self,
        ctx: &Context,
        new: &Known<Self::Args>,
    ) -> impl Future<Output = Result<Preview<Self::State>, Failure<Self::State>>> + Send;

    /// Creates it and waits until it is ready. The inputs are its own, to be let go before it waits, and
    /// boxed, so that they take no room then.
    fn create(
        &self,
        ctx: &Context,
        new: Box<Self::Args>,
    ) -> impl Future<Output = Result<Existing<Self::State>, Failure<Self::State>>> + Send;

    /// Dry-runs the update on the API server, which changes nothing, and predicts the outputs.
    fn preview_update(
        &self,
        ctx: &Context,
        id: &str,
        old: &Self::Args,
        old_state: Option<&Self::State>,
        new: &Known<Self::Args>,
    ) -> impl Future<Output = Result<Preview<Self::State>, Failure<Self::State>>> + Send;

    /// Updates it and waits until it is ready again.
    fn update(
        &self,
        ctx: &Context,
        id: &str,
        old: &Self::Args,
        old_state: Option<&Self::State>,
        new: &Self::Args,
    ) -> impl Future<Output = Result<Self::State, Failure<Self::State>>> + Send;

    /// Reads what exists. `None` only when it definitely does not. Without `old` the
    /// caller knows nothing but the id (`pulumi import`, `Cluster.get`).
    fn read(
        &self,
        ctx: &Context,
        id: &str,
        old: Option<&Self::Args>,
        old_state: Option<&Self::State>,
    ) -> impl Future<Output = Lookup<Self::Args, Self::State>> + Send;

    /// Deletes it and waits until it is gone. Works from the id alone when there is no state.
    fn delete(
        &self,
        ctx: &Context,
        id: &str,
        old: Option<&Self::Args>,
        old_state: Option<&Self::State>,
    ) -> impl Future<Output = Result<(), Failure<Self::State>>> + Send;
}

/// A function that programs call: typed arguments, typed result.
pub trait Function: Send + Sync + 'static {
    /// The arguments.
    type Args: DeserializeOwned + JsonSchema + Send + Sync;
    /// The result.
    type Result: Serialize + JsonSchema + Send + Sync;

    /// The token, `package:module:name`.
    const TOKEN: &'static str;

    /// What it does, for its callers, in Markdown.
    const DOCS: &'static str;

    /// Calls it.
    fn invoke(
        &self,
        ctx: &Context,
        args: &Self::Args,
    ) -> impl Future<Output = Result<Self::Result, Failure<()>>> + Send;
}
