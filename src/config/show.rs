//! A configuration as JSON, in the file's own shape.
//!
//! Must not know who asks: the same values serve `config show` and `status`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Config, EphemeralRoot, Uids, render_duration};

impl Config {
    /// The effective values under the names and in the spelling of the file: durations as `"1m30s"`,
    /// `coordinator.form` as a list of objects.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Self {
            scan,
            coordinator,
            orphan,
            reap,
            terminate,
            events,
            control,
        } = self;
        json!({
            "scan": {
                "interval": render_duration(scan.interval),
                "probe_timeout": render_duration(scan.probe_timeout),
            },
            "coordinator": {
                "uids": uids(&coordinator.uids),
                "workspace_roots": paths(&coordinator.workspace_roots),
                "form": coordinator.forms.iter().map(|form| json!({
                    "name": form.name,
                    "program": form.program,
                    "args": form.args,
                    "workspace_flag": form.workspace_flag,
                })).collect::<Vec<_>>(),
            },
            "orphan": {
                "ephemeral_hints": orphan.ephemeral_hints,
                "ephemeral_roots": orphan.ephemeral_roots.iter().map(root).collect::<Vec<_>>(),
                "ephemeral_min_age": render_duration(orphan.ephemeral_min_age),
                "protect": paths(&orphan.protect),
            },
            "reap": {
                "confirm": reap.confirm,
                "reasons": reap.reasons,
                "grace": render_duration(reap.grace),
                "min_sightings": reap.min_sightings,
                "start_grace": render_duration(reap.start_grace),
                "max_per_scan": reap.max_per_scan,
                "breaker_window": render_duration(reap.breaker_window),
                "breaker_share": reap.breaker_share,
            },
            "terminate": {
                "sigterm_wait": render_duration(terminate.sigterm_wait),
                "sigkill_wait": render_duration(terminate.sigkill_wait),
                "scope": terminate.scope.word(),
            },
            "events": {
                "rotate_bytes": events.rotate_bytes,
                "keep": events.keep,
            },
            "control": {
                "max_connections": control.max_connections,
            },
        })
    }
}

fn uids(uids: &Uids) -> Value {
    match uids {
        Uids::Own => json!("own"),
        Uids::All => json!("all"),
        Uids::Listed(uids) => json!(uids),
    }
}

fn root(root: &EphemeralRoot) -> Value {
    match root {
        EphemeralRoot::Below(path) => json!(path.to_string_lossy()),
        EphemeralRoot::TemporaryDirectory => json!("$TMPDIR"),
        EphemeralRoot::Anywhere => json!("*"),
    }
}

fn paths(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}
