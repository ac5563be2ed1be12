//! The help texts of the command line.

use hitchy_tests::commands::{err, folder, hitchy, out};

#[test]
fn without_a_command_the_help_is_printed_and_an_unknown_one_is_compared() {
    let folder = folder();
    let output = hitchy(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        err(&output).contains("Usage: hitchy <COMMAND>"),
        "{}",
        err(&output)
    );
    let output = hitchy(folder.path(), &["serv"]);
    let said = err(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("'serv'") && said.contains("'serve'"),
        "{said}"
    );
}

#[test]
fn every_command_says_in_a_line_what_it_does_and_has_examples() {
    let folder = folder();
    let help = out(&hitchy(folder.path(), &["--help"]));
    let listed = help.split("Commands:").nth(1).expect("a list of commands");
    let listed = listed.split("Options:").next().unwrap_or_default();
    let mut commands = 0;
    // A long summary continues on the next line with a deeper indentation.
    let is_command = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    for line in listed.lines().filter(is_command) {
        let (name, summary) = line.trim().split_once(' ').expect("a name and a summary");
        assert!(!summary.trim().is_empty(), "{line}");
        if name == "help" {
            continue;
        }
        commands += 1;
        let help = out(&hitchy(folder.path(), &[name, "--help"]));
        assert!(
            help.contains(&format!("Examples:\n  hitchy {name}")),
            "{help}"
        );
    }
    assert!(commands >= 5, "{help}");
}
