//! Keeps what came in as a secret out of all that is said: reasons, status texts, lines.

use std::sync::Arc;

use futures::future::BoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::encode::MIN_SECRET_LEN;
use super::{Created, DiffResult, ErasedFailure, ErasedResource, InvokeError, Prior, Read, TypedResource};
use crate::property::pattern::Pattern;
use crate::property::{PropertyMap, PropertyValue};
use crate::resource::{Autonaming, CheckFailure, Context, Failure, Reporter, Resource};
use crate::schema::fields::Fields;

/// What stands for a secret.
const REDACTED: &str = "[secret]";

/// From how many bytes on the beginning of a secret is hidden, too: whoever repeats a long value may cut it.
const MIN_CUT_SECRET_LEN: usize = 24;

/// What stands for itself in a URL (RFC 3986's unreserved characters).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The texts that must not be shown, in each form in which they may be met; the longest first. Cheap to
/// clone.
#[derive(Clone)]
pub(super) struct Hidden(Arc<[String]>);

impl Hidden {
    /// What is secret in these property maps by the program's marks or by the types: texts and numbers of at
    /// least four characters, each part of a secret object by itself.
    pub(super) fn of<'a>(maps: impl IntoIterator<Item = (&'a Fields, &'a PropertyMap)>) -> Self {
        let mut texts = Vec::new();
        for (fields, properties) in maps.into_iter().filter(|(_, properties)| !properties.is_empty()) {
            let mut properties = properties.clone();
            fields.mark_secrets(&mut properties);
            for value in properties.values() {
                collect(value, false, &mut texts);
            }
        }
        let mut forms: Vec<String> =
            texts.iter().flat_map(|text| forms(text)).filter(|form| form.len() >= MIN_SECRET_LEN).collect();
        forms.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        forms.dedup();
        Self(forms.into())
    }

    /// `text` with each secret replaced.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let hidden = self.0.iter().filter_map(|form| met(form, rest)).max();
            let (keep, skip) =
                hidden.map_or((&rest[..first.len_utf8()], first.len_utf8()), |length| (REDACTED, length));
            shown.push_str(keep);
            rest = &rest[skip..];
        }
        shown
    }

    /// The same call, whose reporter says no secret.
    pub(super) fn context(&self, ctx: &Context) -> Context {
        let mut ctx = ctx.clone();
        if !self.0.is_empty() {
            ctx.report = Arc::new(Discreet { inner: ctx.report, hidden: self.clone() });
        }
        ctx
    }

    /// The same failure, whose reasons say no secret.
    pub(super) fn failure<S>(&self, mut failure: Failure<S>) -> Failure<S> {
        for reason in &mut failure.reasons {
            *reason = self.redact(reason);
        }
        failure
    }

    /// The same for a function's or a listing's.
    pub(super) fn error(&self, error: InvokeError) -> InvokeError {
        match error {
            InvokeError::Arguments(failures) => InvokeError::Arguments(self.failures(failures)),
            InvokeError::Failed(failure) => InvokeError::Failed(self.failure(failure)),
        }
    }

    /// The same for what is wrong with inputs.
    pub(super) fn failures(&self, mut failures: Vec<CheckFailure>) -> Vec<CheckFailure> {
        for failure in &mut failures {
            failure.reason = self.redact(&failure.reason);
        }
        failures
    }
}

/// How many bytes of a secret `text` begins with: all of it, or much of a long one.
fn met(form: &str, text: &str) -> Option<usize> {
    if text.starts_with(form) {
        return Some(form.len());
    }
    if form.len() <= MIN_CUT_SECRET_LEN
        || !text.as_bytes().starts_with(&form.as_bytes()[..MIN_CUT_SECRET_LEN])
    {
        return None;
    }
    let same = text.char_indices().zip(form.chars()).find(|((_, one), other)| one != other);
    Some(same.map_or(text.len(), |((at, _), _)| at))
}

fn collect(value: &PropertyValue, is_secret: bool, texts: &mut Vec<String>) {
    match value {
        PropertyValue::Secret(inner) => collect(inner, true, texts),
        PropertyValue::String(text) if is_secret => texts.push(text.clone()),
        PropertyValue::Number(number) if is_secret => texts.push(number.to_string()),
        PropertyValue::List(items) => items.iter().for_each(|item| collect(item, is_secret, texts)),
        PropertyValue::Map(map) => map.values().for_each(|value| collect(value, is_secret, texts)),
        _ => {}
    }
}

/// A secret as it is, in a URL, quoted as JSON quotes, and made fit for a name.
fn forms(text: &str) -> [String; 5] {
    let text = text.trim().to_owned();
    let quoted = serde_json::Value::from(text.as_str()).to_string();
    let fit: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    [
        utf8_percent_encode(&text, RESERVED).to_string(),
        utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string(),
        quoted[1..quoted.len() - 1].to_owned(),
        fit.trim_matches('-').to_owned(),
        text,
    ]
}

/// A reporter that says no secret.
struct Discreet {
    inner: Arc<dyn Reporter>,
    hidden: Hidden,
}

impl Reporter for Discreet {
    fn status(&self, text: &str) {
        self.inner.status(&self.hidden.redact(text));
    }

    fn info(&self, text: &str) {
        self.inner.info(&self.hidden.redact(text));
    }

    fn warn(&self, text: &str) {
        self.inner.warn(&self.hidden.redact(text));
    }
}

/// A resource that says no secret of the inputs and outputs that it is called with.
pub(in crate::resource) struct DiscreetResource<R>(pub(in crate::resource) TypedResource<R>);

impl<R: Resource> DiscreetResource<R> {
    fn hidden(&self, old: &Prior, new: Option<&PropertyMap>) -> Hidden {
        let (args, state) = self.0.fields();
        Hidden::of(
            [(args, &old.inputs), (args, &old.outputs), (state, &old.outputs)]
                .into_iter()
                .chain(new.map(|new| (args, new))),
        )
    }

    fn hidden_of_inputs(&self, inputs: &[&PropertyMap]) -> Hidden {
        let (args, _) = self.0.fields();
        Hidden::of(inputs.iter().map(|inputs| (args, *inputs)))
    }
}

impl<R: Resource> ErasedResource for DiscreetResource<R> {
    fn check<'a>(
        &'a self,
        ctx: &'a Context,
        autonaming: &'a Autonaming,
        old: &'a PropertyMap,
        new: PropertyMap,
    ) -> BoxFuture<'a, Result<PropertyMap, Vec<CheckFailure>>> {
        Box::pin(async move {
            let hidden = self.hidden_of_inputs(&[old, &new]);
            let ctx = hidden.context(ctx);
            self.0.check(&ctx, autonaming, old, new).await.map_err(|failures| hidden.failures(failures))
        })
    }

    fn diff(&self, old: &Prior, new: &PropertyMap, ignored: &[Pattern]) -> Result<DiffResult, ErasedFailure> {
        self.0.diff(old, new, ignored).map_err(|failure| self.hidden(old, Some(new)).failure(failure))
    }

    fn create<'a>(
        &'a self,
        ctx: &'a Context,
        new: PropertyMap,
        preview: bool,
    ) -> BoxFuture<'a, Result<Created, ErasedFailure>> {
        Box::pin(async move {
            let hidden = self.hidden_of_inputs(&[&new]);
            let ctx = hidden.context(ctx);
            self.0.create(&ctx, new, preview).await.map_err(|failure| hidden.failure(failure))
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
            let hidden = self.hidden(old, Some(new));
            let ctx = hidden.context(ctx);
            self.0.update(&ctx, id, old, new, preview).await.map_err(|failure| hidden.failure(failure))
        })
    }

    fn read<'a>(
        &'a self,
        ctx: &'a Context,
        id: &'a str,
        old: &'a Prior,
    ) -> BoxFuture<'a, Result<Option<Read>, ErasedFailure>> {
        Box::pin(async move {
            let hidden = self.hidden(old, None);
            let ctx = hidden.context(ctx);
            self.0.read(&ctx, id, old).await.map_err(|failure| hidden.failure(failure))
        })
    }

    fn delete<'a>(
        &'a self,
        ctx: &'a Context,
        id: &'a str,
        old: &'a Prior,
    ) -> BoxFuture<'a, Result<(), ErasedFailure>> {
        Box::pin(async move {
            let hidden = self.hidden(old, None);
            let ctx = hidden.context(ctx);
            self.0.delete(&ctx, id, old).await.map_err(|failure| hidden.failure(failure))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::sample::ThingArgs;

    fn hidden(secret: PropertyValue) -> Hidden {
        let properties = PropertyMap::from([("size".to_owned(), secret)]);
        Hidden::of([(&Fields::of_inputs::<ThingArgs>(), &properties)])
    }

    #[test]
    fn a_secret_is_hidden_in_each_of_its_forms_also_inside_of_longer_texts() {
        let hidden = hidden(PropertyValue::from("Pa ss\"w/rd").into_secret());
        for told in ["x`Pa ss\"w/rd`y", "x`Pa ss\\\"w/rd`y", "x`Pa%20ss%22w%2Frd`y", "x`pa-ss-w-rd`y"] {
            assert_eq!(hidden.redact(told), "x`[secret]`y", "{told}");
        }
        assert_eq!(hidden.redact("Passwd, unchanged: ü"), "Passwd, unchanged: ü");
    }

    #[test]
    fn numbers_and_parts_of_secret_objects_are_hidden_and_short_texts_are_not() {
        let parts = PropertyMap::from([
            ("a".to_owned(), "hunter2".into()),
            ("b".to_owned(), vec![99999.0.into(), "x".into()].into()),
        ]);
        let hidden = hidden(PropertyValue::Map(parts).into_secret());
        assert_eq!(hidden.redact("hunter2 has 99999 x"), "[secret] has [secret] x");
    }

    #[test]
    fn what_stands_for_a_secret_is_not_replaced_itself_and_the_longest_wins() {
        let properties = PropertyMap::from([
            ("name".to_owned(), PropertyValue::from("secret").into_secret()),
            ("password".to_owned(), "secret-and-more".into()),
        ]);
        let hidden = Hidden::of([(&Fields::of_inputs::<ThingArgs>(), &properties)]);
        assert_eq!(hidden.redact("secret, secret-and-more"), "[secret], [secret]");
    }

    #[test]
    fn a_long_secret_that_somebody_cut_is_hidden() {
        let secret = "0123456789".repeat(200);
        assert_eq!(hidden(secret.as_str().into()).redact("0123"), "0123", "this one is no secret");
        let hidden = hidden(PropertyValue::from(secret.as_str()).into_secret());
        assert_eq!(
            hidden.redact(&format!("Invalid value: {}…", &secret[..1000])),
            "Invalid value: [secret]…"
        );
    }
}
