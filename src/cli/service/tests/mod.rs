//! Whole commands, on either platform, with a stand-in for the service manager and the daemon.

mod machine;
mod on_launchd;
mod on_systemd;

use serde_json::Value;

/// What was done, step by step.
fn steps(result: &Value) -> Vec<&str> {
    let steps = result["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|step| step["did"].as_str().unwrap())
        .collect()
}
