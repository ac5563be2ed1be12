//! Compiles the modules of the API to bytecode, without their text: an image of the memory has them as they are, and each
//! fresh instance pays for the size of its image.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{env, fs};

use rquickjs::loader::{ImportAttributes, Loader, Resolver};
use rquickjs::module::WriteOptions;
use rquickjs::{CatchResultExt, Context, Ctx, Error, Module, Result, Runtime};

/// The prefix of the names of the modules.
const OWN: &str = "hitchy:";

/// Compiled modules, by the rest of their names.
type Compiled = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

struct Prelude(Compiled);

impl Resolver for Prelude {
    fn resolve<'js>(
        &mut self,
        _: &Ctx<'js>,
        _: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        Ok(name.to_owned())
    }
}

impl Loader for Prelude {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js>> {
        let own = name
            .strip_prefix(OWN)
            .ok_or_else(|| Error::new_loading(name))?;
        let text = fs::read(folder().join(format!("{own}.js")))?;
        let module = Module::declare(ctx.clone(), name, text)?;
        let options = WriteOptions {
            strip_source: true,
            ..WriteOptions::default()
        };
        let bytecode = module.write(options)?;
        self.0.borrow_mut().insert(own.to_owned(), bytecode);
        Ok(module)
    }
}

fn folder() -> PathBuf {
    Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("prelude")
}

fn main() {
    println!("cargo::rerun-if-changed=prelude");
    let compiled = Compiled::default();
    let runtime = Runtime::new().expect("an engine");
    runtime.set_loader(Prelude(compiled.clone()), Prelude(compiled.clone()));
    let context = Context::full(&runtime).expect("a context");
    context.with(|ctx| {
        // Imports are loaded with the module that has them.
        let entries = Prelude(compiled.clone()).load(&ctx, "hitchy:entries", None);
        entries
            .catch(&ctx)
            .unwrap_or_else(|error| panic!("{error}"));
    });
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    let mut list = String::from("&[\n");
    for (name, bytecode) in compiled.borrow().iter() {
        let file = out.join(format!("{name}.bin"));
        fs::write(&file, bytecode).expect("written");
        list.push_str(&format!("    ({name:?}, include_bytes!({file:?})),\n"));
    }
    list.push_str("]\n");
    fs::write(out.join("prelude.rs"), list).expect("written");
}
