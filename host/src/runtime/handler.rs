//! A loaded handler: a guest with the declarations that it made in `describe`. A component of `wasi:http` makes none:
//! the path of its file is its route.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::bindings::exports::hitchy::platform::setup;
use super::call::CallContext;
use super::cgi;
use super::cgi::command::Command;
use super::code::Code;
use super::contract;
use super::error::{CallError, LoadError};
use super::exports::Exports;
use super::guest::Guest;
use super::incoming_http;
use super::instance::handles::RegistrarHandle;
use super::instance::lease::Owner;
use super::instance::state::{Phase, State};
use super::instance::store::Linked;
use super::kinds::route::Route;
use super::kinds::{Declarations, Description, schedule};
use super::services::Services;
use super::settings::{HandlerSettings, Life, Serve};

/// Longest processor time that `describe` may use.
const DESCRIBE_CPU: Duration = Duration::from_secs(1);
/// Longest time that `describe` may take. It is longer than its processor time, because a machine that is busy is not
/// the fault of a handler.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(3);

/// A file of the folder that is loaded. It dereferences to its [`Guest`], which has the calls.
pub struct Handler {
    guest: Guest,
    /// The checked declarations of the guest.
    pub declarations: Declarations,
    /// The time at which the handler was loaded.
    pub loaded: SystemTime,
}

impl Deref for Handler {
    type Target = Guest;

    fn deref(&self) -> &Guest {
        &self.guest
    }
}

impl Handler {
    /// Makes a handler of code: looks up the exports, calls `describe` and checks the declarations.
    ///
    /// A component that exports `setup` and answers requests of `wasi:http` too counts as a handler of the contract.
    pub(super) async fn load(
        name: Arc<str>,
        settings: HandlerSettings,
        code: Code,
        services: Arc<Services>,
    ) -> Result<Self, LoadError> {
        if settings.serve == Serve::Cgi {
            return Self::of_command(name, settings, code, services);
        }
        let mut exports = Exports::default();
        let (component, pre) = (&code.component, &code.pre);
        exports.add("setup", component, pre, setup::GuestIndices::new)?;
        if exports.find::<setup::GuestIndices>().is_none() {
            return Self::load_wasi_http(name, settings, code, services);
        }
        exports.add_kinds(component, pre)?;
        let guest = Guest::new(name, settings, code, exports, services);
        let description = describe(&guest).await.map_err(LoadError::Describe)?;
        let mut declarations = Declarations::check(description)?;
        schedule::apply(&guest.settings.schedules, &mut declarations.schedules);
        declarations.check_exports(&guest.exports)?;
        Ok(Self::new(guest, declarations))
    }

    /// Makes a handler of a component of `wasi:http`. No code of it runs until its first call.
    fn load_wasi_http(
        name: Arc<str>,
        settings: HandlerSettings,
        code: Code,
        services: Arc<Services>,
    ) -> Result<Self, LoadError> {
        let declarations = Declarations::of_route(Route::of_file(&name)?);
        let mut exports = Exports::default();
        exports.insert(incoming_http::export(&code.pre)?);
        let guest = Guest::new(name, settings, code, exports, services);
        Ok(Self::new(guest, declarations))
    }

    fn new(guest: Guest, declarations: Declarations) -> Self {
        Self {
            guest,
            declarations,
            loaded: SystemTime::now(),
        }
    }

    /// Makes a handler of a command, which declares nothing itself.
    fn of_command(
        name: Arc<str>,
        settings: HandlerSettings,
        code: Code,
        services: Arc<Services>,
    ) -> Result<Self, LoadError> {
        if settings.instances != Life::Call {
            return Err(LoadError::LifeOfCommand(settings.instances));
        }
        let command = Command::new(&name, &code.pre)?;
        let declarations = cgi::declare::declarations(&command, &settings.events)?;
        let mut exports = Exports::default();
        exports.insert(command);
        Ok(Self {
            guest: Guest::new(name, settings, code, exports, services),
            declarations,
            loaded: SystemTime::now(),
        })
    }
}

/// Returns the settings of a call of `describe`, or of another call that loads a handler.
pub(super) fn describing(settings: &HandlerSettings) -> HandlerSettings {
    HandlerSettings {
        deadline: DESCRIBE_TIMEOUT,
        cpu: DESCRIBE_CPU,
        ..settings.clone()
    }
}

/// Calls `describe` and returns what the guest declared, unchecked.
async fn describe(guest: &Guest) -> Result<Description, CallError> {
    let settings = describing(&guest.settings);
    // The clock of the call begins after the wait.
    let _turn = guest.turn_to_describe().await;
    let context = CallContext::without_client("describe".into());
    let call = guest.call(context, Phase::Describe, Arc::new(settings));
    let body = async |store: &mut wasmtime::Store<State>, linked: &mut Linked| {
        let instance = linked.component();
        guest.exports.fit_kinds(store, instance).map_err(|error| {
            let (track, cause) = (contract::TRACK, error.root_cause());
            wasmtime::Error::msg(format!(
                "an export differs from the contract {track}: {cause}"
            ))
        })?;
        let setup = guest
            .exports
            .get::<setup::GuestIndices>()?
            .load(&mut *store, instance)?;
        let registrar = store.data_mut().handles_mut()?.push(RegistrarHandle)?;
        setup.call_describe(&mut *store, registrar).await?;
        Ok(std::mem::take(store.data_mut().call_mut()?.notes()))
    };
    guest.run(call, Owner::Anyone, body).await
}
