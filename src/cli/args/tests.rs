//! The arguments as a table: what is read, and what is refused in which words.

use super::*;

fn read(line: &str) -> Result<Cli, clap::Error> {
    Cli::read(
        std::iter::once("team-agentctl")
            .chain(line.split_whitespace())
            .map(OsString::from),
    )
}

#[track_caller]
fn command(line: &str) -> Command {
    read(line)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .command
}

#[test]
fn the_arguments_are_put_together_well() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_a_help_of_its_own() {
    for line in [
        "--help",
        "-h",
        "help",
        "help scan",
        "scan --help",
        "fix --help",
        "doctor --help",
        "status --help",
        "explain --help",
        "events --help",
        "reload --help",
        "config --help",
        "config check --help",
        "config show --help",
        "service --help",
        "service install --help",
        "service uninstall --help",
        "service status --help",
        "service print --help",
        "completions --help",
        "man --help",
    ] {
        let help = read(line).unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{line}: {help}");
        assert_eq!(help.exit_code(), 0, "{line}");
        assert!(
            help.to_string().contains("Usage: team-agentctl"),
            "{line}: {help}"
        );
        assert!(
            help.to_string().contains("Example")
                || ["config --help", "service --help"].contains(&line),
            "{line}: {help}"
        );
    }
    let version = read("--version").unwrap_err().to_string();
    assert_eq!(
        version,
        format!("team-agentctl {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn global_options_may_stand_before_or_after_the_command() {
    for line in [
        "--socket /s --json --require-daemon scan",
        "scan --socket /s --json --require-daemon",
        "--json scan --socket=/s --require-daemon",
    ] {
        let cli = read(line).unwrap();
        assert_eq!(cli.socket, Some("/s".into()), "{line}");
        assert!(cli.json && cli.require_daemon && !cli.embedded, "{line}");
    }
    assert!(read("config show --json").unwrap().json);
    assert!(read("fix --embedded").unwrap().embedded);
}

#[test]
fn a_fix_takes_each_selection_several_times() {
    let line = "fix --confirm --pid 1 --workspace /a --pid 2147483647 --workspace b --reason workspace_replaced \
                --reason ephemeral_tempdir_pattern --reason ephemeral_tempdir_pattern:team-agent-gap";
    let Command::Fix(fix) = command(line) else {
        panic!("no fix")
    };
    assert!(fix.confirm);
    assert_eq!(fix.pids, [1, 2_147_483_647]);
    assert_eq!(fix.workspaces, [PathBuf::from("/a"), PathBuf::from("b")]);
    assert_eq!(
        fix.reasons,
        [
            "workspace_replaced",
            "ephemeral_tempdir_pattern",
            "ephemeral_tempdir_pattern:team-agent-gap"
        ]
    );
}

#[test]
fn a_workspace_need_not_be_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let path = OsString::from_vec(b"/w\xff".to_vec());
    let line = [
        "team-agentctl".into(),
        "scan".into(),
        "--workspace".into(),
        path.clone(),
    ];
    let Command::Scan(scan) = Cli::read(line).unwrap().command else {
        panic!("no scan")
    };
    assert_eq!(scan.workspace, Some(path.into()));
}

#[test]
fn both_spellings_of_the_original_are_read() {
    for (line, gate, cleanup_orphans, fix, confirm) in [
        (
            "doctor --gate orphans",
            Some(Gate::Orphans),
            false,
            false,
            false,
        ),
        (
            "doctor --gate orphans --confirm",
            Some(Gate::Orphans),
            false,
            false,
            true,
        ),
        (
            "doctor --gate orphans --fix",
            Some(Gate::Orphans),
            false,
            true,
            false,
        ),
        (
            "doctor --fix --confirm --gate=orphans",
            Some(Gate::Orphans),
            false,
            true,
            true,
        ),
        ("doctor", None, false, false, false),
        ("doctor --cleanup-orphans", None, true, false, false),
        (
            "doctor --cleanup-orphans --confirm",
            None,
            true,
            false,
            true,
        ),
    ] {
        let Command::Doctor(doctor) = command(line) else {
            panic!("no doctor")
        };
        let read = (
            doctor.gate,
            doctor.cleanup_orphans,
            doctor.fix,
            doctor.confirm,
        );
        assert_eq!(read, (gate, cleanup_orphans, fix, confirm), "{line}");
    }
}

#[test]
fn a_time_is_a_timestamp_or_an_age() {
    let now: Timestamp = "2026-05-26T12:00:00Z".parse().unwrap();
    for (text, moment) in [
        ("2026-05-26T10:00:00Z", "2026-05-26T10:00:00Z"),
        (
            "2026-05-26T10:00:00.123456+00:00",
            "2026-05-26T10:00:00.123456Z",
        ),
        ("2026-05-26T10:00:00+02:00", "2026-05-26T08:00:00Z"),
        ("10m", "2026-05-26T11:50:00Z"),
        ("1h30m", "2026-05-26T10:30:00Z"),
        ("300ms", "2026-05-26T11:59:59.7Z"),
    ] {
        let Command::Events(events) = command(&format!("events --since {text}")) else {
            panic!("no events")
        };
        assert_eq!(
            events.since.unwrap().moment(now).to_string(),
            moment,
            "{text}"
        );
    }
    let Command::Events(events) = command("events --limit 5 --all --pid 42") else {
        panic!("no events")
    };
    assert_eq!(
        (events.limit, events.all, events.pid, events.since),
        (Some(5), true, Some(42), None)
    );
    // Longer ago than there are timestamps.
    assert_eq!(Since::Ago(Duration::MAX).moment(now), Timestamp::MIN);
}

#[test]
fn the_configuration_is_checked_or_shown() {
    let Command::Config(ConfigArgs {
        command: ConfigCommand::Check { file },
    }) = command("config check f")
    else {
        panic!("no check")
    };
    assert_eq!(file, Some("f".into()));
    assert!(matches!(
        command("config check"),
        Command::Config(ConfigArgs {
            command: ConfigCommand::Check { file: None }
        })
    ));
    assert!(matches!(
        command("config show"),
        Command::Config(ConfigArgs {
            command: ConfigCommand::Show
        })
    ));
}

#[test]
fn a_time_without_an_offset_is_that_of_the_place_as_events_shows_it() {
    for text in ["2026-05-26T10:00:00", "2026-05-26 10:00:00"] {
        let line = ["team-agentctl", "events", "--since", text].map(Into::into);
        let Command::Events(args) = Cli::read(line).unwrap().command else {
            panic!("that is another command");
        };
        let since = args.since.unwrap().moment(jiff::Timestamp::MAX);
        let here = since.to_zoned(jiff::tz::TimeZone::system()).datetime();
        assert_eq!(here, text.parse().unwrap(), "{text}");
    }
}

#[test]
fn what_cannot_be_understood_is_refused_in_words_that_help() {
    for (line, words) in [
        ("", "Usage: team-agentctl"),
        ("nonsense", "unrecognized subcommand 'nonsense'"),
        ("scan --nonsense", "unexpected argument '--nonsense'"),
        ("scan /w", "unexpected argument '/w'"),
        (
            "scan --workspace",
            "a value is required for '--workspace <PATH>'",
        ),
        (
            "scan --workspace=",
            "a value is required for '--workspace <PATH>'",
        ),
        ("--socket", "a value is required for '--socket <PATH>'"),
        (
            "fix --confirm --pid one",
            "invalid value 'one' for '--pid <PID>'",
        ),
        ("fix --confirm --pid -1", "unexpected argument '-1'"),
        ("fix --confirm --pid 0", "0 is not in 1..=2147483647"),
        (
            "fix --confirm --pid 2147483648",
            "2147483648 is not in 1..=2147483647",
        ),
        (
            "fix --reason workspace_alive",
            "there are workspace_path_missing, workspace_replaced",
        ),
        (
            "fix --reason ephemeral_tempdir_pattern:",
            "ephemeral_tempdir_pattern:HINT",
        ),
        (
            "fix --reason workspace_replaced:x",
            "no reason to be an orphan",
        ),
        ("explain", "<PID>"),
        ("explain 0", "0 is not in"),
        ("events --limit 0", "0 is not in"),
        ("events --limit many", "invalid value 'many'"),
        (
            "events --since yesterday",
            "neither a timestamp (2026-05-26T14:00:00Z) nor a duration",
        ),
        ("events --since 10", "nor a duration (10m, 1h30m)"),
        (
            "events --since 2026-05-26T10:00:00[Asia/Tokyo]",
            "neither a timestamp",
        ),
        ("events --since 2026-05-26T25:00:00", "neither a timestamp"),
        ("doctor --confirm", "team-agentctl doctor --cleanup-orphans"),
        ("doctor --confirm", "there is nothing to confirm"),
        ("doctor --gate", "a value is required for '--gate <GATE>'"),
        ("doctor --gate nonsense", "[possible values: orphans]"),
        (
            "doctor --gate orphans --cleanup-orphans",
            "cannot be used with '--cleanup-orphans'",
        ),
        ("doctor --fix", "--gate <GATE>"),
        (
            "doctor --cleanup-orphans --fix",
            "cannot be used with '--fix'",
        ),
        (
            "--embedded --require-daemon scan",
            "cannot be used with '--require-daemon'",
        ),
        (
            "--embedded scan --require-daemon",
            "cannot be used with '--require-daemon'",
        ),
        (
            "--require-daemon scan --embedded",
            "cannot be used with '--require-daemon'",
        ),
        ("scan --require-daemon --embedded", "cannot be used with"),
        ("status --embedded", "'status' asks the daemon"),
        ("--embedded events", "'events' asks the daemon"),
        ("--embedded reload", "'reload' asks the daemon"),
        ("config", "Usage: team-agentctl config"),
        ("config check a b", "unexpected argument 'b'"),
        ("watch --embedded", "'watch' asks the daemon"),
        ("look", "unrecognized subcommand"),
    ] {
        let error = read(line)
            .map(|cli| panic!("{line} is accepted: {cli:?}"))
            .unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(words), "{line}: {error}");
    }
}

#[test]
fn the_service_has_a_socket_and_a_daemon_of_its_own() {
    for line in [
        "service status --socket /s",
        "--embedded service install",
        "service print --require-daemon",
    ] {
        let error = read(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{line}");
    }
    let Command::Service(args) = command("service install --force --json") else {
        panic!("another command")
    };
    assert!(matches!(
        args.command,
        ServiceCommand::Install(ForceArgs { force: true })
    ));
    assert!(read("service").is_err());
}

#[test]
fn a_page_is_printed_or_all_are_written() {
    for (line, page) in [
        ("man", Page::Client),
        ("man team-agentctl", Page::Client),
        ("man team-agentd", Page::Daemon),
        ("man team-agentd.toml", Page::Configuration),
    ] {
        let Command::Man(args) = command(line) else {
            panic!("another command: {line}")
        };
        assert_eq!((args.page, args.to), (page, None), "{line}");
    }
    assert!(read("man --to /m team-agentd").is_err());
    assert!(read("man --to /m").is_ok());
    assert!(read("completions").is_err());
    assert!(read("completions tcsh").is_err());
}
