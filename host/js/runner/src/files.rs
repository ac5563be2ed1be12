//! The sources: the files of the handler, and the modules of the API, whose names begin with `hitchy:`.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::{Ctx, Error, Module, Result};

use crate::bindings::Source;

/// The prefix of the names of the API's own modules. Traces leave their frames out.
pub const OWN: &str = "hitchy:";

/// The modules of the API, by the rest of their names, as `build.rs` has compiled them.
const PRELUDE: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/prelude.rs"));

/// The text of the module that translates TypeScript. The server reads the section and hands the text to
/// [`crate::engine::translate`], so that it is in no image of the memory but that of the translator.
#[expect(dead_code, reason = "the server reads it in the file")]
#[allow(unsafe_code)]
#[unsafe(link_section = "hitchy:typescript")]
pub static TYPESCRIPT: [u8; include_bytes!(env!("HITCHY_TYPESCRIPT")).len()] =
    *include_bytes!(env!(
        "HITCHY_TYPESCRIPT",
        "build the runner with host/js/build.sh"
    ));

/// Imports without a file that are noted at most.
const MAX_MISSING: usize = 1000;

/// An import that no file answers: the path that it names, the importing file and what is written there.
type Missing = (String, String, String);

thread_local! {
    static MISSING: RefCell<Vec<Missing>> = const { RefCell::new(Vec::new()) };
    /// The files of the handler, by name.
    static FILES: RefCell<BTreeMap<String, Source>> = const { RefCell::new(BTreeMap::new()) };
}

/// Makes the files of a handler known.
pub fn set(files: Vec<Source>) {
    let named = files.into_iter().map(|file| (file.name.clone(), file));
    FILES.with_borrow_mut(|known| known.extend(named));
}

/// Returns the imports that no file has answered so far, and forgets them.
pub fn take_missing() -> Vec<Missing> {
    MISSING.take()
}

/// Returns a line of a file as its author wrote it, for traces, and the column in it that `column` of the evaluated
/// text comes from. Both count from 1, and columns count characters.
pub fn line(name: &str, line: usize, column: usize) -> Option<(String, usize)> {
    FILES.with_borrow(|files| {
        let file = files.get(name)?;
        let number = line.checked_sub(1)?;
        let evaluated = file.text.lines().nth(number)?;
        let Some(written) = &file.written else {
            return Some((evaluated.to_owned(), column));
        };
        let written = written.lines().nth(number)?;
        Some((written.to_owned(), column_in(written, evaluated, column)))
    })
}

/// Returns the column in `written` that a column in `evaluated` comes from. What was evaluated is what was written
/// without its types, so its characters follow each other there too.
fn column_in(written: &str, evaluated: &str, column: usize) -> usize {
    let mut rest = (1..).zip(written.chars());
    let mut found = column;
    for character in evaluated.chars().take(column) {
        match rest.find(|(_, one)| *one == character) {
            Some((place, _)) => found = place,
            None => return column,
        }
    }
    found
}

fn source(name: &str) -> Option<String> {
    FILES.with_borrow(|files| files.get(name).map(|file| file.text.clone()))
}

/// Finds and loads the modules that others import.
pub struct Modules;

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        _: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        if name == "hitchy" {
            return Ok("hitchy:api".to_owned());
        }
        // The runner itself imports without a base.
        if name.starts_with(OWN) && (base.is_empty() || base.starts_with(OWN)) {
            return Ok(name.to_owned());
        }
        let is_path = name.starts_with("./") || name.starts_with("../");
        let path = is_path.then(|| join(base, name)).flatten();
        if let Some(path) = path.as_ref().filter(|path| source(path).is_some()) {
            return Ok(path.clone());
        }
        let missing = (path.unwrap_or_default(), base.to_owned(), name.to_owned());
        MISSING.with_borrow_mut(|all| {
            // An instance that is kept may try again and again.
            if all.len() < MAX_MISSING {
                all.push(missing);
            }
        });
        let cause = "no file was loaded for it: while a call runs, only files can be imported that the handler names literally, as \
                     import(\"./name.js\")";
        Err(Error::new_resolving_message(base, name, cause))
    }
}

/// Returns the path of a file that `base` names `name`, or `None` if the path leads out of the folder.
fn join(base: &str, name: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js>> {
        let own = name.strip_prefix(OWN);
        if let Some((_, bytecode)) = PRELUDE.iter().find(|(module, _)| Some(*module) == own) {
            // Sound, because the engine that is linked here has compiled it.
            #[allow(unsafe_code)]
            return unsafe { Module::load(ctx.clone(), bytecode) };
        }
        let text = source(name).ok_or_else(|| Error::new_loading(name))?;
        Module::declare(ctx.clone(), name, text)
    }
}
