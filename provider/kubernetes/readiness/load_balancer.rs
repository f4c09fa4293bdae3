//! Waiting for the address of a load balancer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::evidence::changed;
use super::{QUIET, permanent_error, watch_trouble};
use crate::kubernetes::client::Session;
use crate::kubernetes::meta::Kind;
use crate::kubernetes::observe::{Event, Service};
use crate::kubernetes::wait::{Condition, NotReady, Pending, Verdict, wait};
use crate::kubernetes::watch::{Scope, SharedWatches, Snapshot, Subscription};
use crate::resource::{Context, FailureKind};

/// How long a changed load balancer may show its former address before that counts as the one that it keeps.
const FORMER: Duration = Duration::from_secs(60);

/// Waits until the Service of type LoadBalancer, made by this provider, has an address, and gives it: a host
/// name or an IP.
///
/// `former` is the address that it had when it was changed in such a way that it may get another: the Service
/// shows it until then, and no revision tells since when an address is the new one. It is taken only once it
/// has stood for a minute.
pub async fn await_load_balancer(
    session: &Session,
    ctx: &Context,
    deadline: Instant,
    namespace: &str,
    name: &str,
    former: Option<&str>,
) -> Result<String, NotReady> {
    // Taken before the watch starts, so that its first list is newer.
    let started = Instant::now();
    let mut watching = Watching {
        service: SharedWatches::subscribe(
            session,
            Kind::Service,
            Some(namespace),
            &Scope::Ours(name.to_owned()),
        ),
        events: None,
        name: name.to_owned(),
        former: former.map(str::to_owned),
        started,
    };
    loop {
        match wait(ctx, deadline, &mut watching).await? {
            Step::Address(address) => return Ok(address),
            Step::Search => {
                watching.events =
                    Some(SharedWatches::subscribe(session, Kind::Event, Some(namespace), &Scope::Warnings));
            }
        }
    }
}

struct Watching {
    service: Subscription<Service>,
    events: Option<Subscription<Event>>,
    name: String,
    former: Option<String>,
    started: Instant,
}

impl Condition for Watching {
    type Met = Step;

    fn evaluate(&mut self, now: Instant) -> Verdict<Step> {
        let events = self.events.as_mut().map(|events| events.about(std::iter::once(self.name.as_str())));
        judge(
            &self.name,
            self.former.as_deref(),
            &self.service.snapshot(),
            events.as_deref(),
            self.started,
            now,
        )
    }

    async fn changed(&mut self) {
        tokio::select! {
            biased;
            () = self.service.changed() => {}
            () = changed(self.events.as_mut()) => {}
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Address(String),
    Search,
}

pub(super) fn judge(
    name: &str,
    former: Option<&str>,
    services: &Snapshot<Service>,
    events: Option<&[Arc<Event>]>,
    started: Instant,
    now: Instant,
) -> Verdict<Step> {
    if let Some((kind, reasons)) = permanent_error(services.trouble.as_ref()) {
        return Verdict::Failed(kind, reasons);
    }
    let service = services.named(name);
    if let Some(service) = service {
        let ingress = service.status.as_ref().and_then(|status| status.load_balancer.ingress.first());
        if let Some(address) =
            ingress.and_then(|ingress| ingress.hostname.clone().or_else(|| ingress.ip.clone()))
        {
            if former != Some(&address) || now >= started + FORMER {
                return Verdict::Done(Step::Address(address));
            }
            let progress = format!(
                "waiting for the load balancer's new address of Service {name}; so far it is {address}"
            );
            return Verdict::Pending(Pending {
                progress,
                again: Some(started + FORMER),
                ..Pending::default()
            });
        }
        if service.spec.kind != "LoadBalancer" {
            let reason = format!(
                "Service {name} is of type {} and gets no address; another client changed its type",
                service.spec.kind
            );
            return Verdict::Failed(FailureKind::Precondition, vec![reason]);
        }
    } else if services.is_newer_than(started, None) {
        return Verdict::Failed(
            FailureKind::Precondition,
            vec![format!("Service {name} was deleted by another client")],
        );
    }
    let waiting = format!("waiting for the load balancer's address of Service {name}");
    if let Some(trouble) = &services.trouble {
        return Verdict::Pending(Pending { progress: watch_trouble(trouble), ..Pending::default() });
    }
    let Some(events) = events else {
        if now >= started + QUIET {
            return Verdict::Done(Step::Search);
        }
        return Verdict::Pending(Pending {
            progress: waiting,
            again: Some(started + QUIET),
            ..Pending::default()
        });
    };
    let about = events.iter().filter(|event| event.involved_object.kind == "Service");
    let message = about.max_by_key(|event| event.at().cloned()).and_then(|event| event.message.clone());
    let remedy = "see whether this Kubernetes cluster has load balancers (a cloud's controller, or one such \
        as MetalLB), or use `ingress.type: NodePort`";
    let reasons = message.iter().cloned().chain([remedy.to_owned()]).collect();
    let progress = message.map_or_else(
        || waiting.clone(),
        |message| format!("no load balancer yet: {message} (Service {name})"),
    );
    Verdict::Pending(Pending { progress, reasons, so_far: Some(waiting), ..Pending::default() })
}
