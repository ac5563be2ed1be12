//! Policies: a stage, a method and a prefix, run by the guest's `policies.on-before` and `policies.on-after`.

use std::sync::Arc;

use super::kind::{CallKind, Kind, Row, Words, check_text, impl_export};
use super::method;
use crate::message::{Exchange, Response};
use crate::path;
use crate::runtime::bindings::exports::hitchy::platform::policies as exported;
use crate::runtime::call::{CallContext, Outcome};
use crate::runtime::convert;
use crate::runtime::error::LoadError;
use crate::runtime::guest::Guest;
use crate::runtime::instance::handles::RequestHandle;
use crate::runtime::instance::lease::Owner;
use crate::runtime::pattern;
use http::Method;

/// The call of a policy before a request is answered.
pub const BEFORE: CallKind = CallKind { name: "before" };
/// The call of a policy after a request was answered.
pub const AFTER: CallKind = CallKind { name: "after" };

/// The stage of a request at which a policy runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before a request is answered.
    Before,
    /// After a request was answered.
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
    /// The stage at which the policy runs.
    pub stage: Stage,
    /// The method of the requests. `None` stands for all methods.
    pub method: Option<Method>,
    /// The prefix of the paths, in normal form. `/` matches every path.
    pub prefix: String,
}

impl Policy {
    /// Returns true if the policy applies to a request. `/api` matches `/api` and `/api/x`, but not `/apix`.
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        let rest = path.strip_prefix(self.prefix.trim_end_matches('/'));
        // Routes of GET answer HEAD too, so policies of GET have to run for HEAD as well.
        let fits = |own: &Method| own == method || (method == Method::HEAD && own == Method::GET);
        self.method.as_ref().is_none_or(fits)
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Kind for Policy {
    /// The stage, the method and the prefix as the guest declared them.
    type Raw = (Stage, String, String);
    impl_export!(exported);

    const WORDS: Words = Words {
        key: "policies",
        title: "policies",
        one: "a policy",
        interface: "policies",
    };
    const CALLS: &'static [CallKind] = &[BEFORE, AFTER];

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

    /// Warns about a segment that looks like a parameter. A prefix has no parameters and takes the segment literally,
    /// so the policy would not run for the requests that are meant.
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

    fn calls(&self) -> &'static [CallKind] {
        match self.stage {
            Stage::Before => &[BEFORE],
            Stage::After => &[AFTER],
        }
    }

    fn row(&self) -> Row<'_> {
        let (stage, method) = (self.stage.name(), method::name(self.method.as_ref()));
        let rank = match self.stage {
            Stage::Before => "0",
            Stage::After => "1",
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
        }
    }
}

impl Guest {
    /// Calls `on-before` of a policy, by its index. `None` lets the request pass, a response or a failure answers it.
    pub async fn on_before(
        &self,
        context: CallContext,
        policy: u32,
        exchange: Arc<Exchange>,
    ) -> Outcome<Option<Response>> {
        let answer = self
            .serve(context, Owner::Anyone, async |store, linked| {
                let guest = self.load::<Policy>(store, linked)?;
                let request = store
                    .data_mut()
                    .handles_mut()?
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

    /// Calls `on-after` of a policy, by its index, with the status of the answer.
    pub async fn on_after(
        &self,
        context: CallContext,
        policy: u32,
        exchange: Arc<Exchange>,
        status: u16,
    ) -> Outcome<()> {
        let ended = self
            .serve(context, Owner::Anyone, async |store, linked| {
                let guest = self.load::<Policy>(store, linked)?;
                let request = store
                    .data_mut()
                    .handles_mut()?
                    .push(without_params(exchange))?;
                guest
                    .call_on_after(&mut *store, policy, request, status)
                    .await
            })
            .await?;
        self.outcome(ended, |(), _| Ok(()))
    }
}

/// Makes a handle to a request without parameters, because policies have no pattern.
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
