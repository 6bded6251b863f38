//! The configuration file from its users' side: what they write, and what they are told.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::*;

const SHIPPED: &str = include_str!("../../config/team-agentd.toml");

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/x.toml"))
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// What is said of a file whose second line is the only one that is wrong.
fn refusal_of(table: &str, line: &str) -> String {
    let message = refusal(&format!("{table}\n{line}\n"));
    message
        .strip_prefix("/etc/x.toml:2: ")
        .unwrap_or_else(|| panic!("another place: {message}"))
        .to_owned()
}

fn environment(
    pairs: &'static [(&'static str, &'static str)],
) -> impl Fn(&str) -> Option<OsString> {
    move |name| {
        let (_, value) = pairs.iter().find(|(key, _)| *key == name)?;
        Some(OsString::from(value))
    }
}

#[test]
fn the_shipped_file_spells_out_the_defaults() {
    assert_eq!(parse(SHIPPED).unwrap(), Config::default());
    assert_eq!(parse("").unwrap(), Config::default());
}

#[test]
fn the_shipped_file_gives_every_key_that_has_a_default() {
    let (config, origins) =
        Config::parse_with_origins(SHIPPED, Path::new("team-agentd.toml")).unwrap();
    let json = config.to_json();
    let mut keys: Vec<String> = json
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(table, keys)| {
            let keys = keys.as_object().unwrap().keys();
            keys.map(move |key| format!("{table}.{key}"))
        })
        .filter(|key| key != "coordinator.form")
        .collect();
    keys.sort();
    assert_eq!(keys.len(), 22);
    assert_eq!(origins.into_keys().collect::<Vec<_>>(), keys);
}

#[test]
fn the_commented_form_in_the_shipped_file_is_valid_when_uncommented() {
    let example: String = SHIPPED
        .lines()
        .skip_while(|line| *line != "# [[coordinator.form]]")
        .take_while(|line| line.starts_with('#'))
        .map(|line| format!("{}\n", line.strip_prefix("# ").unwrap_or_default()))
        .collect();
    assert_eq!(
        parse(&example).unwrap().coordinator.forms,
        [CustomForm {
            name: "my-coordinator".to_owned(),
            program: "python*".to_owned(),
            args: vec!["-m".to_owned(), "my.coordinator".to_owned()],
            workspace_flag: "--workspace".to_owned(),
        }]
    );
}

#[test]
fn every_value_can_be_changed() {
    let text = r#"
        [scan]
        interval = "100ms"
        probe_timeout = "1m"
        [coordinator]
        uids = [1000, 0x3E9]
        workspace_roots = ["/srv/./agents/"]
        [[coordinator.form]]
        name = "a"
        program = "a?"
        args = ["run"]
        workspace_flag = "-w"
        [[coordinator.form]]
        name = "b"
        program = "b*"
        args = [""]
        [orphan]
        ephemeral_hints = []
        ephemeral_roots = ["/t/", "*", "$TMPDIR"]
        ephemeral_min_age = "0s"
        protect = ["/"]
        [reap]
        confirm = true
        reasons = ["workspace_trashed", "ephemeral_tempdir_pattern"]
        grace = "1h30m"
        min_sightings = 1
        start_grace = "0ms"
        max_per_scan = 1_000
        breaker_window = "1ms"
        breaker_share = 1
        [terminate]
        sigterm_wait = "10m"
        sigkill_wait = "1s500ms"
        scope = "tree"
        [events]
        rotate_bytes = 4096
        keep = 100
        [control]
        max_connections = 1
    "#;
    let form = |name: &str, program: &str, arg: &str, flag: &str| CustomForm {
        name: name.to_owned(),
        program: program.to_owned(),
        args: vec![arg.to_owned()],
        workspace_flag: flag.to_owned(),
    };
    let expected = Config {
        scan: ScanConfig {
            interval: Duration::from_millis(100),
            probe_timeout: Duration::from_mins(1),
        },
        coordinator: CoordinatorConfig {
            uids: Uids::Listed(vec![1000, 1001]),
            workspace_roots: vec![PathBuf::from("/srv/agents")],
            forms: vec![
                form("a", "a?", "run", "-w"),
                form("b", "b*", "", "--workspace"),
            ],
        },
        orphan: OrphanConfig {
            ephemeral_hints: vec![],
            ephemeral_roots: vec![
                EphemeralRoot::Below(PathBuf::from("/t")),
                EphemeralRoot::Anywhere,
                EphemeralRoot::TemporaryDirectory,
            ],
            ephemeral_min_age: Duration::ZERO,
            protect: vec![PathBuf::from("/")],
        },
        reap: ReapConfig {
            confirm: true,
            reasons: vec![
                "workspace_trashed".to_owned(),
                "ephemeral_tempdir_pattern".to_owned(),
            ],
            grace: Duration::from_mins(90),
            min_sightings: 1,
            start_grace: Duration::ZERO,
            max_per_scan: 1000,
            breaker_window: Duration::from_millis(1),
            breaker_share: 1.0,
        },
        terminate: TerminateConfig {
            sigterm_wait: Duration::from_mins(10),
            sigkill_wait: Duration::from_millis(1500),
            scope: Scope::Tree,
        },
        events: EventsConfig {
            rotate_bytes: 4096,
            keep: 100,
        },
        control: ControlConfig { max_connections: 1 },
    };
    let config = parse(text).unwrap();
    assert_eq!(config, expected);
    // Not as text (`/t/` has lost its slash), but what it shows must mean the same again.
    let shown = toml::to_string(&config.to_json()).unwrap();
    assert_eq!(parse(&shown).unwrap(), expected);
}

#[test]
fn the_other_words_for_uids_and_scope_are_understood() {
    let uids =
        |word| parse(&format!("[coordinator]\nuids = \"{word}\"")).map(|c| c.coordinator.uids);
    assert_eq!(uids("own").unwrap(), Uids::Own);
    assert_eq!(uids("all").unwrap(), Uids::All);
    for (word, scope) in [
        ("process", Scope::Process),
        ("group", Scope::Group),
        ("tree", Scope::Tree),
    ] {
        let config = parse(&format!("terminate.scope = \"{word}\"")).unwrap();
        assert_eq!(config.terminate.scope, scope);
        assert_eq!(config.to_json()["terminate"]["scope"], json!(word));
    }
}

#[test]
fn a_bad_value_is_refused_with_its_key_and_the_remedy() {
    let table: &[(&str, &str, &str)] = &[
        // Durations.
        (
            "[reap]",
            r#"grace = "5 parsecs""#,
            r#"reap.grace: not a duration: "5 parsecs" (write 300ms, 5s, 10m or 1h30m)"#,
        ),
        (
            "[reap]",
            "grace = 60",
            r#"reap.grace: not a duration: 60 has no unit (write "60s" if seconds are meant)"#,
        ),
        (
            "[reap]",
            r#"grace = "60""#,
            r#"reap.grace: not a duration: 60 has no unit (write "60s" if seconds are meant)"#,
        ),
        (
            "[reap]",
            r#"grace = "8761h""#,
            "reap.grace: too long: 8761h is more than a year (8760h)",
        ),
        (
            "[reap]",
            "grace = 1.5",
            r#"reap.grace: expected a duration such as "5s", found a float"#,
        ),
        (
            "[scan]",
            r#"interval = "99ms""#,
            "scan.interval: must be at least 100ms, not 99ms: more scans than that would load the \
             machine they watch",
        ),
        (
            "[scan]",
            r#"probe_timeout = "0s""#,
            "scan.probe_timeout: must be from 1ms to 60s, not 0s: no look is that fast, and a \
             longer one would hold up the scan",
        ),
        (
            "[reap]",
            r#"breaker_window = "0s""#,
            "reap.breaker_window: must be at least 1ms, not 0s: nothing happens within no time, \
             so that the breaker would never trip",
        ),
        (
            "[terminate]",
            r#"sigterm_wait = "11m""#,
            "terminate.sigterm_wait: must be from 1ms to 10m, not 11m: cleaning up takes a \
             moment, but the daemon cannot stop while it waits",
        ),
        (
            "[terminate]",
            r#"sigkill_wait = "0ms""#,
            "terminate.sigkill_wait: must be from 1ms to 10m, not 0s: even SIGKILL takes a \
             moment, but the daemon cannot stop while it waits",
        ),
        // Numbers.
        (
            "[events]",
            "rotate_bytes = 4095",
            "events.rotate_bytes: must be at least 4096, not 4095: a smaller segment would rotate \
             every few events",
        ),
        (
            "[events]",
            "rotate_bytes = 99999999999999999999999999999999999999999",
            "events.rotate_bytes: too large: 99999999999999999999999999999999999999999",
        ),
        (
            "[events]",
            "keep = 0",
            "events.keep: must be from 1 to 100, not 0: rotation needs a place to rotate to, and \
             renames each kept segment",
        ),
        (
            "[events]",
            r#"keep = "5""#,
            "events.keep: expected an integer, found a string",
        ),
        (
            "[control]",
            "max_connections = 0",
            "control.max_connections: must be from 1 to 65536, not 0: without a connection nobody \
             could ask, and each costs a file descriptor",
        ),
        (
            "[reap]",
            "min_sightings = 0",
            "reap.min_sightings: must be at least 1, not 0: an orphan that was never seen cannot \
             be ended",
        ),
        (
            "[reap]",
            "max_per_scan = -1",
            "reap.max_per_scan: must be at least 1, not -1: to end none automatically, set \
             reap.confirm = false",
        ),
        (
            "[reap]",
            "breaker_share = 0.0",
            "reap.breaker_share: must be above 0 and at most 1, not 0: it is a share of all \
             coordinators (0.5 is half of them)",
        ),
        (
            "[reap]",
            "breaker_share = nan",
            "reap.breaker_share: must be above 0 and at most 1, not NaN: it is a share of all \
             coordinators (0.5 is half of them)",
        ),
        (
            "[reap]",
            "breaker_share = 50",
            "reap.breaker_share: must be above 0 and at most 1, not 50: it is a share of all \
             coordinators (0.5 is half of them)",
        ),
        (
            "[reap]",
            r#"breaker_share = "half""#,
            "reap.breaker_share: expected a number such as 0.5, found a string",
        ),
        (
            "[reap]",
            r#"confirm = "yes""#,
            "reap.confirm: expected true or false, found a string",
        ),
        // Words.
        (
            "[reap]",
            r#"reasons = ["workspace_path_mising"]"#,
            r#"reap.reasons: unknown reason "workspace_path_mising" (did you mean "workspace_path_missing"?)"#,
        ),
        (
            "[reap]",
            r#"reasons = ["old"]"#,
            "reap.reasons: unknown reason \"old\" (known: workspace_path_missing, \
             workspace_replaced, workspace_trashed, ephemeral_tempdir_pattern)",
        ),
        (
            "[reap]",
            "reasons = true",
            "reap.reasons: expected an array, found a boolean",
        ),
        (
            "[terminate]",
            r#"scope = "grup""#,
            r#"terminate.scope: unknown scope "grup" (did you mean "group"?)"#,
        ),
        (
            "[coordinator]",
            r#"uids = "mine""#,
            r#"coordinator.uids: "mine" is neither "own" nor "all" nor a list of uids such as [1000]"#,
        ),
        (
            "[coordinator]",
            "uids = 1000",
            r#"coordinator.uids: expected "own", "all" or a list of uids, found an integer"#,
        ),
        (
            "[coordinator]",
            "uids = []",
            "coordinator.uids: must not be empty: nobody's coordinators would be judged (write \
             \"own\" or \"all\", or list uids)",
        ),
        (
            "[coordinator]",
            "uids = [-1]",
            "coordinator.uids: must be at least 0, not -1: no uid is negative",
        ),
        (
            "[coordinator]",
            "uids = [4294967296]",
            "coordinator.uids: too large: 4294967296",
        ),
        // Paths and hints.
        (
            "[orphan]",
            r#"protect = ["srv"]"#,
            r#"orphan.protect: not an absolute path: "srv" (it begins with '/')"#,
        ),
        (
            "[orphan]",
            r#"protect = ["~/work"]"#,
            "orphan.protect: not an absolute path: \"~/work\" (~ and variables are not expanded \
             here; write the path out)",
        ),
        (
            "[orphan]",
            r#"protect = ["/srv/../home"]"#,
            r#"orphan.protect: a path with ".." could lead elsewhere than it says: "/srv/../home""#,
        ),
        (
            "[coordinator]",
            r#"workspace_roots = ["*"]"#,
            r#"coordinator.workspace_roots: not an absolute path: "*" (it begins with '/')"#,
        ),
        (
            "[orphan]",
            r#"ephemeral_roots = ["$HOME/tmp"]"#,
            "orphan.ephemeral_roots: not an absolute path: \"$HOME/tmp\" (~ and variables are not \
             expanded here; write the path out)",
        ),
        (
            "[orphan]",
            r#"ephemeral_hints = [""]"#,
            "orphan.ephemeral_hints: must not be empty",
        ),
        (
            "[orphan]",
            r#"ephemeral_hints = ["a/b"]"#,
            r#"orphan.ephemeral_hints: a hint is sought in one path component, which has no '/': "a/b""#,
        ),
        (
            "[orphan]",
            "ephemeral_hints = [1979-05-27]",
            "orphan.ephemeral_hints: expected a string, found a date",
        ),
        // What another's text could do to a terminal.
        (
            "[terminate]",
            r#"scope = "\u001b[2J""#,
            r#"terminate.scope: unknown scope "\u{1b}[2J" (known: process, group, tree)"#,
        ),
    ];
    for (table, line, expected) in table {
        assert_eq!(refusal_of(table, line), *expected, "{line}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_was_probably_meant() {
    let known_in_scan = "unknown key (known here: scan.interval, scan.probe_timeout)";
    let table: &[(&str, &str, &str)] = &[
        (
            "[scan]",
            "intervall = \"5s\"",
            "scan.intervall: unknown key (did you mean scan.interval?)",
        ),
        (
            "[terminate]",
            "sigterm-wait = \"5s\"",
            "terminate.sigterm-wait: unknown key (did you mean terminate.sigterm_wait?)",
        ),
        (
            "[scan]",
            "grace = \"5s\"",
            "scan.grace: unknown key (did you mean reap.grace?)",
        ),
        (
            "",
            "confirm = true",
            "confirm: unknown key (did you mean reap.confirm?)",
        ),
        ("", "[reep]", "reep: unknown key (did you mean [reap]?)"),
        (
            "",
            "[notifications]",
            "notifications: unknown key (known here: [control], [coordinator], [events], \
             [orphan], [reap], [scan], [terminate])",
        ),
        (
            "[scan]",
            "colour = 1",
            &format!("scan.colour: {known_in_scan}"),
        ),
        (
            "[scan]",
            r#""a\u001b b" = 1"#,
            &format!(r#"scan."a\u{{1b}} b": {known_in_scan}"#),
        ),
        (
            "[scan]",
            "sub.key = 1",
            &format!("scan.sub: {known_in_scan}"),
        ),
    ];
    for (table, line, expected) in table {
        assert_eq!(refusal_of(table, line), *expected, "{line}");
    }
}

#[test]
fn a_table_of_another_type_is_refused() {
    assert_eq!(
        refusal("scan = 5"),
        "/etc/x.toml:1: scan: expected a table, [scan], found an integer"
    );
    assert_eq!(
        refusal("[[reap]]\nconfirm = true"),
        "/etc/x.toml:1: reap: expected a table, [reap], found an array"
    );
    assert_eq!(
        refusal("[coordinator.form]\nname = \"x\""),
        "/etc/x.toml:1: coordinator.form: expected an array of tables, found a table \
         (write [[coordinator.form]])"
    );
    assert_eq!(
        refusal("[coordinator]\nform = [\n1]"),
        "/etc/x.toml:3: coordinator.form: expected an array of tables, found an integer \
         (write [[coordinator.form]])"
    );
}

#[test]
fn a_form_that_would_match_too_much_or_cannot_be_told_from_others_is_refused() {
    let too_broad = "a program name alone would match too much; give the arguments that follow it \
                     in every coordinator";
    let text = r#"
[[coordinator.form]]
name = "x"
program = "python*"

[[coordinator.form]]
name = "x"
program = "/usr/bin/x"
args = []
workspace_flag = "workspace"

[[coordinator.form]]
name = "team-agent"
progam = ""
program = ""
args = "run"
workspace_flag = "--"

[[coordinator.form]]
"#;
    let expected = [
        (2, "args", format!("missing: {too_broad}")),
        (7, "name", "another form is named \"x\"".to_owned()),
        (
            8,
            "program",
            "a basename has no '/': \"/usr/bin/x\" (it is matched without its directory)"
                .to_owned(),
        ),
        (9, "args", format!("must not be empty: {too_broad}")),
        (
            10,
            "workspace_flag",
            "not a flag: \"workspace\" (write it as \"--workspace\" or \"-w\")".to_owned(),
        ),
        (13, "name", "\"team-agent\" is a built-in form".to_owned()),
        (
            14,
            "progam",
            "unknown key (did you mean coordinator.form.program?)".to_owned(),
        ),
        (15, "program", "must not be empty".to_owned()),
        (16, "args", "expected an array, found a string".to_owned()),
        (
            17,
            "workspace_flag",
            "not a flag: \"--\" (write it as \"--workspace\" or \"-w\")".to_owned(),
        ),
        (
            19,
            "name",
            "missing: entries show it as their form".to_owned(),
        ),
        (
            19,
            "program",
            "missing: a glob on the program's basename".to_owned(),
        ),
        (19, "args", format!("missing: {too_broad}")),
    ]
    .map(|(line, key, what)| format!("/etc/x.toml:{line}: coordinator.form.{key}: {what}"));
    assert_eq!(refusal(text).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_not_toml_is_refused_with_the_line_and_the_key() {
    let table = [
        (
            "[scan]\ninterval = \"5s\"\ninterval = \"6s\"",
            "3: scan.interval: given twice (keep one of them)",
        ),
        (
            "[scan]\n[reap]\n[scan]",
            "3: scan: given twice (keep one of them)",
        ),
        (
            "reap.confirm = true\n\n[reap]",
            "3: reap: given twice (keep one of them)",
        ),
        (
            "[scan]\n# a = 1\ninterval = 5s # five",
            "3: scan.interval: not TOML: string values must be quoted, expected literal string",
        ),
        (
            "[scan]\ninterval",
            "2: scan.interval: not TOML: key with no value, expected `=`",
        ),
        (
            "[scan]\ninterval = \"5s\" \"6s\"\n",
            "2: scan.interval: not TOML: unexpected key or value, expected newline, `#`",
        ),
        (
            "[orphan]\r\nprotect = [\r\n  \"/a\",\r\n  \"/b\"\r\n  /c,\r\n]\r\n",
            "5: orphan.protect: not TOML: missing comma between array elements, expected `,`",
        ),
        (
            "[[coordinator.form]]\nname = \"x",
            "2: coordinator.form.name: not TOML: invalid basic string, expected `\"`",
        ),
        (
            "[scan]\ninterval = \"5s\"\n[reap\n",
            "3: reap: not TOML: unclosed table, expected `]`",
        ),
        (
            "\n= 1",
            "2: not TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`",
        ),
    ];
    for (text, expected) in table {
        let message = refusal(text);
        let first = message.lines().next().unwrap();
        assert_eq!(first, format!("/etc/x.toml:{expected}"), "{text}");
    }
}

#[test]
fn all_problems_are_reported_in_the_order_of_their_lines() {
    let text = "[reap]\ncolour = 1\ngrace = 1\n[scan]\ninterval = 1\n[orphan]\nprotect = [\n\"/a\",\n\"b\"]";
    let Err(ConfigError::Invalid { path, problems }) = parse(text) else {
        panic!("taken");
    };
    assert_eq!(path, Path::new("/etc/x.toml"));
    let places: Vec<(usize, &str)> = problems
        .iter()
        .map(|problem| (problem.line, problem.key.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (2, "reap.colour"),
            (3, "reap.grace"),
            (5, "scan.interval"),
            (9, "orphan.protect")
        ]
    );
}

#[test]
fn the_line_of_each_given_key_is_known() {
    let text = "\u{feff}[scan]\ninterval = \"1s\"\n\n[[coordinator.form]]\nname = \"x\"\n\
                program = \"x\"\nargs = [\"y\"]\n";
    let (_, origins) = Config::parse_with_origins(text, Path::new("x.toml")).unwrap();
    assert_eq!(origins["scan.interval"], 2);
    assert_eq!(origins["coordinator.form"], 4);
    assert!(!origins.contains_key("scan.probe_timeout"));
}

#[test]
fn durations_are_hours_minutes_seconds_and_milliseconds_and_nothing_else() {
    for (text, milliseconds, rendered) in [
        ("300ms", 300, "300ms"),
        ("5s", 5_000, "5s"),
        ("10m", 600_000, "10m"),
        ("1h30m", 5_400_000, "1h30m"),
        ("1m", 60_000, "60s"),
        ("1m30s", 90_000, "90s"),
        ("120s", 120_000, "2m"),
        ("1h2m3s4ms", 3_723_004, "1h2m3s4ms"),
        ("1500ms", 1_500, "1s500ms"),
        ("0s", 0, "0s"),
        ("0ms", 0, "0s"),
        ("8760h", 31_536_000_000, "8760h"),
    ] {
        let duration = parse_duration(text).unwrap();
        assert_eq!(duration, Duration::from_millis(milliseconds), "{text}");
        assert_eq!(render_duration(duration), rendered);
        assert_eq!(parse_duration(rendered).unwrap(), duration);
    }
    for text in [
        "", "s", "-5s", "+5s", " 5s", "5s ", "5 s", "1h 30m", "5s ago", "PT5S", "pt5s", "1.5h",
        "1,5h", "1d", "1w", "1y", "1mo", "5sec", "5secs", "5S", "5M", "5us", "5µs", "5ns", "1m1h",
        "1s1s", "5hm", "5s5", "01:02:03", "1h,30m", "٥s", "∞",
    ] {
        assert_eq!(
            parse_duration(text),
            Err(DurationError::Malformed(text.to_owned())),
            "{text:?}"
        );
    }
    for text in ["8761h", "525600m1s"] {
        assert_eq!(
            parse_duration(text),
            Err(DurationError::TooLong(text.to_owned()))
        );
    }
    // Too long for jiff itself.
    assert!(parse_duration("99999999999999999999h").is_err());
}

#[test]
fn what_is_finer_than_a_millisecond_is_not_shown() {
    assert_eq!(render_duration(Duration::from_nanos(1_999_999)), "1ms");
    assert_eq!(render_duration(Duration::from_nanos(999_999)), "0s");
}

#[test]
fn the_temporary_directory_is_looked_up_and_dropped_if_it_says_nothing() {
    let orphan = OrphanConfig {
        ephemeral_roots: vec![
            EphemeralRoot::Below(PathBuf::from("/tmp")),
            EphemeralRoot::TemporaryDirectory,
        ],
        ..OrphanConfig::default()
    };
    let both = [PathBuf::from("/tmp"), PathBuf::from("/run/me")];
    let first = &both[..1];
    assert_eq!(
        orphan.temporary_roots(&environment(&[("TMPDIR", "/run/me/")])),
        both
    );
    assert_eq!(orphan.temporary_roots(&environment(&[])), first);
    assert_eq!(
        orphan.temporary_roots(&environment(&[("TMPDIR", "")])),
        first
    );
    assert_eq!(
        orphan.temporary_roots(&environment(&[("TMPDIR", "tmp")])),
        first
    );
    assert_eq!(
        orphan.temporary_roots(&environment(&[("TMPDIR", "/")])),
        first
    );
}

#[test]
fn anywhere_is_below_the_root() {
    let orphan = parse("orphan.ephemeral_roots = [\"*\"]").unwrap().orphan;
    let roots = orphan.temporary_roots(&environment(&[]));
    assert!(Path::new("/home/me/x").starts_with(&roots[0]));
}

#[test]
fn the_defaults_are_shown_in_the_shape_of_the_file() {
    let json = Config::default().to_json();
    assert_eq!(json["reap"]["grace"], json!("60s"));
    assert_eq!(json["reap"]["breaker_share"], json!(0.5));
    assert_eq!(json["coordinator"]["uids"], json!("own"));
    assert_eq!(json["coordinator"]["form"], json!([]));
    assert_eq!(json["orphan"]["ephemeral_roots"][7], json!("$TMPDIR"));
    assert_eq!(json["events"]["rotate_bytes"], json!(5_242_880));
}

#[test]
fn a_file_that_was_named_is_found_whether_it_exists_or_not() {
    let named = environment(&[("TEAM_AGENTD_CONFIG", "/no/env.toml"), ("HOME", "/no")]);
    assert_eq!(
        locate(Some(Path::new("/no/flag.toml")), &named, true),
        Some(PathBuf::from("/no/flag.toml"))
    );
    assert_eq!(
        locate(None, &named, true),
        Some(PathBuf::from("/no/env.toml"))
    );
}

#[test]
fn a_file_in_its_usual_place_is_found_if_it_exists() {
    let place = tempfile::tempdir().unwrap();
    let file_below = |directory: &str| {
        let directory = place.path().join(directory).join("team-agentd");
        fs::create_dir_all(&directory).unwrap();
        directory.join("team-agentd.toml")
    };
    let (xdg, home, etc) = (
        file_below("xdg"),
        file_below("home/.config"),
        file_below("etc"),
    );
    let set = |xdg: OsString| {
        let home = place.path().join("home");
        move |name: &str| match name {
            "XDG_CONFIG_HOME" => Some(xdg.clone()),
            "HOME" => Some(home.clone().into_os_string()),
            // Empty counts as unset.
            "TEAM_AGENTD_CONFIG" => Some(OsString::new()),
            _ => None,
        }
    };
    let with_xdg = set(place.path().join("xdg").into_os_string());
    let without_xdg = set(OsString::new());
    let relative_xdg = set(OsString::from("xdg"));
    let system = place.path().join("etc");

    assert_eq!(locate_with(None, &with_xdg, Some(&system)), None);
    fs::write(&etc, "").unwrap();
    assert_eq!(locate_with(None, &with_xdg, None), None);
    assert_eq!(
        locate_with(None, &with_xdg, Some(&system)),
        Some(etc.clone())
    );
    fs::write(&home, "").unwrap();
    assert_eq!(locate_with(None, &with_xdg, Some(&system)), Some(etc));
    assert_eq!(
        locate_with(None, &without_xdg, Some(&system)),
        Some(home.clone())
    );
    assert_eq!(locate_with(None, &relative_xdg, None), Some(home));
    // A link that leads nowhere is somebody's mistake, not an absent file.
    symlink(place.path().join("nowhere"), &xdg).unwrap();
    assert_eq!(
        locate_with(None, &with_xdg, Some(&system)),
        Some(xdg.clone())
    );
    assert!(matches!(
        Config::load(&xdg),
        Err(ConfigError::Missing { path }) if path == xdg
    ));
}

#[test]
fn a_place_that_cannot_be_looked_into_is_not_taken_for_empty() {
    let place = tempfile::tempdir().unwrap();
    let long = place.path().join("x".repeat(300)).into_os_string();
    let env = move |name: &str| (name == "XDG_CONFIG_HOME").then(|| long.clone());
    let found = locate(None, &env, false).unwrap();
    assert!(matches!(
        Config::load(&found),
        Err(ConfigError::Unreadable { path, .. }) if path == found
    ));
}

#[test]
fn no_environment_means_the_defaults() {
    assert_eq!(locate(None, &environment(&[]), false), None);
}

#[test]
fn a_file_that_cannot_be_loaded_is_named() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x.toml");
    let shown = file.display();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!(
            "{shown}: no such file (create it, or correct what names it: the command line, or \
             $TEAM_AGENTD_CONFIG; without both the defaults hold)"
        )
    );
    fs::create_dir(&file).unwrap();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!("{shown}: cannot be read: not a regular file")
    );
    fs::remove_dir(&file).unwrap();
    fs::write(&file, b"[orphan]\nprotect = [\n\"/\xff\"]\n").unwrap();
    assert_eq!(
        Config::load(&file).unwrap_err().to_string(),
        format!("{shown}:3: orphan.protect: not UTF-8")
    );
    fs::write(&file, "[reap]\nconfirm = true\n").unwrap();
    assert!(Config::load(&file).unwrap().reap.confirm);
}
