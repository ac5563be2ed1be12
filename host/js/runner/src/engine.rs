//! The JavaScript engine of an instance.

use std::cell::RefCell;

use rquickjs::function::{Constructor, IntoArgs};
use rquickjs::{
    Array, CaughtError, Context, Ctx, Error, Exception, Function, Module, Object, Persistent,
    Runtime, Value,
};

use crate::bindings::Source;
use crate::bindings::hitchy::platform::types::Failure;
use crate::files::{self, Modules};
use crate::natives;
use crate::settle::settle;

/// Bytes of the stack in linear memory that JavaScript may use. The linker reserves more (`-zstack-size`), for the
/// functions that run at its end.
const STACK: usize = 256 << 10;
/// Bytes of an image that are free for what JavaScript makes. An instance whose memory grows in a call cannot have
/// another call, and ordinary calls should not need more.
const SLACK: usize = 64 << 10;

/// The module of the API whose exports are called from here.
const ENTRIES: &str = "hitchy:entries";
/// The module that translates TypeScript.
const TRANSLATOR: &str = "hitchy:typescript";

struct Engine {
    context: Context,
    /// The exports of [`ENTRIES`].
    entries: Persistent<Object<'static>>,
    /// The context does not keep the runtime's own settings alive.
    _runtime: Runtime,
}

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// Evaluates the first of the files. Without files, only the API is loaded.
///
/// # Errors
/// Returns a text for the author of the file.
pub fn init(files: Vec<Source>) -> Result<(), String> {
    if ENGINE.with_borrow(Option::is_none) {
        let engine = Engine::new().map_err(|error| error.to_string())?;
        ENGINE.set(Some(engine));
    }
    let main = files.first();
    let main = main.map(|file| (file.name.clone(), file.text.clone()));
    files::set(files);
    let evaluated = match main {
        Some((name, text)) => with(|ctx, entries| {
            let loaded = evaluate(ctx, entries, &name, text);
            loaded.map_err(|error| explain_load(ctx, entries, error, &name))
        }),
        None => Ok(()),
    };
    natives::end_call();
    evaluated?;
    clean();
    Ok(())
}

/// Removes from the memory what an image of it should not have.
fn clean() {
    ENGINE.with_borrow(|engine| {
        if let Some(engine) = engine {
            engine.context.with(|ctx| {
                ctx.run_gc();
                leave_slack(&ctx);
            });
        }
    });
    // What was drawn while the file was loaded would be drawn again in every instance.
    natives::forget_seed();
}

/// Leaves free memory to the allocator of the engine, which keeps what was freed and is not that of Rust.
fn leave_slack(ctx: &Ctx<'_>) {
    let buffer = ctx.globals().get::<_, Constructor>("ArrayBuffer");
    // A script may have replaced it. Then calls let the memory grow, and nothing else.
    drop(buffer.and_then(|buffer| buffer.construct::<_, Value>((SLACK,))));
    ctx.catch();
}

/// Makes JavaScript of TypeScript. Without a name, the text is that of the translator, which is loaded.
///
/// # Errors
/// Returns a text for the author of the file.
pub fn translate(name: &str, text: &str) -> Result<String, String> {
    let translated = with(|ctx, entries| {
        let run = || {
            if name.is_empty() {
                let (_, promise) = Module::declare(ctx.clone(), TRANSLATOR, text)?.eval()?;
                settle(ctx, entries, promise.into_value())?;
                return Ok((Some(String::new()), String::new()));
            }
            let module: Object = Module::import(ctx, TRANSLATOR)?.finish()?;
            let function: Function = module.get("translate")?;
            let parts: Array = function.call((name, text))?;
            Ok((parts.get(0)?, parts.get(1)?))
        };
        run().map_err(|error| explain_load(ctx, entries, error, name))
    });
    clean();
    let (text, error): (Option<String>, String) = translated?;
    text.ok_or(error)
}

impl Engine {
    fn new() -> rquickjs::Result<Self> {
        let runtime = Runtime::new()?;
        runtime.set_max_stack_size(STACK);
        runtime.set_loader(Modules, Modules);
        runtime.set_host_promise_rejection_tracker(Some(Box::new(note_rejection)));
        let context = Context::full(&runtime)?;
        let entries = context.with(|ctx| {
            ctx.globals().set("__hitchy", natives::all(&ctx)?)?;
            let promise = Module::import(&ctx, ENTRIES)?;
            let entries: Object = promise.finish().inspect_err(|_| log_prelude_error(&ctx))?;
            Ok::<_, Error>(Persistent::save(&ctx, entries))
        })?;
        Ok(Self {
            context,
            entries,
            _runtime: runtime,
        })
    }
}

/// Tells the API of a promise that was rejected, or of a rejection that is handled after all.
fn note_rejection<'js>(ctx: Ctx<'js>, promise: Value<'js>, reason: Value<'js>, is_handled: bool) {
    ENGINE.with_borrow(|engine| {
        let Some(engine) = engine else {
            return;
        };
        let entries = engine.entries.clone().restore(&ctx);
        let note = entries.and_then(|entries| entries.get("rejected"));
        // A rejection that cannot be noted is not logged, and nothing else.
        let _ = note.and_then(|note: Function| note.call::<_, ()>((promise, reason, is_handled)));
    });
}

/// Logs why the API itself could not be loaded.
fn log_prelude_error(ctx: &Ctx<'_>) {
    let caught = ctx.catch();
    if let Some(exception) = caught.as_exception() {
        let stack = exception.stack().unwrap_or_default();
        natives::log::write(
            4,
            &format!("{}: {stack}", exception.message().unwrap_or_default()),
        );
    }
}

/// Calls `work` with the entries of the engine. There is an engine once `init` was called.
fn with<T, E: From<&'static str>>(
    work: impl for<'js> FnOnce(&Ctx<'js>, &Object<'js>) -> Result<T, E>,
) -> Result<T, E> {
    ENGINE.with_borrow(|engine| {
        let engine = engine.as_ref().ok_or("no file was loaded")?;
        engine.context.with(|ctx| {
            let entries = engine.entries.clone().restore(&ctx);
            let entries = entries.map_err(|_| "the engine is gone")?;
            work(&ctx, &entries)
        })
    })
}

/// Evaluates a file, and what it imports, as a module.
fn evaluate<'js>(
    ctx: &Ctx<'js>,
    entries: &Object<'js>,
    name: &str,
    text: String,
) -> rquickjs::Result<()> {
    let module = Module::declare(ctx.clone(), name, text)?;
    let (module, promise) = module.eval()?;
    settle(ctx, entries, promise.into_value())?;
    let loaded: Function = entries.get("loaded")?;
    let recorded: Value = loaded.call((name, module.namespace()?))?;
    settle(ctx, entries, recorded)?;
    Ok(())
}

/// Describes why a file could not be loaded.
fn explain_load<'js>(ctx: &Ctx<'js>, entries: &Object<'js>, error: Error, name: &str) -> String {
    let plain = error.to_string();
    let explained = thrown_value(ctx, error).and_then(|value| {
        let explain: Function = entries.get("explainLoad")?;
        explain.call::<_, String>((value, name))
    });
    explained.unwrap_or(plain)
}

/// Returns what was thrown. Errors of the engine's bindings become errors of JavaScript.
fn thrown_value<'js>(ctx: &Ctx<'js>, error: Error) -> rquickjs::Result<Value<'js>> {
    Ok(match CaughtError::from_error(ctx, error) {
        CaughtError::Exception(exception) => exception.into_value(),
        CaughtError::Value(value) => value,
        CaughtError::Error(error) => {
            Exception::from_message(ctx.clone(), &error.to_string())?.into_value()
        }
    })
}

/// Calls an entry, waits for its result and reads it.
///
/// # Errors
/// Returns the failure for the client. What only the operator should read is in the log.
pub fn call<T>(
    entry: &str,
    args: impl for<'js> FnOnce(&Ctx<'js>) -> rquickjs::Result<Args<'js>>,
    read: impl for<'js> FnOnce(Value<'js>) -> rquickjs::Result<T>,
) -> Result<T, Failure> {
    let result = with(|ctx, entries| {
        let run = || {
            let function: Function = entries.get(entry)?;
            let value = function.call_arg(args(ctx)?)?;
            read(settle(ctx, entries, value)?)
        };
        let result = run();
        let result = result.map_err(|error| Problem(failure(ctx, entries, error)));
        let ended = entries
            .get("ended")
            .and_then(|ended: Function| ended.call::<_, ()>(()));
        // A call that has failed already has a reason of its own.
        match (result, ended) {
            (Ok(_), Err(error)) => Err(Problem(failure(ctx, entries, error))),
            (result, _) => result,
        }
    });
    natives::end_call();
    result.map_err(|problem: Problem| problem.0)
}

/// The arguments of an entry.
pub type Args<'js> = rquickjs::function::Args<'js>;

/// Makes a list of arguments.
pub fn args<'js>(ctx: &Ctx<'js>, values: impl IntoArgs<'js>) -> rquickjs::Result<Args<'js>> {
    let mut args = Args::new(ctx.clone(), values.num_args());
    values.into_args(&mut args)?;
    Ok(args)
}

struct Problem(Failure);

impl From<&'static str> for Problem {
    fn from(cause: &'static str) -> Self {
        natives::log::write(4, cause);
        Self(internal())
    }
}

/// Makes a failure of an error. Errors that are not for the client are logged.
fn failure<'js>(ctx: &Ctx<'js>, entries: &Object<'js>, error: Error) -> Failure {
    let plain = error.to_string();
    let explained = thrown_value(ctx, error).and_then(|value| {
        let explain: Function = entries.get("explain")?;
        let parts: Array = explain.call((value,))?;
        Ok(Failure {
            code: parts.get(0)?,
            message: parts.get(1)?,
            data: parts.get(2)?,
        })
    });
    explained.unwrap_or_else(|_| {
        natives::log::write(4, &plain);
        log_prelude_error(ctx);
        internal()
    })
}

fn internal() -> Failure {
    Failure {
        code: 500,
        message: "internal server error".to_owned(),
        data: None,
    }
}
