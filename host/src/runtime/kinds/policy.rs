//! Policies: a stage, a method and a prefix, run by the guest's `policies.on-before` and `policies.on-after`.

use std::sync::Arc;

use http::Method;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::kind::{CallKind, Kind, Row, Words, check_text};
use super::method;
use crate::message::{Exchange, Response};
use crate::path;
use crate::runtime::bindings::exports::hitchy::platform::policies::GuestIndices;
use crate::runtime::call::{CallContext, Outcome};
use crate::runtime::convert;
use crate::runtime::error::LoadError;
use crate::runtime::guest::Guest;
use crate::runtime::instance::lease::Owner;
use crate::runtime::instance::state::{RequestHandle, State};
use crate::runtime::pattern;

/// A request that a policy looks at before it is answered.
pub const BEFORE: CallKind = CallKind { name: "before" };
/// A request that a policy looks at when it has been answered.
pub const AFTER: CallKind = CallKind { name: "after" };

/// When a policy runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before a request is answered.
    Before,
    /// When a request has been answered.
    After,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// A stage, a method and a prefix.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Before or after the answer.
    pub stage: Stage,
    /// `None` stands for all methods.
    pub method: Option<Method>,
    /// The prefix in normal form; `/` matches everything.
    pub prefix: String,
}

impl Policy {
    /// Returns true if the policy concerns a request. Prefixes match in whole segments.
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        let rest = path.strip_prefix(self.prefix.trim_end_matches('/'));
        // HEAD falls back to the routes of GET, so the guards of GET must stand before it too.
        let is_mine =
            |own: &Method| own == method || (method == Method::HEAD && own == Method::GET);
        self.method.as_ref().is_none_or(is_mine)
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Kind for Policy {
    /// Stage, method and prefix.
    type Raw = (Stage, String, String);
    type Export = GuestIndices;

    const WORDS: Words = Words {
        key: "policies",
        title: "policies",
        one: "a policy",
        interface: "policies",
    };

    fn check((stage, name, prefix): Self::Raw) -> Result<Self, LoadError> {
        check_text("prefix", &prefix)?;
        let method = method::parse(&name)?;
        let prefix = path::normal(&prefix).map_err(|error| {
            LoadError::Declaration(format!(
                "the prefix {prefix:?} of a policy is no path: {error}"
            ))
        })?;
        Ok(Self {
            stage,
            method,
            prefix,
        })
    }

    /// What looks like a parameter of another framework is text, and a prefix has no parameters at all: a guard written so
    /// would guard nothing.
    fn warning((_, _, prefix): &Self::Raw) -> Option<String> {
        let is_parameter = |segment: &&str| {
            segment.starts_with('{') || pattern::translate_foreign(segment).is_some()
        };
        let segment = prefix.split('/').find(is_parameter)?;
        Some(format!(
            "the prefix {prefix} of a policy takes {segment:?} literally; a prefix has no parameters and covers all below it, so \
             end it before"
        ))
    }

    fn export(pre: &InstancePre<State>) -> wasmtime::Result<GuestIndices> {
        GuestIndices::new(pre)
    }

    fn fit(
        export: &GuestIndices,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<()> {
        export.load(store, instance).map(drop)
    }

    fn row(&self) -> Row<'_> {
        let (stage, method) = (self.stage.name(), method::name(self.method.as_ref()));
        let (rank, calls): (_, &'static [CallKind]) = match self.stage {
            Stage::Before => ("0", &[BEFORE]),
            Stage::After => ("1", &[AFTER]),
        };
        Row {
            line: format!("{stage} {method} {}", self.prefix),
            cells: vec![
                ("stage", stage),
                ("method", method),
                ("prefix", self.prefix.as_str()),
            ],
            // Policies of one stage stay in the order in which they run.
            sort_key: [rank, ""],
            calls,
        }
    }
}

impl Guest {
    /// Lets a request pass (`None`), answers it, or fails it.
    pub async fn on_before(
        &self,
        context: CallContext,
        policy: u32,
        exchange: Arc<Exchange>,
    ) -> Outcome<Option<Response>> {
        let answer = self
            .serve(context, Owner::Anyone, async |store, instance| {
                let guest = self
                    .exports
                    .get::<GuestIndices>()?
                    .load(&mut *store, instance)?;
                let request = store
                    .data_mut()
                    .call_mut()?
                    .handles
                    .push(without_params(exchange))?;
                guest.call_on_before(&mut *store, policy, request).await
            })
            .await?;
        self.outcome(answer, |response, sizes| {
            response
                .map(|response| convert::response(response, sizes))
                .transpose()
        })
    }

    /// Hands the status of an answer to a policy.
    pub async fn on_after(
        &self,
        context: CallContext,
        policy: u32,
        exchange: Arc<Exchange>,
        status: u16,
    ) -> Outcome<()> {
        let ended = self
            .serve(context, Owner::Anyone, async |store, instance| {
                let guest = self
                    .exports
                    .get::<GuestIndices>()?
                    .load(&mut *store, instance)?;
                let request = store
                    .data_mut()
                    .call_mut()?
                    .handles
                    .push(without_params(exchange))?;
                guest
                    .call_on_after(&mut *store, policy, request, status)
                    .await
            })
            .await?;
        self.outcome(ended, |(), _| Ok(()))
    }
}

fn without_params(exchange: Arc<Exchange>) -> RequestHandle {
    RequestHandle {
        exchange,
        params: Arc::new([]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_match_whole_segments() {
        let policy = |prefix: &str| {
            Policy::check((Stage::Before, String::new(), prefix.to_owned())).unwrap()
        };
        assert!(policy("/api").matches(&Method::GET, "/api"));
        assert!(policy("/api").matches(&Method::GET, "/api/x"));
        assert!(!policy("/api").matches(&Method::GET, "/apix"));
        assert!(policy("/").matches(&Method::GET, "/"));
        assert!(policy("/").matches(&Method::GET, "/x"));
        let of_get = Policy {
            method: Some(Method::GET),
            ..policy("/")
        };
        assert!(of_get.matches(&Method::HEAD, "/") && !of_get.matches(&Method::POST, "/"));
    }
}
