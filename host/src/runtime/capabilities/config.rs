//! `wasi:config/store`: the values that the operator set for the handler, and its secrets.
//!
//! Earlier drafts of the standard have the same functions under other names. They are linked too, so that guests that
//! were made for other hosts find what they import.

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use super::capability::{Capability, ImportSupport, Interfaces};
use crate::payload::Failure;
use crate::runtime::instance::state::{Call, State};

pub(super) const CAPABILITY: Capability = Capability {
    interfaces: &[
        draft(&["store"], "0.2.0-rc.1"),
        draft(&["store"], "0.2.0-draft-2024-09-27"),
        draft(&["runtime"], "0.2.0-draft"),
    ],
    link,
};

const fn draft(names: &'static [&'static str], version: &'static str) -> Interfaces {
    Interfaces {
        package: "wasi:config",
        names,
        track: version,
        support: ImportSupport::Granted,
    }
}

/// The reasons for which reading fails, as the interface declares them.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "upstream")]
    #[expect(
        dead_code,
        reason = "the interface has it, and nothing here can fail so"
    )]
    Upstream(String),
    #[component(name = "io")]
    Io(String),
}

type Get = Result<Option<String>, Error>;
type GetAll = Result<Vec<(String, String)>, Error>;

fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for interfaces in CAPABILITY.interfaces {
        for name in interfaces.names {
            let name = format!("{}/{name}@{}", interfaces.package, interfaces.track);
            let mut instance = linker.instance(&name)?;
            instance.func_wrap("get", |store: StoreContextMut<'_, State>, (key,)| {
                let key: String = key;
                Ok((get(store.data(), &key),))
            })?;
            instance.func_wrap("get-all", |store: StoreContextMut<'_, State>, ()| {
                Ok((get_all(store.data()),))
            })?;
        }
    }
    Ok(())
}

/// Returns the value of a key. A secret is read as any other value; the settings refuse a key that is both.
fn get(state: &State, key: &str) -> Get {
    let settings = &readable(state)?.settings;
    let value = settings.config.get(key).map(String::as_str);
    let value = value.or_else(|| settings.secrets.value(key));
    Ok(value.map(str::to_owned))
}

/// Returns all keys with their values, those of secrets too.
fn get_all(state: &State) -> GetAll {
    let settings = &readable(state)?.settings;
    let config = settings.config.iter();
    let config = config.map(|(key, value)| (key.as_str(), value.as_str()));
    let all = config.chain(settings.secrets.values());
    Ok(all
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect())
}

/// Returns the call that runs. Fails in `describe`, because declarations may not depend on what is set.
fn readable(state: &State) -> Result<&Call, Error> {
    let readable = || {
        state.serving()?;
        Ok::<_, Failure>(&state.call()?.call)
    };
    readable().map_err(|failure| Error::Io(failure.message))
}
