//! `hitchy bindings`: writes the contract for another language, so that nobody needs `wit-bindgen` beside this program.

mod c;
mod go;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::{Resolve, SourceMap, WorldId};

use super::error::CommandError;
use super::output::print;
use crate::runtime::wit;

/// The examples at the end of `hitchy bindings --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  hitchy bindings c bindings --exports http,events
  hitchy bindings wit contract";

#[derive(Args)]
pub(super) struct BindingsArgs {
    /// The language
    #[arg(value_enum)]
    lang: Lang,
    /// The folder to write into, which is made if it is missing
    folder: PathBuf,
    /// What the handler exports besides `setup`; everything if nothing is named
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(wit::EXPORTS)
    )]
    exports: Vec<String>,
}

/// The languages for which there are bindings.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lang {
    /// C, as `wit-bindgen c` writes it: handler.h, handler.c and an object file with the types
    C,
    /// Go, as `wit-bindgen go` writes it, below a module of Go
    Go,
    /// The contract itself, for the tools of other languages
    Wit,
}

/// The files of bindings, by their paths in the folder.
type Written = BTreeMap<PathBuf, Vec<u8>>;

/// Runs `hitchy bindings`.
pub(super) fn main(args: &BindingsArgs) -> Result<(), CommandError> {
    let chosen = args.exports.iter().map(String::as_str);
    let exports: Vec<&str> = wit::EXPORTS
        .into_iter()
        .filter(|name| args.exports.is_empty() || chosen.clone().any(|chosen| chosen == *name))
        .collect();
    let files = match args.lang {
        Lang::C => c::bindings(&exports)?,
        Lang::Go => go::bindings(&exports, &args.folder)?,
        Lang::Wit => contract(),
    };
    write(&args.folder, &files)?;
    print(format_args!(
        "wrote {} files into {}",
        files.len(),
        args.folder.display()
    ));
    Ok(())
}

/// Returns the files of the contract.
fn contract() -> Written {
    let files = wit::PACKAGE_FILES.iter().chain(wit::DEPENDENCIES);
    files
        .map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec()))
        .collect()
}

/// Parses the contract, with a world that exports what the handler exports.
fn resolve(exports: &[&str]) -> anyhow::Result<(Resolve, WorldId)> {
    let mut package = SourceMap::default();
    for (path, text) in wit::PACKAGE_FILES {
        package.push_str(path, *text);
    }
    package.push_str("chosen.wit", wit::world(exports));
    let parse = |map: SourceMap| map.parse().map_err(|(_, error)| anyhow!("{error}"));
    let dependencies = wit::DEPENDENCIES.iter().map(|(path, text)| {
        let mut map = SourceMap::default();
        map.push_str(path, *text);
        parse(map)
    });
    let dependencies = dependencies.collect::<anyhow::Result<_>>()?;
    let mut resolve = Resolve::default();
    let package = resolve
        .push_groups(parse(package)?, dependencies)
        .map_err(|error| anyhow!("{error}"))?;
    let world = resolve.select_world(&[package], Some(wit::WORLD))?;
    Ok((resolve, world))
}

/// Returns generated files by their paths.
fn collected(files: &Files) -> Written {
    files
        .iter()
        .map(|(path, content)| (PathBuf::from(path), content.to_vec()))
        .collect()
}

fn write(folder: &Path, files: &Written) -> anyhow::Result<()> {
    for (path, content) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, content))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}
