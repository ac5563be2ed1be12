//! The code that wit-bindgen generates from `wit/`, and nothing else. Only `host`, `exports` and the test double use it
//! directly.

wit_bindgen::generate!({
    path: "../wit",
    world: "handler",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_handler",
    default_bindings_module: "hitchy_guest::__private::bindings",
});
