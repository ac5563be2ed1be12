//! The code that `bindgen!` generates from the contract, and nothing else.

#![allow(missing_docs, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "handler",
    imports: {
        // Only functions that may wait are async.
        "hitchy:platform/sockets.[method]socket.emit-with-ack": async | trappable,
        "hitchy:platform/sockets.emit": async | trappable,
        "hitchy:platform/sockets.emit-to": async | trappable,
        "hitchy:platform/sockets.emit-to-with-ack": async | trappable,
        "hitchy:platform/sockets.join": async | trappable,
        "hitchy:platform/sockets.leave": async | trappable,
        "hitchy:platform/sockets.disconnect": async | trappable,
        "hitchy:platform/sockets.find": async | trappable,
        "hitchy:platform/sockets.list-ids": async | trappable,
        "hitchy:platform/requests.dispatch": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "hitchy:platform/sockets.socket": crate::runtime::instance::state::SocketHandle,
        "hitchy:platform/requests.request": crate::runtime::instance::state::RequestHandle,
        "hitchy:platform/registration.registrar": crate::runtime::instance::state::RegistrarHandle,
    },
});
