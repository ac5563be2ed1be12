//! The code that wit-bindgen generates from the contract.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "
        package hitchy:script;
        world runner {
            include hitchy:platform/handler@0.1.1;
            import wasi:clocks/monotonic-clock@0.2.12;
            import wasi:clocks/wall-clock@0.2.12;
            import wasi:io/poll@0.2.12;
            import wasi:random/random@0.2.12;
            /// Evaluates the first file, which may import the others. Each file is a name and a text. Without files,
            /// only the engine and the API are made.
            ///
            /// Returns the imports that none of the files answers, and an error for the author of the file. An import
            /// is the path of the file that it names, or nothing if it names none, then the importing file, then what
            /// is written there.
            export init: func(files: list<source>)
                -> tuple<list<tuple<string, string, string>>, option<string>>;
            /// A file: the JavaScript that is evaluated, and the text that its author wrote if that is another.
            record source {
                name: string,
                text: string,
                written: option<string>,
            }
            /// Makes JavaScript of TypeScript. Each line stays where it is. The error is for the author of the file.
            /// Without a name, the text is that of the translator, which is loaded.
            export translate: func(name: string, text: string) -> result<string, string>;
        }
    ",
    world: "hitchy:script/runner",
    generate_all,
});
