//! How `hitchy build` builds: as the author wrote it, whatever the environment of the machine says, in every folder and
//! with an explanation where nothing is built.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use hitchy_tests::commands::{err, folder, out, program, refused};
use hitchy_tests::guest;
use hitchy_tests::project::bare_package;
use hitchy_tests::server::binary;
use wasmparser::{Operator, Parser, Payload};

/// The stack that handlers get unless their author says otherwise.
const SMALL: i32 = 65536;

fn build(folder: &Path, env: &[(&str, &str)]) -> Output {
    let mut command = program(Command::new(binary()), folder);
    for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    let target = folder.join("target");
    command
        .args(["build", "."])
        .env("CARGO_TARGET_DIR", target)
        .envs(env.iter().copied())
        .output()
        .expect("hitchy starts")
}

/// Returns the size of the stack of a component that Rust made: the initial value of the stack pointer.
fn stack(component: &Path) -> i32 {
    let bytes = fs::read(component).expect("it was built");
    for payload in Parser::new(0).parse_all(&bytes) {
        if let Payload::GlobalSection(globals) = payload.expect("well formed") {
            let first = globals
                .into_iter()
                .next()
                .expect("there is one")
                .expect("well formed");
            let mut operators = first.init_expr.get_operators_reader();
            if let Operator::I32Const { value } = operators.read().expect("well formed") {
                return value;
            }
        }
    }
    panic!("no stack pointer");
}

fn built_with(settings: &[(&str, &str)], env: &[(&str, &str)]) -> i32 {
    let folder = folder();
    let project = folder.path().join("project");
    bare_package(&project.join("bare"), "bare");
    for (path, text) in settings {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let home = folder.path().join("home");
    let home = home.to_str().expect("temporary paths are UTF-8");
    let mut env = env.to_vec();
    if settings.iter().any(|(path, _)| path.starts_with("home/")) {
        env.push(("CARGO_HOME", home));
    }
    let output = build(&project, &env);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{settings:?} {env:?}: {}",
        err(&output)
    );
    stack(&project.join("handlers/bare.wasm"))
}

#[test]
fn i11_7_the_stack_that_an_author_sets_is_the_one_that_is_built() {
    let at = "project/bare/.cargo/config.toml";
    let own = 131_072;
    for (path, text) in [
        (
            at,
            "[build]\nrustflags = [\"-Clink-arg=-zstack-size=131072\"]\n",
        ),
        (
            at,
            "[build]\nrustflags = \"-C link-arg=-zstack-size=131072\"\n",
        ),
        (
            at,
            "[target.wasm32-wasip2]\nrustflags = [\"-C\", \"link-arg=-zstack-size=131072\"]\n",
        ),
        (
            at,
            "[target.wasm32-wasip2]\nrustflags = \"-Clink-args=-zstack-size=131072\"\n",
        ),
        (
            at,
            "[target.'cfg(target_family = \"wasm\")']\nrustflags = [\"-Clink-arg=-zstack-size=131072\"]\n",
        ),
        (
            "project/bare/.cargo/config",
            "[target.wasm32-wasip2]\nrustflags = [\"-Clink-arg=-zstack-size=131072\"]\n",
        ),
        (
            ".cargo/config.toml",
            "[target.wasm32-wasip2]\nrustflags = [\"-Clink-arg=-zstack-size=131072\"]\n",
        ),
        (
            "home/config.toml",
            "[build]\nrustflags = [\"-Clink-arg=-zstack-size=131072\"]\n",
        ),
        (
            "project/bare/build.rs",
            "fn main() { println!(\"cargo::rustc-link-arg=-zstack-size=131072\"); }",
        ),
    ] {
        assert_eq!(built_with(&[(path, text)], &[]), own, "{path}: {text}");
        // The environment does not hide what the author says.
        let env = [
            ("RUSTFLAGS", "-Dwarnings"),
            ("CARGO_ENCODED_RUSTFLAGS", "-Dwarnings"),
        ];
        assert_eq!(built_with(&[(path, text)], &env), own, "{path}: {text}");
    }
    // Other flags of the author leave the stack as it is.
    let other = [(at, "[build]\nrustflags = [\"-Copt-level=1\"]\n")];
    assert_eq!(built_with(&other, &[]), SMALL);
    let env = [(
        "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS",
        "-Clink-arg=-zstack-size=131072",
    )];
    assert_eq!(
        built_with(&[], &env),
        own,
        "it names the target of handlers"
    );
}

#[test]
fn i11_8_the_environment_of_the_machine_changes_no_build() {
    let plain = {
        let folder = folder();
        bare_package(&folder.path().join("bare"), "bare");
        assert_eq!(build(folder.path(), &[]).status.code(), Some(0));
        fs::read(folder.path().join("handlers/bare.wasm")).expect("it was built")
    };
    for env in [
        &[][..],
        &[("RUSTFLAGS", "-Clink-arg=-fuse-ld=mold")],
        // The library has warnings.
        &[("RUSTFLAGS", "-Dwarnings")],
        &[("RUSTFLAGS", "")],
        &[(
            "CARGO_ENCODED_RUSTFLAGS",
            "-Dwarnings\u{1f}-Clink-arg=-fuse-ld=mold",
        )],
        &[("CARGO_ENCODED_RUSTFLAGS", "")],
        &[("CARGO_BUILD_RUSTFLAGS", "-Ctarget-cpu=native")],
        &[("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", "")],
        &[("CARGO_BUILD_TARGET", "x86_64-unknown-linux-gnu")],
        &[(
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
            "-Clink-arg=-fuse-ld=mold",
        )],
        &[
            ("RUSTC_WRAPPER", "/nowhere/sccache"),
            ("CARGO_BUILD_RUSTC_WRAPPER", "/nowhere"),
        ],
        &[("RUSTC_WORKSPACE_WRAPPER", "/nowhere/clippy-driver")],
        &[
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
            ("CARGO_PROFILE_RELEASE_DEBUG", "2"),
        ],
        &[("CARGO_PROFILE_RELEASE_PANIC", "nonsense")],
        &[
            ("CARGO_INCREMENTAL", "1"),
            ("CARGO_BUILD_INCREMENTAL", "true"),
        ],
        &[("CARGO_BUILD_WARNINGS", "deny")],
        &[("CARGO_BUILD_DEP_INFO_BASEDIR", "/")],
        &[
            ("CARGO_MANIFEST_DIR", "/nowhere"),
            ("CARGO_PKG_NAME", "other"),
            ("OUT_DIR", "/nowhere"),
        ],
        &[
            ("RUSTDOCFLAGS", "-Dwarnings"),
            ("CARGO_TERM_COLOR", "always"),
            ("CARGO_TERM_VERBOSE", "true"),
        ],
    ] {
        let folder = folder();
        bare_package(&folder.path().join("bare"), "bare");
        let output = build(folder.path(), env);
        assert_eq!(output.status.code(), Some(0), "{env:?}: {}", err(&output));
        let made = fs::read(folder.path().join("handlers/bare.wasm")).expect("it was built");
        assert_eq!(
            stack(&folder.path().join("handlers/bare.wasm")),
            SMALL,
            "{env:?}"
        );
        assert_eq!(made.len(), plain.len(), "{env:?}");
    }
}

#[test]
fn i11_8_the_toolchain_that_the_author_chose_is_not_overruled() {
    let folder = folder();
    let bare = folder.path().join("bare");
    bare_package(&bare, "bare");
    let stub = folder.path().join("stub");
    fs::write(
        &stub,
        "#!/bin/sh\necho this is not the toolchain >&2\nexit 1\n",
    )
    .expect("written");
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).expect("it may be run");
    let stub = stub.to_str().expect("temporary paths are UTF-8");
    let env = [
        ("CARGO", stub),
        ("RUSTC", stub),
        ("RUSTUP_TOOLCHAIN", "none-such"),
    ];
    let refused = build(folder.path(), &env);
    assert_eq!(
        refused.status.code(),
        Some(1),
        "without a choice, the machine decides"
    );
    fs::write(
        bare.join("rust-toolchain.toml"),
        "[toolchain]\nchannel = \"stable\"\n",
    )
    .expect("written");
    let output = build(folder.path(), &env);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[test]
fn i11_6_out_is_one_word_in_every_folder_and_for_every_name() {
    let parent = folder();
    let odd: [&[u8]; 6] = [
        b"a b",
        b"it's",
        b"\"q\"",
        b"$HOME",
        b"new\nline",
        b"*;&|<(`",
    ];
    for name in odd {
        for command in [
            "cp prebuilt.wasm $OUT",
            "cp prebuilt.wasm \"$OUT\"",
            "cd sub && cp ../prebuilt.wasm $OUT",
            "sh -c \"cp prebuilt.wasm $OUT\"",
            "cp prebuilt.wasm 'handlers/my file $x.wasm'",
        ] {
            let project = parent.path().join(OsStr::from_bytes(name));
            fs::create_dir_all(project.join("sub")).expect("a folder can be made");
            fs::write(project.join("prebuilt.wasm"), guest("version_one")).expect("written");
            let settings = format!("[dev.build]\n'handlers/my file $x.wasm' = {command:?}\n");
            fs::write(project.join("hitchy.toml"), settings).expect("written");
            let output = build(&project, &[]);
            assert_eq!(
                output.status.code(),
                Some(0),
                "{name:?} {command}: {}",
                err(&output)
            );
            let made = project.join("handlers/my file $x.wasm");
            assert_eq!(fs::read(made).expect("it was built"), guest("version_one"));
            let entries = fs::read_dir(&project)
                .expect("it can be read")
                .chain(fs::read_dir(project.join("handlers")).expect("it can be read"));
            let left = entries
                .flatten()
                .filter(|entry| entry.file_name().to_string_lossy().contains("hitchy-out"));
            assert_eq!(left.count(), 0, "nothing is left");
            fs::remove_dir_all(&project).expect("a folder can be removed");
        }
    }
}

#[test]
fn i11_6_a_folder_that_is_not_utf_8_is_refused_in_one_sentence() {
    let parent = folder();
    let project = parent.path().join(OsStr::from_bytes(b"\xff\xfe"));
    fs::create_dir(&project).expect("a folder can be made");
    let output = build(&project, &[]);
    refused(&output, 2, &["is not UTF-8", "rename the folder"]);
    let left = fs::read_dir(parent.path()).expect("it can be read");
    assert_eq!(left.count(), 1, "no folder of another name was made");
}

#[test]
fn i11_6_a_command_that_fails_leaves_the_file_as_it_was() {
    for (before, command) in [
        (Some("before"), "echo half > handlers/x.wasm; exit 1"),
        (None, "echo half > handlers/x.wasm; exit 1"),
        (Some("before"), "rm handlers/x.wasm; exit 1"),
    ] {
        let folder = folder();
        let file = folder.path().join("handlers/x.wasm");
        fs::create_dir_all(folder.path().join("handlers")).expect("a folder can be made");
        before
            .iter()
            .for_each(|text| fs::write(&file, text).expect("written"));
        let settings = format!("[dev.build]\n'handlers/x.wasm' = {command:?}\n");
        fs::write(folder.path().join("hitchy.toml"), settings).expect("written");
        assert_eq!(build(folder.path(), &[]).status.code(), Some(1));
        assert_eq!(
            fs::read_to_string(&file).ok().as_deref(),
            before,
            "{command}"
        );
    }
}

#[test]
fn i11_6_the_rule_that_hides_the_sources_is_named() {
    let library = "[package]\nname = \"a\"\n[lib]\ncrate-type = [\"cdylib\"]\n";
    let bare = "[package]\nname = \"a\"\n";
    for (files, words) in [
        (
            &[("dist/Cargo.toml", library), (".gitignore", "# x\ndist/\n")][..],
            &["dist/Cargo.toml", ".gitignore lists dist/"][..],
        ),
        (
            &[(".a/Cargo.toml", library)],
            &[".a/Cargo.toml", "begins with a dot"],
        ),
        (
            &[("target/a/Cargo.toml", library)],
            &["target/a/Cargo.toml", "build tools fill"],
        ),
        (
            &[("a/Cargo.toml", library), ("a/CACHEDIR.TAG", "")],
            &["a/Cargo.toml", "CACHEDIR.TAG"],
        ),
        (
            &[("public/a/Cargo.toml", library)],
            &["public/a/Cargo.toml", "holds no sources"],
        ),
        (
            &[("a/Cargo.toml", bare), ("a/src/lib.rs", "")],
            &["a/Cargo.toml", "without crate-type", "cdylib"],
        ),
        (
            &[("a/Cargo.toml", bare), ("a/src/main.rs", "fn main() {}")],
            &["a/Cargo.toml", "without a library"],
        ),
        (
            &[("Cargo.toml", "[workspace]\nmembers = []\n")],
            &["Cargo.toml", "without a package"],
        ),
    ] {
        let folder = folder();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        let output = build(folder.path(), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", out(&output));
        for word in ["no handler to build"].iter().chain(words) {
            assert!(
                err(&output).contains(word),
                "{word:?} is missing in: {}",
                err(&output)
            );
        }
    }
}
