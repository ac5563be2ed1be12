//! The native functions of the API, which pass on what the contract imports. `prelude/host.js` hands them to the
//! modules of the API; handlers do not see them.

mod clock;
mod fetch;
pub mod log;
mod requests;
mod sockets;
mod storage;
mod web;

use rquickjs::function::IntoJsFunc;
use rquickjs::{Ctx, Function, Object, Result};

pub use self::clock::forget_seed;
pub use self::requests::set as set_request;
pub use self::sockets::{clear as clear_sockets, keep as keep_socket};

/// Makes the object with all native functions.
pub fn all<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let host = Host {
        ctx: ctx.clone(),
        object: Object::new(ctx.clone())?,
    };
    clock::add(&host)?;
    fetch::add(&host)?;
    log::add(&host)?;
    requests::add(&host)?;
    sockets::add(&host)?;
    storage::add(&host)?;
    web::add(&host)?;
    Ok(host.object)
}

/// Drops everything that belongs to the call that has ended.
pub fn end_call() {
    set_request(None);
    clear_sockets();
    fetch::clear();
    storage::clear();
}

/// The object that is being filled with functions.
pub struct Host<'js> {
    ctx: Ctx<'js>,
    object: Object<'js>,
}

impl<'js> Host<'js> {
    fn add<P>(&self, name: &str, function: impl IntoJsFunc<'js, P> + 'js) -> Result<()> {
        self.object
            .set(name, Function::new(self.ctx.clone(), function)?)
    }
}
