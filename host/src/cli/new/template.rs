//! The languages and templates of new handlers. The files are in `host/templates/`: those of Rust in a folder for each
//! template, and those of another language in its own folder.

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// The languages in which handlers can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Lang {
    Rust,
    Js,
    Ts,
    Python,
    C,
    Go,
}

/// A file of a new handler: its path in the folder and its text, both with placeholders.
type File = (&'static str, &'static str);

/// A language, with what all of its templates share.
#[derive(Debug)]
pub(super) struct Language {
    lang: Lang,
    /// The name for people.
    pub(super) name: &'static str,
    /// The file that the author reads first.
    pub(super) main: &'static str,
    /// The folder of its SDK below that for Rust, empty for Rust itself. `None` if it has no SDK.
    pub(super) sdk: Option<&'static str>,
    /// The commands that come next, each with what it does. `{{hitchy}}` stands for this program.
    pub(super) steps: &'static [(&'static str, &'static str)],
    shared: &'static [File],
    templates: &'static [Template],
}

/// What a new handler begins with.
#[derive(Debug)]
pub(super) struct Template {
    /// The value of `--template`.
    name: &'static str,
    /// What the handler has, in a few words.
    pub(super) has: &'static str,
    files: &'static [File],
    /// Commands to try while the handler is served, one a line.
    next: &'static str,
}

/// What takes the places of placeholders.
pub(super) struct Values<'a> {
    /// The name of the handler, for `{{name}}`, and with underscores, as cargo writes libraries, for `{{library}}`.
    pub(super) name: &'a str,
    /// The path of the SDK, for `{{sdk}}`, and quoted, for `{{sdk-in-toml}}`.
    pub(super) sdk: &'a str,
}

macro_rules! text {
    ($($part:literal),+) => {
        include_str!(concat!("../../../templates/", $($part),+))
    };
}

macro_rules! rust_template {
    ($name:literal, $has:literal) => {
        Template {
            name: $name,
            has: $has,
            files: &[
                ("src/lib.rs", text!($name, "/lib.rs")),
                ("hitchy.toml", text!($name, "/hitchy.toml")),
            ],
            next: text!($name, "/next.txt"),
        }
    };
}

/// The commands to try with a handler of the template `hello`.
const HELLO_NEXT: &str = text!("hello/next.txt");
/// What a handler of the template `hello` has.
const HELLO_HAS: &str = "a route and an event";
const DEV: (&str, &str) = (
    "{{hitchy}} dev",
    "builds and serves it, and again on every save",
);

const SCRIPT_DEV: (&str, &str) = ("{{hitchy}} dev", "serves it, and replaces it on every save");
const SCRIPT_TEST: (&str, &str) = (
    "node --test",
    "runs its tests, on a server that they start (HITCHY=/path/to/hitchy names the program)",
);

/// Files of every handler in JavaScript or TypeScript.
const SCRIPT_FILES: &[File] = &[
    ("hitchy.d.ts", include_str!("../../../js/hitchy.d.ts")),
    ("hitchy.toml", text!("js/hello/hitchy.toml")),
    ("package.json", text!("js/hello/package.json")),
    ("public/index.html", text!("js/hello/index.html")),
    ("hello.test.js", text!("js/hello/hello.test.js")),
    (".gitignore", text!("js/gitignore")),
];

/// All languages. The first template of a language is used if none is named.
const LANGUAGES: &[Language] = &[
    Language {
        lang: Lang::Rust,
        name: "Rust",
        main: "src/lib.rs",
        sdk: Some(""),
        steps: &[("cargo test", "runs its tests, without a server"), DEV],
        shared: &[
            ("Cargo.toml", text!("rust/Cargo.toml.template")),
            (".cargo/config.toml", text!("rust/cargo-config.toml")),
            (".gitignore", text!("rust/gitignore")),
        ],
        templates: &[
            rust_template!("hello", "a route and an event"),
            rust_template!("api", "routes with items that are kept"),
            rust_template!("cron", "two schedules"),
            rust_template!("proxy", "a route that calls another server"),
        ],
    },
    Language {
        lang: Lang::Js,
        name: "JavaScript",
        main: "handlers/{{name}}.js",
        sdk: None,
        steps: &[SCRIPT_DEV, SCRIPT_TEST],
        shared: SCRIPT_FILES,
        templates: &[Template {
            name: "hello",
            has: HELLO_HAS,
            files: &[
                ("handlers/{{name}}.js", text!("js/hello/handler.js")),
                ("jsconfig.json", text!("js/hello/jsconfig.json")),
            ],
            next: HELLO_NEXT,
        }],
    },
    Language {
        lang: Lang::Ts,
        name: "TypeScript",
        main: "handlers/{{name}}.ts",
        sdk: None,
        steps: &[SCRIPT_DEV, SCRIPT_TEST],
        shared: SCRIPT_FILES,
        templates: &[Template {
            name: "hello",
            has: HELLO_HAS,
            files: &[
                ("handlers/{{name}}.ts", text!("ts/hello/handler.ts")),
                ("tsconfig.json", text!("ts/hello/tsconfig.json")),
            ],
            next: HELLO_NEXT,
        }],
    },
    Language {
        lang: Lang::Python,
        name: "Python",
        main: "app.py",
        sdk: Some("python"),
        steps: &[
            DEV,
            (
                ".venv/bin/python -m unittest",
                "once that made .venv: runs its tests, without a server",
            ),
        ],
        shared: &[
            ("requirements.txt", text!("python/requirements.txt")),
            (".gitignore", text!("python/gitignore")),
        ],
        templates: &[Template {
            name: "hello",
            has: HELLO_HAS,
            files: &[
                ("app.py", text!("python/hello/app.py")),
                ("test_app.py", text!("python/hello/test_app.py")),
                ("hitchy.toml", text!("python/hello/hitchy.toml")),
            ],
            next: HELLO_NEXT,
        }],
    },
    Language {
        lang: Lang::C,
        name: "C",
        main: "handler.c",
        sdk: None,
        steps: &[("sh test.sh", "runs its tests, without a server"), DEV],
        shared: &[(".gitignore", text!("c/gitignore"))],
        templates: &[Template {
            name: "hello",
            has: HELLO_HAS,
            files: &[
                ("handler.c", text!("c/hello/handler.c")),
                ("greeting.h", text!("c/hello/greeting.h")),
                ("test.c", text!("c/hello/test.c")),
                ("test.sh", text!("c/hello/test.sh")),
                ("hitchy.toml", text!("c/hello/hitchy.toml")),
            ],
            next: HELLO_NEXT,
        }],
    },
    Language {
        lang: Lang::Go,
        name: "Go",
        main: "main.go",
        sdk: None,
        steps: &[
            ("go test ./greeting", "runs its tests, without a server"),
            DEV,
        ],
        shared: &[
            ("go.mod", text!("go/go.mod.template")),
            (".gitignore", text!("go/gitignore")),
        ],
        templates: &[Template {
            name: "hello",
            has: HELLO_HAS,
            files: &[
                ("main.go", text!("go/hello/main.go")),
                ("greeting/greeting.go", text!("go/hello/greeting.go")),
                (
                    "greeting/greeting_test.go",
                    text!("go/hello/greeting_test.go"),
                ),
                ("hitchy.toml", text!("go/hello/hitchy.toml")),
            ],
            next: HELLO_NEXT,
        }],
    },
];

impl Language {
    /// Returns the language with its templates.
    pub(super) fn of(lang: Lang) -> &'static Self {
        let found = LANGUAGES.iter().find(|language| language.lang == lang);
        found.unwrap_or(&LANGUAGES[0])
    }

    /// Returns the template of a name, or the first.
    ///
    /// # Errors
    /// The language has no template of this name.
    pub(super) fn template(&self, name: Option<&str>) -> Result<&'static Template, String> {
        let Some(name) = name else {
            return Ok(&self.templates[0]);
        };
        let found = self.templates.iter().find(|template| template.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = self
                .templates
                .iter()
                .map(|template| template.name)
                .collect();
            format!(
                "there is no template {name} in {}, only {}",
                self.name,
                names.join(", ")
            )
        })
    }

    /// Returns the files of a new handler: their paths in its folder and their contents.
    pub(super) fn files(&self, template: &Template, values: &Values<'_>) -> Vec<(String, String)> {
        let sdk_in_toml = toml::Value::from(values.sdk).to_string();
        let fill = |text: &str| {
            text.replace("{{name}}", values.name)
                .replace("{{library}}", &values.name.replace('-', "_"))
                .replace("{{sdk-in-toml}}", &sdk_in_toml)
                .replace("{{sdk}}", values.sdk)
        };
        let files = self.shared.iter().chain(template.files);
        files.map(|(path, text)| (fill(path), fill(text))).collect()
    }
}

impl Template {
    /// Returns the values of `--template`, those of all languages.
    pub(super) fn names() -> impl Iterator<Item = PossibleValue> {
        // Rust has all of them.
        let all = LANGUAGES[0].templates.iter();
        all.map(|template| PossibleValue::new(template.name).help(template.has))
    }

    /// Returns the commands to try while the handler is served. `hitchy` is the word that starts this program.
    pub(super) fn next(&self, hitchy: &str) -> String {
        let commands = self.next.lines().map(|line| format!("  {line}"));
        let commands: Vec<_> = commands.collect();
        commands.join("\n").replace("{{hitchy}}", hitchy)
    }
}
