//! The provider's own trace, forwarded to the engine's log with the URN of the resource that it is about.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::super::pb::LogSeverity;
use super::EngineLog;

/// The target of everything in this crate.
const CRATE_TARGET: &str = "clickhouse_provider";

/// Whether the engine is to hear of this: what this crate says, from debug upwards. The libraries below it
/// speak too much, and the ones that carry the log would speak of themselves.
pub fn forwards(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(CRATE_TARGET) && *metadata.level() <= Level::DEBUG
}

/// The resource that a span is about.
struct SpanUrn(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for EngineLog {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let mut found = FindUrn(None);
        attributes.record(&mut found);
        if let (Some(urn), Some(span)) = (found.0, ctx.span(id)) {
            span.extensions_mut().insert(SpanUrn(urn));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let urn = ctx.event_scope(event).and_then(|mut spans| {
            spans.find_map(|span| span.extensions().get::<SpanUrn>().map(|SpanUrn(urn)| urn.clone()))
        });
        // What users must see goes through a `Reporter`; the trace stays out of their way.
        let severity =
            if *event.metadata().level() <= Level::WARN { LogSeverity::Info } else { LogSeverity::Debug };
        self.line(severity, urn.unwrap_or_default(), text.0.trim_start().to_owned());
    }
}

struct FindUrn(Option<String>);

impl Visit for FindUrn {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "urn" && !value.is_empty() {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// The message, and the fields behind it.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        _ = if field.name() == "message" {
            let message = format!("{value:?}");
            self.0.insert_str(0, &message);
            Ok(())
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}
