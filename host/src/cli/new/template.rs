//! The templates of new handlers. Each is a folder of `host/templates/`, and `rust/` has the files that all share.

use clap::builder::PossibleValue;

/// What a new handler begins with.
#[derive(Debug)]
pub(super) struct Template {
    /// The value of `--template`, which is also the name of the folder.
    name: &'static str,
    /// What the handler has, in a few words.
    pub(super) has: &'static str,
    lib: &'static str,
    settings: &'static str,
    /// Commands to try while the handler is served, one a line. `{{hitchy}}` stands for this program.
    next: &'static str,
}

macro_rules! template {
    ($name:literal, $has:literal) => {
        Template {
            name: $name,
            has: $has,
            lib: include_str!(concat!("../../../templates/", $name, "/lib.rs")),
            settings: include_str!(concat!("../../../templates/", $name, "/hitchy.toml")),
            next: include_str!(concat!("../../../templates/", $name, "/next.txt")),
        }
    };
}

/// All templates. The first is used if none is named.
const TEMPLATES: &[Template] = &[
    template!("hello", "a route and an event"),
    template!("api", "routes with items that are kept"),
    template!("cron", "two schedules"),
    template!("proxy", "a route that calls another server"),
];

impl Template {
    /// The name of the template that is used if none is named.
    pub(super) const DEFAULT: &str = TEMPLATES[0].name;

    /// Returns the values of `--template`.
    pub(super) fn names() -> impl Iterator<Item = PossibleValue> {
        TEMPLATES
            .iter()
            .map(|template| PossibleValue::new(template.name).help(template.has))
    }

    /// Returns the template with a name that [`names`](Self::names) contains; the first for any other.
    pub(super) fn named(name: &str) -> &'static Self {
        let named = TEMPLATES.iter().find(|template| template.name == name);
        named.unwrap_or(&TEMPLATES[0])
    }

    /// Returns the files of a new handler in Rust: their paths in its folder and their contents.
    pub(super) fn files(&self, name: &str, sdk: &str) -> Vec<(&'static str, String)> {
        let sdk = toml::Value::from(sdk).to_string();
        let manifest = include_str!("../../../templates/rust/Cargo.toml.template");
        let cargo_config = include_str!("../../../templates/rust/cargo-config.toml");
        let ignored = include_str!("../../../templates/rust/gitignore");
        vec![
            (
                "Cargo.toml",
                manifest.replace("{{name}}", name).replace("{{sdk}}", &sdk),
            ),
            ("src/lib.rs", self.lib.to_owned()),
            (".cargo/config.toml", cargo_config.to_owned()),
            (
                "hitchy.toml",
                // Cargo writes the name of the library with underscores.
                self.settings.replace("{{file}}", &name.replace('-', "_")),
            ),
            (".gitignore", ignored.to_owned()),
        ]
    }

    /// Returns the commands to try while the handler is served. `hitchy` is the word that starts this program.
    pub(super) fn next(&self, hitchy: &str) -> String {
        let commands = self.next.lines().map(|line| format!("  {line}"));
        let commands: Vec<_> = commands.collect();
        commands.join("\n").replace("{{hitchy}}", hitchy)
    }
}
