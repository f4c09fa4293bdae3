//! Resources, erased.

use std::sync::{Arc, LazyLock};

use futures::future::BoxFuture;

use super::{Created, DiffResult, ErasedFailure, ErasedResource, Partial, Prior, Read, decode, encode};
use crate::property::PropertyMap;
use crate::property::json::strip_marks;
use crate::property::packed::Packed;
use crate::property::path::{PropertyPath, Segment};
use crate::property::pattern::Pattern;
use crate::property::value::get;
use crate::resource::{
    Autonaming, CheckFailure, Context, Diff, Existing, Failure, FailureKind, Found, Known, Paths, Preview,
    Resource,
};
use crate::schema::fields::Fields;

/// A resource behind [`ErasedResource`].
pub(in crate::resource) struct TypedResource<R> {
    resource: Arc<R>,
    args: LazyLock<Fields>,
    state: LazyLock<Fields>,
}

impl<R: Resource> TypedResource<R> {
    pub(in crate::resource) fn new(resource: Arc<R>) -> Self {
        Self {
            resource,
            args: LazyLock::new(Fields::of_inputs::<R::Args>),
            state: LazyLock::new(Fields::of_outputs::<R::State>),
        }
    }

    /// The fields of the inputs and of the computed outputs.
    pub(super) fn fields(&self) -> (&Fields, &Fields) {
        (&self.args, &self.state)
    }

    /// Inputs that were checked; in a real run they are known through and through.
    fn checked(&self, new: &PropertyMap) -> Result<Known<R::Args>, ErasedFailure> {
        decode::checked_inputs(&self.args, new).map_err(|CheckFailure { path, reason }| {
            Failure::new(FailureKind::Invalid, format!("failed to read the input `{path}`: {reason}"))
        })
    }

    fn fully_known(&self, new: &PropertyMap) -> Result<R::Args, ErasedFailure> {
        let Known { value, unknown } = self.checked(new)?;
        match unknown.first() {
            None => Ok(value),
            Some(path) => Err(Failure::new(
                FailureKind::Invalid,
                format!("failed to read the input `{path}`: its value is not known"),
            )),
        }
    }

    fn old_args(&self, old: &Prior) -> Option<R::Args> {
        // Engines before 3.74 send no old inputs; the outputs hold them too.
        decode::stored(&self.args, if old.inputs.is_empty() { &old.outputs } else { &old.inputs })
    }

    fn old_state(&self, old: &Prior) -> Option<R::State> {
        decode::stored(&self.state, &old.outputs)
    }

    /// The inputs, echoed, and over them the state.
    fn outputs(&self, inputs: &PropertyMap, state: &R::State, unknown: &Paths) -> Partial {
        let secret = decode::own_secrets(&self.args, inputs);
        let mut computed = encode::property_map(&self.state, state, unknown, &secret);
        encode::hide(&mut computed, &encode::secret_texts(inputs, &secret));
        let mut outputs = inputs.clone();
        let is_spared = |name: &&String| !inputs.contains_key(*name) && !R::IDENTITY.contains(&name.as_str());
        let names = computed.keys().filter(is_spared).cloned().collect();
        outputs.extend(computed);
        self.args.mark_secrets(&mut outputs);
        Partial { outputs, inputs: None, computed: names }
    }

    /// A preview's outputs: an output is as unknown as the input of its name, whatever the resource says.
    fn previewed(&self, new: &PropertyMap, preview: Preview<R::State>) -> PropertyMap {
        let Preview { state, mut unknown } = preview;
        let named = encode::to_json(&state);
        unknown.extend(
            strip_marks(new)
                .unknown
                .into_iter()
                .filter(|path| path.top_level().is_some_and(|name| named.contains_key(name))),
        );
        self.outputs(new, &state, &unknown).outputs
    }

    fn failed(&self, inputs: &PropertyMap, failure: Failure<R::State>) -> ErasedFailure {
        let Failure { kind, reasons, partial } = failure;
        let partial = partial.map(|existing| {
            let Existing { id, state } = *existing;
            Box::new(Existing { id, state: self.outputs(inputs, &state, &Paths::new()) })
        });
        Failure { kind, reasons, partial }
    }

    /// The inputs that a read found. What says the same as before stays as it was written then; what is
    /// secret stays secret.
    fn read_inputs(&self, found: &R::Args, mut secret: Paths, old: &Prior) -> PropertyMap {
        secret.extend(decode::own_secrets(&self.args, &old.inputs));
        let mut inputs = encode::property_map(&self.args, found, &Paths::new(), &secret);
        let before = decode::stored::<R::Args>(&self.args, &old.inputs)
            .map(|args| encode::to_json(&args))
            .unwrap_or_default();
        let now = encode::to_json(found);
        for (name, value) in &old.inputs {
            if name.starts_with("__") || (now.contains_key(name) && before.get(name) == now.get(name)) {
                inputs.insert(name.clone(), value.clone());
            }
        }
        self.args.mark_secrets(&mut inputs);
        inputs
    }
}

impl<R: Resource> ErasedResource for TypedResource<R> {
    fn check<'a>(
        &'a self,
        ctx: &'a Context,
        autonaming: &'a Autonaming,
        old: &'a PropertyMap,
        new: PropertyMap,
    ) -> BoxFuture<'a, Result<PropertyMap, Vec<CheckFailure>>> {
        Box::pin(async move {
            let mut inputs = new;
            self.args.drop_nulls(&mut inputs);
            self.args.mark_secrets(&mut inputs);
            let (known, mut failures) = decode::program_inputs::<R::Args>(&self.args, strip_marks(&inputs));
            let Some(known) = known else { return Err(decode::without_secrets(&inputs, failures)) };
            let old = decode::stored(&self.args, old);
            match self.resource.check(ctx, autonaming, old.as_ref(), &known).await {
                Ok(checked) if failures.is_empty() => {
                    encode::add_defaults(&mut inputs, &encode::to_json(&checked), &known.unknown);
                    self.args.mark_secrets(&mut inputs);
                    Ok(inputs)
                }
                Ok(_) => Err(decode::without_secrets(&inputs, failures)),
                Err(more) => {
                    failures.extend(more);
                    Err(decode::without_secrets(&inputs, failures))
                }
            }
        })
    }

    fn diff(&self, old: &Prior, new: &PropertyMap, ignored: &[Pattern]) -> Result<DiffResult, ErasedFailure> {
        let known = self.checked(new).or_else(|failure| {
            // In a refresh these are the inputs of the state, which an earlier version may have written
            // otherwise.
            let Some(value) = decode::stored(&self.args, new) else { return Err(failure) };
            Ok(Known { value, unknown: strip_marks(new).unknown })
        })?;
        let Some(old_args) = self.old_args(old).or_else(decode::empty) else {
            return Err(Failure::new(FailureKind::Internal, "failed to read the inputs in state"));
        };
        let diff = self.resource.diff(&old_args, self.old_state(old).as_ref(), &known);
        let Diff { mut changes, delete_before_replace, in_place: _ } = diff.mark_replacing(&self.args);
        changes.retain(|change| {
            let is_kept_out = |pattern: &Pattern| {
                pattern.covers(&change.path)
                    && (!change.of_inputs || is_taken_back(pattern, &change.path, old, new))
            };
            !ignored.iter().any(is_kept_out)
        });
        let stables =
            if changes.iter().any(|change| change.replace) { Vec::new() } else { self.args.replacing() };
        Ok(DiffResult { changes, delete_before_replace, stables })
    }

    fn create<'a>(
        &'a self,
        ctx: &'a Context,
        new: PropertyMap,
        preview: bool,
    ) -> BoxFuture<'a, Result<Created, ErasedFailure>> {
        Box::pin(async move {
            if preview {
                let args = self.checked(&new)?;
                let preview = self.resource.preview_create(ctx, &args).await;
                let preview = preview.map_err(|failure| self.failed(&new, failure))?;
                return Ok(Created { id: String::new(), outputs: self.previewed(&new, preview) });
            }
            let args = Box::new(self.fully_known(&new)?);
            // What the outputs repeat is all that is held of the inputs while it waits.
            let inputs = Packed::from(new);
            let created = self.resource.create(ctx, args).await;
            let inputs = PropertyMap::from(inputs);
            let Existing { id, state } = created.map_err(|failure| self.failed(&inputs, failure))?;
            Ok(Created { id, outputs: self.outputs(&inputs, &state, &Paths::new()).outputs })
        })
    }

    fn update<'a>(
        &'a self,
        ctx: &'a Context,
        id: &'a str,
        old: &'a Prior,
        new: &'a PropertyMap,
        preview: bool,
    ) -> BoxFuture<'a, Result<PropertyMap, ErasedFailure>> {
        Box::pin(async move {
            let known = self.checked(new)?;
            let state = self.old_state(old);
            let old_args = self.old_args(old).unwrap_or_else(|| known.value.clone());
            if preview {
                let preview = self.resource.preview_update(ctx, id, &old_args, state.as_ref(), &known).await;
                return Ok(self.previewed(new, preview.map_err(|failure| self.failed(new, failure))?));
            }
            let args = self.fully_known(new)?;
            let updated = self.resource.update(ctx, id, &old_args, state.as_ref(), &args).await;
            let state = updated.map_err(|failure| self.failed(new, failure))?;
            Ok(self.outputs(new, &state, &Paths::new()).outputs)
        })
    }

    fn read<'a>(
        &'a self,
        ctx: &'a Context,
        id: &'a str,
        old: &'a Prior,
    ) -> BoxFuture<'a, Result<Option<Read>, ErasedFailure>> {
        Box::pin(async move {
            let (args, state) = (self.old_args(old), self.old_state(old));
            let found =
                self.resource.read(ctx, id, args.as_ref(), state.as_ref()).await.map_err(|failure| {
                    let mut failed = self.failed(&old.inputs, failure);
                    match &mut failed.partial {
                        // An import has no inputs to give back, and Pulumi takes none for "not importable".
                        partial if old.inputs.is_empty() => *partial = None,
                        Some(partial) => partial.state.inputs = Some(old.inputs.clone()),
                        None => {}
                    }
                    failed
                })?;
            Ok(found.map(|Found { id, inputs, state, secrets }| {
                let inputs = self.read_inputs(&inputs, secrets, old);
                let outputs = self.outputs(&inputs, &state, &Paths::new()).outputs;
                Read { id, inputs, outputs }
            }))
        })
    }

    fn delete<'a>(
        &'a self,
        ctx: &'a Context,
        id: &'a str,
        old: &'a Prior,
    ) -> BoxFuture<'a, Result<(), ErasedFailure>> {
        Box::pin(async move {
            let (args, state) = (self.old_args(old), self.old_state(old));
            self.resource.delete(ctx, id, args.as_ref(), state.as_ref()).await.map_err(
                |Failure { kind, reasons, partial: _ }| {
                    // Pulumi keeps the state of a delete that failed as it was.
                    Failure { kind, reasons, partial: None }
                },
            )
        })
    }
}

/// Whether the engine can put back the old value of what `pattern` ignores at `path`. It can't where an
/// element of a list, or an object that the path leads through, came or went: then it stores the new inputs,
/// and so they have to be written.
pub(super) fn is_taken_back(pattern: &Pattern, path: &PropertyPath, old: &Prior, new: &PropertyMap) -> bool {
    let old = if old.inputs.is_empty() { &old.outputs } else { &old.inputs };
    let segments = &path.segments()[..pattern.depth()];
    segments.iter().enumerate().all(|(index, segment)| {
        let place: PropertyPath = segments[..=index].iter().cloned().collect();
        let (was, is) = (get(old, &place).is_some(), get(new, &place).is_some());
        match segment {
            Segment::Index(_) => was == is,
            Segment::Key(_) => is || !was || index + 1 == segments.len(),
        }
    })
}
