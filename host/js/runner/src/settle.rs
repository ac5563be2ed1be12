//! Runs what a call has begun until its result is there.

use rquickjs::{Ctx, Error, Exception, Function, Object, Result, Value};

/// Runs microtasks, timers and requests to other servers until a value is more than a promise.
///
/// # Errors
/// The promise is rejected, or nothing is left that could settle it.
pub fn settle<'js>(ctx: &Ctx<'js>, entries: &Object<'js>, value: Value<'js>) -> Result<Value<'js>> {
    run_jobs(ctx);
    let Some(promise) = value.clone().into_promise() else {
        return Ok(value);
    };
    let turn: Function = entries.get("turn")?;
    loop {
        if let Some(result) = promise.result() {
            return result;
        }
        if !turn.call::<_, bool>(())? {
            return Err(unsettled(ctx));
        }
        run_jobs(ctx);
    }
}

/// Runs the microtasks. Their errors are those of promises.
fn run_jobs(ctx: &Ctx<'_>) {
    while ctx.execute_pending_job() {}
}

fn unsettled(ctx: &Ctx<'_>) -> Error {
    let message =
        "it returned a promise that nothing settles: no timer and no fetch is left that could";
    Exception::throw_message(ctx, message)
}
