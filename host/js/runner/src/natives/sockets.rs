//! The socket.io server.
//!
//! JavaScript has numbers instead of handles, because a handle is valid only during its call and the collector may keep
//! an object longer.

use std::cell::RefCell;

use rquickjs::{Array, Ctx, Result};

use super::Host;
use crate::bindings::hitchy::platform::sockets::{self, Socket};
use crate::bindings::hitchy::platform::types::Failure;
use crate::values::{Packed, Sockets, error, flat, thrown};

thread_local! {
    /// The sockets of the call, by number.
    static SOCKETS: RefCell<Vec<Socket>> = const { RefCell::new(Vec::new()) };
}

/// Keeps a socket for the call, and returns its number.
pub fn keep(socket: Socket) -> u32 {
    SOCKETS.with_borrow_mut(|sockets| {
        sockets.push(socket);
        sockets.len() as u32 - 1
    })
}

/// Drops the sockets of the call.
pub fn clear() {
    SOCKETS.with_borrow_mut(Vec::clear);
}

fn with<T>(ctx: &Ctx<'_>, number: u32, work: impl FnOnce(&Socket) -> T) -> Result<T> {
    SOCKETS.with_borrow(|sockets| match sockets.get(number as usize) {
        Some(socket) => Ok(work(socket)),
        None => Err(error(ctx, "this socket belongs to a call that has ended")),
    })
}

/// Does what may fail with a socket.
fn attempt<T>(
    ctx: &Ctx<'_>,
    number: u32,
    work: impl FnOnce(&Socket) -> std::result::Result<T, Failure>,
) -> Result<T> {
    with(ctx, number, work)?.map_err(|failure| thrown(ctx, &failure))
}

pub fn add(host: &Host<'_>) -> Result<()> {
    add_handshake(host)?;
    add_state(host)?;
    add_messages(host)?;
    add_audiences(host)
}

/// Adds what does not change while a client is connected.
fn add_handshake(host: &Host<'_>) -> Result<()> {
    host.add("socketId", |ctx: Ctx<'_>, socket| {
        with(&ctx, socket, Socket::id)
    })?;
    host.add("socketNamespace", |ctx: Ctx<'_>, socket| {
        with(&ctx, socket, Socket::namespace)
    })?;
    host.add("socketRemote", |ctx: Ctx<'_>, socket| {
        with(&ctx, socket, Socket::remote)
    })?;
    host.add("socketQuery", |ctx: Ctx<'_>, socket| {
        with(&ctx, socket, Socket::query)
    })?;
    host.add("socketHeaders", |ctx: Ctx<'_>, socket| {
        with(&ctx, socket, |socket| flat(socket.headers()))
    })?;
    host.add("socketAuth", |ctx: Ctx<'_>, socket| {
        with(&ctx, socket, Socket::auth)
    })
}

fn add_state(host: &Host<'_>) -> Result<()> {
    host.add("socketGet", |ctx: Ctx<'_>, socket, key: String| {
        with(&ctx, socket, |socket| socket.get(&key))
    })?;
    host.add(
        "socketSet",
        |ctx: Ctx<'_>, socket, key: String, value: String| {
            attempt(&ctx, socket, |socket| socket.set(&key, &value))
        },
    )?;
    host.add("socketRooms", |ctx: Ctx<'_>, socket| {
        with(&ctx, socket, Socket::rooms)
    })?;
    host.add("socketJoin", |ctx: Ctx<'_>, socket, rooms: Vec<String>| {
        attempt(&ctx, socket, |socket| socket.join(&rooms))
    })?;
    host.add("socketLeave", |ctx: Ctx<'_>, socket, rooms: Vec<String>| {
        attempt(&ctx, socket, |socket| socket.leave(&rooms))
    })?;
    host.add("socketDisconnect", |ctx: Ctx<'_>, socket, close: bool| {
        with(&ctx, socket, |socket| socket.disconnect(close))
    })
}

fn add_messages(host: &Host<'_>) -> Result<()> {
    host.add(
        "socketEmit",
        |ctx: Ctx<'_>, socket, event: String, args: Packed| {
            attempt(&ctx, socket, |socket| socket.emit(&event, &args.0))
        },
    )?;
    host.add(
        "socketEmitWithAck",
        |ctx: Ctx<'_>, socket, event: String, args: Packed, timeout: u32| {
            attempt(&ctx, socket, |socket| {
                socket.emit_with_ack(&event, &args.0, timeout).map(Packed)
            })
        },
    )?;
    host.add("emit", |ctx: Ctx<'_>, event: String, args: Packed| {
        sockets::emit(&event, &args.0).map_err(|failure| thrown(&ctx, &failure))
    })?;
    host.add(
        "emitTo",
        |ctx: Ctx<'_>, to: Sockets, event: String, args: Packed| {
            sockets::emit_to(&to.0, &event, &args.0).map_err(|failure| thrown(&ctx, &failure))
        },
    )?;
    host.add("emitToWithAck", emit_to_with_ack)
}

/// Asks several sockets. Returns an entry for each: `[id, payload]`, or `[id, code, message]`.
fn emit_to_with_ack<'js>(
    ctx: Ctx<'js>,
    to: Sockets,
    event: String,
    args: Packed,
    timeout: u32,
) -> Result<Vec<Array<'js>>> {
    let answers = sockets::emit_to_with_ack(&to.0, &event, &args.0, timeout)
        .map_err(|failure| thrown(&ctx, &failure))?;
    let entry = |(id, answer): (String, std::result::Result<_, Failure>)| {
        let entry = Array::new(ctx.clone())?;
        entry.set(0, id)?;
        match answer {
            Ok(payload) => entry.set(1, Packed(payload))?,
            Err(failure) => {
                entry.set(1, failure.code)?;
                entry.set(2, failure.message)?;
            }
        }
        Ok(entry)
    };
    answers.into_iter().map(entry).collect()
}

fn add_audiences(host: &Host<'_>) -> Result<()> {
    host.add("join", |ctx: Ctx<'_>, of: Sockets, rooms: Vec<String>| {
        sockets::join(&of.0, &rooms).map_err(|failure| thrown(&ctx, &failure))
    })?;
    host.add("leave", |ctx: Ctx<'_>, of: Sockets, rooms: Vec<String>| {
        sockets::leave(&of.0, &rooms).map_err(|failure| thrown(&ctx, &failure))
    })?;
    host.add("disconnect", |ctx: Ctx<'_>, of: Sockets, close: bool| {
        sockets::disconnect(&of.0, close).map_err(|failure| thrown(&ctx, &failure))
    })?;
    host.add("find", |namespace: String, id: String| {
        sockets::find(&namespace, &id).map(keep)
    })?;
    host.add("listIds", |ctx: Ctx<'_>, of: Sockets| {
        sockets::list_ids(&of.0).map_err(|failure| thrown(&ctx, &failure))
    })
}
