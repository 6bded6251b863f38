//! Which keys there are, and which values each may have, with the reason in the words of refusal.
//!
//! Must not know how TOML is written, nor where a value stands.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::document::{Document, Fault, Origins, Section, Value, kind, nearest};
use super::error::Problem;
use super::{
    Config, ControlConfig, CoordinatorConfig, EphemeralRoot, EventsConfig, OrphanConfig,
    ReapConfig, ScanConfig, TerminateConfig, Uids, parse_duration, render_duration,
};
use crate::orphan::coordinator::{BUILT_IN_FORMS, CustomForm};
use crate::orphan::verdict::ORPHAN_REASON_KINDS;
use crate::orphan::victims::Scope;

const SCOPES: [(&str, Scope); 3] = [
    ("process", Scope::Process),
    ("group", Scope::Group),
    ("tree", Scope::Tree),
];

/// The shortest duration that is not zero, in the units that can be written.
const ABOVE_ZERO: Duration = Duration::from_millis(1);

/// Reads a whole file: the values, and which keys it gives; or all that is wrong with it.
pub(super) fn read(text: &str) -> Result<(Config, Origins), Vec<Problem>> {
    let mut document = Document::parse(text)?;
    let mut config = Config::default();
    document.section("scan", |table| scan(table, &mut config.scan));
    document.section("coordinator", |table| {
        coordinator(table, &mut config.coordinator);
    });
    document.section("orphan", |table| orphan(table, &mut config.orphan));
    document.section("reap", |table| reap(table, &mut config.reap));
    document.section("terminate", |table| terminate(table, &mut config.terminate));
    document.section("events", |table| events(table, &mut config.events));
    document.section("control", |table| control(table, &mut config.control));
    let origins = document.finish()?;
    Ok((config, origins))
}

fn scan(table: &mut Section<'_, '_>, scan: &mut ScanConfig) {
    table.read(
        "interval",
        &mut scan.interval,
        duration(
            Duration::from_millis(100)..,
            "more scans than that would load the machine they watch",
        ),
    );
    table.read(
        "probe_timeout",
        &mut scan.probe_timeout,
        duration(
            ABOVE_ZERO..=Duration::from_mins(1),
            "no look is that fast, and a longer one would hold up the scan",
        ),
    );
}

fn coordinator(table: &mut Section<'_, '_>, coordinator: &mut CoordinatorConfig) {
    table.read("uids", &mut coordinator.uids, uids);
    table.read(
        "workspace_roots",
        &mut coordinator.workspace_roots,
        |value| list(value, absolute_path),
    );
    let mut names: Vec<String> = Vec::new();
    coordinator.forms = table.each("form", |table| form(table, &mut names));
}

fn form(table: &mut Section<'_, '_>, names: &mut Vec<String>) -> Option<CustomForm> {
    let name = table.require("name", "entries show it as their form", |value| {
        let name = text(value)?;
        if BUILT_IN_FORMS.contains(&name.as_str()) {
            return Err(Fault::at(value, format!("{name:?} is a built-in form")));
        }
        if names.contains(&name) {
            return Err(Fault::at(value, format!("another form is named {name:?}")));
        }
        names.push(name.clone());
        Ok(name)
    });
    let program = table.require("program", "a glob on the program's basename", |value| {
        let program = text(value)?;
        if program.contains('/') {
            let what =
                format!("a basename has no '/': {program:?} (it is matched without its directory)");
            return Err(Fault::at(value, what));
        }
        Ok(program)
    });
    let too_broad = "a program name alone would match too much; \
                     give the arguments that follow it in every coordinator";
    let args = table.require("args", too_broad, |value| {
        let args = list(value, string)?;
        if args.is_empty() {
            return Err(Fault::at(value, format!("must not be empty: {too_broad}")));
        }
        Ok(args)
    });
    let mut workspace_flag = "--workspace".to_owned();
    table.read("workspace_flag", &mut workspace_flag, |value| {
        let flag = text(value)?;
        if !flag.starts_with('-') || flag.contains('=') || flag.trim_matches('-').is_empty() {
            let what = format!("not a flag: {flag:?} (write it as \"--workspace\" or \"-w\")");
            return Err(Fault::at(value, what));
        }
        Ok(flag)
    });
    Some(CustomForm {
        name: name?,
        program: program?,
        args: args?,
        workspace_flag,
    })
}

fn orphan(table: &mut Section<'_, '_>, orphan: &mut OrphanConfig) {
    table.read("ephemeral_hints", &mut orphan.ephemeral_hints, |value| {
        list(value, hint)
    });
    table.read("ephemeral_roots", &mut orphan.ephemeral_roots, |value| {
        list(value, ephemeral_root)
    });
    table.read(
        "ephemeral_min_age",
        &mut orphan.ephemeral_min_age,
        any_duration,
    );
    table.read("protect", &mut orphan.protect, |value| {
        list(value, absolute_path)
    });
}

fn reap(table: &mut Section<'_, '_>, reap: &mut ReapConfig) {
    table.read("confirm", &mut reap.confirm, boolean);
    table.read("reasons", &mut reap.reasons, |value| list(value, reason));
    table.read("grace", &mut reap.grace, any_duration);
    table.read(
        "min_sightings",
        &mut reap.min_sightings,
        number(1.., "an orphan that was never seen cannot be ended"),
    );
    table.read("start_grace", &mut reap.start_grace, any_duration);
    table.read(
        "max_per_scan",
        &mut reap.max_per_scan,
        number(1.., "to end none automatically, set reap.confirm = false"),
    );
    table.read(
        "breaker_window",
        &mut reap.breaker_window,
        duration(
            ABOVE_ZERO..,
            "nothing happens within no time, so that the breaker would never trip",
        ),
    );
    table.read("breaker_share", &mut reap.breaker_share, share);
}

fn terminate(table: &mut Section<'_, '_>, terminate: &mut TerminateConfig) {
    let wait = ABOVE_ZERO..=Duration::from_mins(10);
    table.read(
        "sigterm_wait",
        &mut terminate.sigterm_wait,
        duration(
            wait.clone(),
            "cleaning up takes a moment, but the daemon cannot stop while it waits",
        ),
    );
    table.read(
        "sigkill_wait",
        &mut terminate.sigkill_wait,
        duration(
            wait,
            "even SIGKILL takes a moment, but the daemon cannot stop while it waits",
        ),
    );
    table.read("scope", &mut terminate.scope, scope);
}

fn events(table: &mut Section<'_, '_>, events: &mut EventsConfig) {
    table.read(
        "rotate_bytes",
        &mut events.rotate_bytes,
        number(4096.., "a smaller segment would rotate every few events"),
    );
    table.read(
        "keep",
        &mut events.keep,
        number(
            1..=100,
            "rotation needs a place to rotate to, and renames each kept segment",
        ),
    );
}

fn control(table: &mut Section<'_, '_>, control: &mut ControlConfig) {
    table.read(
        "max_connections",
        &mut control.max_connections,
        number(
            1..=65_536,
            "without a connection nobody could ask, and each costs a file descriptor",
        ),
    );
}

fn uids(value: &Value<'_>) -> Result<Uids, Fault> {
    match value.get_ref() {
        DeValue::String(word) if word == "own" => Ok(Uids::Own),
        DeValue::String(word) if word == "all" => Ok(Uids::All),
        DeValue::Array(elements) if elements.is_empty() => Err(Fault::at(
            value,
            "must not be empty: nobody's coordinators would be judged \
             (write \"own\" or \"all\", or list uids)",
        )),
        DeValue::Array(_) => list(value, number(0.., "no uid is negative")).map(Uids::Listed),
        DeValue::String(word) => Err(Fault::at(
            value,
            format!("{word:?} is neither \"own\" nor \"all\" nor a list of uids such as [1000]"),
        )),
        _ => Err(expected("\"own\", \"all\" or a list of uids", value)),
    }
}

fn hint(value: &Value<'_>) -> Result<String, Fault> {
    let hint = text(value)?;
    if hint.contains('/') {
        let what = format!("a hint is sought in one path component, which has no '/': {hint:?}");
        return Err(Fault::at(value, what));
    }
    Ok(hint)
}

fn ephemeral_root(value: &Value<'_>) -> Result<EphemeralRoot, Fault> {
    match string(value)?.as_str() {
        "*" => Ok(EphemeralRoot::Anywhere),
        "$TMPDIR" => Ok(EphemeralRoot::TemporaryDirectory),
        _ => absolute_path(value).map(EphemeralRoot::Below),
    }
}

fn reason(value: &Value<'_>) -> Result<String, Fault> {
    let reason = string(value)?;
    if ORPHAN_REASON_KINDS.contains(&reason.as_str()) {
        return Ok(reason);
    }
    Err(unknown_word("reason", &reason, ORPHAN_REASON_KINDS, value))
}

fn scope(value: &Value<'_>) -> Result<Scope, Fault> {
    let word = string(value)?;
    SCOPES
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, scope)| *scope)
        .ok_or_else(|| unknown_word("scope", &word, SCOPES.map(|(name, _)| name), value))
}

fn share(value: &Value<'_>) -> Result<f64, Fault> {
    let share = match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse().unwrap_or(f64::NAN),
        DeValue::Integer(integer) => integer.as_str().parse().unwrap_or(f64::NAN),
        _ => return Err(expected("a number such as 0.5", value)),
    };
    // Not `share <= 0.0 || share > 1.0`, which NaN would pass.
    if share > 0.0 && share <= 1.0 {
        return Ok(share);
    }
    let what = format!(
        "must be above 0 and at most 1, not {share}: it is a share of all coordinators \
         (0.5 is half of them)"
    );
    Err(Fault::at(value, what))
}

fn absolute_path(value: &Value<'_>) -> Result<PathBuf, Fault> {
    let text = string(value)?;
    let path = Path::new(&text);
    if !path.is_absolute() {
        let hint = if text.starts_with(['~', '$']) {
            " (~ and variables are not expanded here; write the path out)"
        } else {
            " (it begins with '/')"
        };
        return Err(Fault::at(
            value,
            format!("not an absolute path: {text:?}{hint}"),
        ));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        let what = format!("a path with \"..\" could lead elsewhere than it says: {text:?}");
        return Err(Fault::at(value, what));
    }
    Ok(path.components().collect())
}

fn duration(
    range: impl RangeBounds<Duration>,
    reason: &str,
) -> impl Fn(&Value<'_>) -> Result<Duration, Fault> {
    move |value| {
        let found = any_duration(value)?;
        if range.contains(&found) {
            return Ok(found);
        }
        let limits = limits(&range, |limit| render_duration(*limit));
        let found = render_duration(found);
        Err(Fault::at(
            value,
            format!("must be {limits}, not {found}: {reason}"),
        ))
    }
}

fn any_duration(value: &Value<'_>) -> Result<Duration, Fault> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.as_ref(),
        // Its error asks for the unit.
        DeValue::Integer(number) => number.as_str(),
        _ => return Err(expected("a duration such as \"5s\"", value)),
    };
    parse_duration(text).map_err(|error| Fault::at(value, error.to_string()))
}

fn number<N>(range: impl RangeBounds<N>, reason: &str) -> impl Fn(&Value<'_>) -> Result<N, Fault>
where
    N: TryFrom<i128> + PartialOrd + Display,
{
    move |value| {
        let DeValue::Integer(written) = value.get_ref() else {
            return Err(expected("an integer", value));
        };
        let number = i128::from_str_radix(written.as_str(), written.radix()).unwrap_or(i128::MAX);
        match N::try_from(number) {
            Ok(number) if range.contains(&number) => Ok(number),
            Err(_) if number > 0 => Err(Fault::at(value, format!("too large: {written}"))),
            _ => {
                let limits = limits(&range, N::to_string);
                let what = format!("must be {limits}, not {written}: {reason}");
                Err(Fault::at(value, what))
            }
        }
    }
}

fn boolean(value: &Value<'_>) -> Result<bool, Fault> {
    match value.get_ref() {
        DeValue::Boolean(boolean) => Ok(*boolean),
        _ => Err(expected("true or false", value)),
    }
}

fn string(value: &Value<'_>) -> Result<String, Fault> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        _ => Err(expected("a string", value)),
    }
}

/// A string with something in it.
fn text(value: &Value<'_>) -> Result<String, Fault> {
    let text = string(value)?;
    if text.is_empty() {
        return Err(Fault::at(value, "must not be empty"));
    }
    Ok(text)
}

fn list<T>(
    value: &Value<'_>,
    accept: impl Fn(&Value<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    match value.get_ref() {
        DeValue::Array(elements) => elements.iter().map(accept).collect(),
        _ => Err(expected("an array", value)),
    }
}

fn expected(wanted: &str, value: &Value<'_>) -> Fault {
    let found = kind(value.get_ref());
    Fault::at(value, format!("expected {wanted}, found {found}"))
}

fn unknown_word<const N: usize>(
    what: &str,
    word: &str,
    known: [&str; N],
    value: &Value<'_>,
) -> Fault {
    let hint = match nearest(word, known) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("known: {}", known.join(", ")),
    };
    Fault::at(value, format!("unknown {what} {word:?} ({hint})"))
}

/// An inclusive range in words.
fn limits<N>(range: &impl RangeBounds<N>, show: impl Fn(&N) -> String) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(lowest), Bound::Included(highest)) => {
            format!("from {} to {}", show(lowest), show(highest))
        }
        (Bound::Included(lowest), _) => format!("at least {}", show(lowest)),
        (_, Bound::Included(highest)) => format!("at most {}", show(highest)),
        _ => "within limits".to_owned(),
    }
}
