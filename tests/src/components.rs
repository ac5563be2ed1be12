//! WebAssembly files that are broken or not handlers, written as text because no ordinary toolchain builds them.

use wasmparser::Payload;

/// Encodes a component from its text format.
///
/// # Panics
/// Panics if the text is not valid WebAssembly text.
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Returns a handler that declares nothing and runs this body (text of WebAssembly instructions) in `describe`.
pub fn describing(body: &str) -> Vec<u8> {
    handler(
        "",
        &format!("(module (func (export \"describe\") (param i32) {body}))"),
    )
}

/// Returns a handler that declares nothing and runs this body in its start function, which is when the handler is
/// instantiated.
pub fn starting(body: &str) -> Vec<u8> {
    handler(
        "",
        &format!(
            "(module (func $start {body}) (start $start) (func (export \"describe\") (param i32)))"
        ),
    )
}

/// Returns a handler that declares nothing and defines `more` (text of fields of a module: memories, tables).
pub fn beginning_with(more: &str) -> Vec<u8> {
    handler(
        "",
        &format!("(module {more} (func (export \"describe\") (param i32)))"),
    )
}

/// Returns a handler that declares nothing and contains `more` (text of fields of a component).
pub fn containing(more: &str) -> Vec<u8> {
    handler(more, r#"(module (func (export "describe") (param i32)))"#)
}

/// Returns a handler that declares nothing, built against another version of the contract (`0.1.9`). `method` is a method
/// of the registrar that it uses, with the type `func(name: string) -> u32`.
pub fn of_version(version: &str, method: Option<&str>) -> Vec<u8> {
    let method = method.map_or_else(String::new, |method| {
        format!(
            r#"(export "[method]registrar.{method}"
                (func (param "self" (borrow $resource)) (param "name" string) (result u32)))"#
        )
    });
    component(&format!(
        r#"(component
            (import "hitchy:platform/registration@{version}" (instance $registration
                (export "registrar" (type $resource (sub resource)))
                {method}))
            (alias export $registration "registrar" (type $registrar))
            (core module $guest (func (export "describe") (param i32)))
            (core instance $guest (instantiate $guest))
            (func $describe (param "to" (own $registrar)) (canon lift (core func $guest "describe")))
            (instance $setup (export "describe" (func $describe)))
            (export "hitchy:platform/setup@{version}" (instance $setup)))"#
    ))
}

/// Returns a handler that declares the route `GET /routed` but does not export the interface that answers requests.
pub fn route_without_http() -> Vec<u8> {
    component(
        r#"(component
            (import "hitchy:platform/registration@0.1.0" (instance $registration
                (export "registrar" (type $registrar (sub resource)))
                (export "[method]registrar.route"
                    (func (param "self" (borrow $registrar)) (param "method" string) (param "path" string) (result u32)))))
            (alias export $registration "registrar" (type $registrar))
            (alias export $registration "[method]registrar.route" (func $route))
            (core module $memory (memory (export "memory") 1) (data (i32.const 0) "GET/routed"))
            (core instance $memory (instantiate $memory))
            (alias core export $memory "memory" (core memory $shared))
            (core func $route (canon lower (func $route) (memory $shared)))
            (core module $guest
                (import "host" "route" (func $route (param i32 i32 i32 i32 i32) (result i32)))
                (func (export "describe") (param i32)
                    (drop (call $route (local.get 0) (i32.const 0) (i32.const 3) (i32.const 3) (i32.const 7)))))
            (core instance $guest (instantiate $guest
                (with "host" (instance (export "route" (func $route))))))
            (func $describe (param "to" (own $registrar)) (canon lift (core func $guest "describe")))
            (instance $setup (export "describe" (func $describe)))
            (export "hitchy:platform/setup@0.1.0" (instance $setup)))"#,
    )
}

/// Returns a handler that declares nothing and takes the compiler much longer than any test lasts: it carries a core
/// module of about 40 MiB that nothing uses.
pub fn slow_to_compile() -> Vec<u8> {
    const FUNCTIONS: u32 = 10_000;
    // No variables; then, 500 times: local.get 0, i32.const 7, i32.mul, local.set 0.
    let mut body = vec![0];
    for _ in 0..500 {
        body.extend([0x20, 0, 0x41, 7, 0x6c, 0x21, 0]);
    }
    // The end of the function, which returns nothing.
    body.push(0x0b);
    let mut functions = leb128(FUNCTIONS);
    functions.extend(vec![0; FUNCTIONS as usize]);
    let mut code = leb128(FUNCTIONS);
    for _ in 0..FUNCTIONS {
        code.extend(leb128(body.len() as u32));
        code.extend(&body);
    }
    // The type `(func (param i32))`.
    let types = [1, 0x60, 1, 0x7f, 0];
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in [(1, &types[..]), (3, &functions), (10, &code)] {
        append_section(&mut module, id, content);
    }
    let mut component = describing("");
    append_section(&mut component, 1, &module);
    component
}

/// Appends a section to a module or a component.
fn append_section(to: &mut Vec<u8>, id: u8, content: &[u8]) {
    to.push(id);
    to.extend(leb128(content.len() as u32));
    to.extend(content);
}

/// Returns a handler with the route `GET /random`, which this core module answers: its function `it` gets the route and
/// the handle of the request, and returns the address of the answer in a memory of 64 KiB. An empty answer with the
/// status 200 is at address 0.
///
/// # Panics
/// Panics if the bytes are not a core module.
pub fn answering_by(module: &[u8]) -> Vec<u8> {
    let template = component(ANSWERING);
    let place = wasmparser::Parser::new(0)
        .parse_all(&template)
        .find_map(|payload| match payload.expect("well formed") {
            Payload::ModuleSection {
                unchecked_range, ..
            } => Some(unchecked_range),
            _ => None,
        })
        .expect("the template begins with a module");
    // The section is its number, the length of the module, and the module.
    let begin = place.start - 1 - leb128(place.len() as u32).len();
    let mut whole = template[..begin].to_vec();
    append_section(&mut whole, 1, module);
    whole.extend(&template[place.end..]);
    whole
}

/// The template of [`answering_by`], with an empty module in the place of the answering one.
const ANSWERING: &str = r#"(component
    (core module $it (func (export "it") (param i32 i32) (result i32) unreachable))
    (import "hitchy:platform/types@0.1.0" (instance $types
        (type $r (record (field "status" u16) (field "headers" (list (tuple string string))) (field "body" (list u8))))
        (export "response" (type (eq $r)))
        (type $f (record (field "code" u16) (field "message" string) (field "data" (option string))))
        (export "failure" (type (eq $f)))))
    (import "hitchy:platform/requests@0.1.0" (instance $requests
        (export "request" (type (sub resource)))))
    (import "hitchy:platform/registration@0.1.0" (instance $registration
        (export "registrar" (type $registrar (sub resource)))
        (export "[method]registrar.route"
            (func (param "self" (borrow $registrar)) (param "method" string) (param "path" string) (result u32)))))
    (alias export $types "response" (type $response))
    (alias export $types "failure" (type $failure))
    (alias export $requests "request" (type $request))
    (alias export $registration "registrar" (type $registrar))
    (alias export $registration "[method]registrar.route" (func $route))
    (core module $memory (memory (export "memory") 1) (data (i32.const 4) "\c8\00") (data (i32.const 64) "GET/random"))
    (core instance $memory (instantiate $memory))
    (alias core export $memory "memory" (core memory $shared))
    (core func $route (canon lower (func $route) (memory $shared)))
    (core module $guest
        (import "host" "route" (func $route (param i32 i32 i32 i32 i32) (result i32)))
        (func (export "describe") (param i32)
            (drop (call $route (local.get 0) (i32.const 64) (i32.const 3) (i32.const 67) (i32.const 7)))))
    (core instance $guest (instantiate $guest (with "host" (instance (export "route" (func $route))))))
    (core instance $it (instantiate $it))
    (func $describe (param "to" (own $registrar)) (canon lift (core func $guest "describe")))
    (func $answer (param "route" u32) (param "request" (own $request)) (result (result $response (error $failure)))
        (canon lift (core func $it "it") (memory $shared)))
    (instance $setup (export "describe" (func $describe)))
    (export "hitchy:platform/setup@0.1.0" (instance $setup))
    (instance $http (export "on-request" (func $answer)))
    (export "hitchy:platform/http@0.1.0" (instance $http)))"#;

/// Encodes a number in LEB128, as WebAssembly's binary format does.
fn leb128(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Returns a handler that imports `interface`, which no host offers.
pub fn importing(interface: &str) -> Vec<u8> {
    handler(
        &format!(r#"(import "{interface}" (instance (export "do" (func))))"#),
        r#"(module (func (export "describe") (param i32)))"#,
    )
}

/// Returns a handler that reads the key `key` of its configuration in `describe`, through `interface` (all names of
/// `wasi:config/store`), and traps unless that fails.
pub fn reading_config(interface: &str) -> Vec<u8> {
    component(&format!(
        r#"(component
            (import "hitchy:platform/registration@0.1.0" (instance $registration
                (export "registrar" (type (sub resource)))))
            (alias export $registration "registrar" (type $registrar))
            (import "{interface}" (instance $config
                (type $reasons (variant (case "upstream" string) (case "io" string)))
                (export "error" (type $error (eq $reasons)))
                (export "get" (func (param "key" string) (result (result (option string) (error $error)))))))
            (alias export $config "get" (func $get))
            (core module $memory
                (memory (export "memory") 1)
                (data (i32.const 0) "key")
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
            (core instance $memory (instantiate $memory))
            (alias core export $memory "memory" (core memory $shared))
            (alias core export $memory "realloc" (core func $realloc))
            (core func $get (canon lower (func $get) (memory $shared) (realloc $realloc)))
            (core module $guest
                (import "memory" "memory" (memory 1))
                (import "host" "get" (func $get (param i32 i32 i32)))
                (func (export "describe") (param i32)
                    (call $get (i32.const 0) (i32.const 3) (i32.const 512))
                    (if (i32.ne (i32.load8_u (i32.const 512)) (i32.const 1)) (then (unreachable)))))
            (core instance $guest (instantiate $guest
                (with "memory" (instance $memory))
                (with "host" (instance (export "get" (func $get))))))
            (func $describe (param "to" (own $registrar)) (canon lift (core func $guest "describe")))
            (instance $setup (export "describe" (func $describe)))
            (export "hitchy:platform/setup@0.1.0" (instance $setup)))"#
    ))
}

/// Returns a handler that imports `interface` and names `language` as its source language.
pub fn importing_in(interface: &str, language: &str) -> Vec<u8> {
    handler(
        &format!(
            r#"(core module (@producers (language "{language}" "1")))
               (import "{interface}" (instance (export "do" (func))))"#
        ),
        r#"(module (func (export "describe") (param i32)))"#,
    )
}

/// Returns a component that has an export of its own but does not export `setup`.
pub fn without_setup() -> Vec<u8> {
    component(
        r#"(component
            (core module $guest (func (export "run")))
            (core instance $guest (instantiate $guest))
            (func $run (canon lift (core func $guest "run")))
            (export "run" (func $run)))"#,
    )
}

/// Returns the component that Rust builds from a library whose author did not export the app: it has no exports.
pub fn rust_without_export() -> Vec<u8> {
    component(&format!("(component {RUST})"))
}

/// Returns a handler that declares nothing and has a module with Rust's default stack of 1 MiB.
pub fn rust_with_a_large_stack() -> Vec<u8> {
    handler(RUST, r#"(module (func (export "describe") (param i32)))"#)
}

/// A module with the memory layout of Rust's linker: the stack comes first in the memory.
const RUST: &str = r#"(core module (@producers (language "Rust" "1.95.0")) (memory 17) (global (mut i32) (i32.const 1048576)))"#;

/// Returns a component that is a command. Its only export is `wasi:cli/run`.
pub fn command() -> Vec<u8> {
    component(
        r#"(component
            (core module $guest (func (export "run") (result i32) i32.const 0))
            (core instance $guest (instantiate $guest))
            (func $run (result (result)) (canon lift (core func $guest "run")))
            (instance $command (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $command)))"#,
    )
}

/// Returns a core module with these fields, which says that it implements no world at all.
pub fn core_module(fields: &str) -> Vec<u8> {
    component(&format!("(module {fields})"))
}

/// Returns a handler for another version of the contract, which exports `setup` and declares nothing.
pub fn for_contract(version: &str) -> Vec<u8> {
    let text = HANDLER
        .replace("IMPORTS", "")
        .replace(
            "GUEST",
            r#"(core module $guest (func (export "describe") (param i32)))"#,
        )
        .replace("@0.1.0", &format!("@{version}"));
    component(&text)
}

/// Returns a component whose only export is the instance `interface`, with the function `name`, which is called without
/// arguments and returns nothing.
pub fn exporting(interface: &str, name: &str) -> Vec<u8> {
    component(&format!(
        r#"(component
            (core module $guest (func (export "it")))
            (core instance $guest (instantiate $guest))
            (func $it (canon lift (core func $guest "it")))
            (instance $exported (export "{name}" (func $it)))
            (export "{interface}" (instance $exported)))"#
    ))
}

/// Returns a component that answers requests of this version of `wasi:http`, by setting no answer.
pub fn answering_wasi_http(version: &str) -> Vec<u8> {
    component(&format!("(component {})", incoming_handler(version)))
}

/// Returns a handler that declares nothing, and answers requests of `wasi:http` too.
pub fn answering_and_declaring() -> Vec<u8> {
    handler(
        &incoming_handler("0.2.6"),
        r#"(module (func (export "describe") (param i32)))"#,
    )
}

/// Returns the fields of a component that answers requests of this version of `wasi:http`, by setting no answer.
fn incoming_handler(version: &str) -> String {
    format!(
        r#"(import "wasi:http/types@{version}" (instance $types
                (export "incoming-request" (type (sub resource)))
                (export "response-outparam" (type (sub resource)))))
            (alias export $types "incoming-request" (type $request))
            (alias export $types "response-outparam" (type $out))
            (core module $silent (func (export "handle") (param i32 i32)))
            (core instance $silent (instantiate $silent))
            (func $handle (param "request" (own $request)) (param "response-out" (own $out))
                (canon lift (core func $silent "handle")))
            (instance $incoming (export "handle" (func $handle)))
            (export "wasi:http/incoming-handler@{version}" (instance $incoming))"#
    )
}

/// Returns a core module that is a command of WASI preview 1.
pub fn core_command() -> Vec<u8> {
    component(r#"(module (func (export "_start")) (memory (export "memory") 1))"#)
}

/// The first bytes of a JPEG picture, which is not WebAssembly.
pub const JPEG: &[u8] = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00";
/// The first bytes of an ELF program, which is the format of code that wasmtime has compiled.
pub const ELF: &[u8] =
    b"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x3e\x00\x01\x00\x00\x00";

/// A handler that declares nothing, with places for imports and for its core module `$guest`.
const HANDLER: &str = r#"(component
    (import "hitchy:platform/registration@0.1.0" (instance $registration
        (export "registrar" (type (sub resource)))))
    (alias export $registration "registrar" (type $registrar))
    IMPORTS
    GUEST
    (core instance $guest (instantiate $guest))
    (func $describe (param "to" (own $registrar)) (canon lift (core func $guest "describe")))
    (instance $setup (export "describe" (func $describe)))
    (export "hitchy:platform/setup@0.1.0" (instance $setup)))"#;

fn handler(imports: &str, guest: &str) -> Vec<u8> {
    let guest = guest.replacen("(module", "(core module $guest", 1);
    component(&HANDLER.replace("IMPORTS", imports).replace("GUEST", &guest))
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_components_are_well_formed() {
        use super::*;
        for bytes in [
            describing("unreachable"),
            starting("(loop (br 0))"),
            route_without_http(),
            of_version("0.1.9", Some("later")),
            importing("nobody:home/thing@1.0.0"),
            reading_config("wasi:config/store@0.2.0-rc.1"),
            slow_to_compile(),
            without_setup(),
            rust_without_export(),
            rust_with_a_large_stack(),
            command(),
            core_command(),
            core_module(""),
            for_contract("1.0.0"),
            exporting("a:b/c@1.0.0", "run"),
            exporting("wasi:http/handler@0.3.0", "handle"),
            answering_wasi_http("0.2.0"),
            answering_and_declaring(),
        ] {
            assert!(bytes.starts_with(b"\0asm"));
            wasmparser::validate(&bytes).expect("well formed");
        }
    }
}
