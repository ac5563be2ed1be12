//! Cargo: the packages that become handlers, and their builds.

mod build;
mod command;
mod environment;
mod messages;
mod metadata;
mod toolchain;

pub(super) use self::build::{Build, Profile, build};
pub(super) use self::environment::remove_cargo_run;
pub(super) use self::metadata::{Package, packages};
pub(super) use self::toolchain::ensure_targets;
