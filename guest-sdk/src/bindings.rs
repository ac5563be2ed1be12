//! The code that wit-bindgen generates from `wit/`, and nothing else. The rest of the crate meets it through `host` and
//! `exports`.

wit_bindgen::generate!({
    path: "../wit",
    world: "handler",
    pub_export_macro: true,
    export_macro_name: "export_handler",
    default_bindings_module: "hitchy_guest::__private::bindings",
});
