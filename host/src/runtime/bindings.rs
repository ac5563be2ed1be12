//! The code that `bindgen!` generates from the contract, and nothing else.

#![allow(missing_docs, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "../wit",
    // The interfaces of WASI have crates, or files of their own in `capabilities/`.
    inline: "
        package hitchy:host;
        world handler {
            import hitchy:platform/types@0.1.1;
            import hitchy:platform/sockets@0.1.1;
            import hitchy:platform/requests@0.1.1;
            import hitchy:platform/registration@0.1.1;
            import hitchy:platform/log@0.1.1;
            import hitchy:platform/instances@0.1.1;
            export hitchy:platform/setup@0.1.1;
            export hitchy:platform/http@0.1.1;
            export hitchy:platform/policies@0.1.1;
            export hitchy:platform/events@0.1.1;
            export hitchy:platform/connections@0.1.1;
            export hitchy:platform/schedules@0.1.1;
        }
    ",
    world: "hitchy:host/handler",
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
        "hitchy:platform/sockets.socket": crate::runtime::instance::handles::SocketHandle,
        "hitchy:platform/requests.request": crate::runtime::instance::handles::RequestHandle,
        "hitchy:platform/registration.registrar": crate::runtime::instance::handles::RegistrarHandle,
    },
});
