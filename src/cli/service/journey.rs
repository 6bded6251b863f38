//! What a command has done so far: said at its end, and also when it gets no further.

use serde_json::{Value, json};

use super::super::failure::Failure;

/// The steps that were taken, in their order.
#[derive(Debug, Default)]
pub(super) struct Journey {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    /// A stable word.
    did: &'static str,
    /// With what: a path, a name.
    what: String,
    changed: Changed,
}

/// Whether a step made a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    Yes,
    No,
}

impl Journey {
    /// Takes note of a step.
    pub(super) fn took(&mut self, did: &'static str, what: impl ToString, changed: Changed) {
        self.steps.push(Step {
            did,
            what: what.to_string(),
            changed,
        });
    }

    /// Whether anything is different now.
    pub(super) fn changed_something(&self) -> bool {
        self.steps.iter().any(|step| step.changed == Changed::Yes)
    }

    /// The steps for a result.
    pub(super) fn to_json(&self) -> Value {
        self.steps
            .iter()
            .map(|step| json!({"did": step.did, "what": step.what}))
            .collect()
    }

    /// A failure on the way says what was done before it.
    pub(super) fn failed(&self, mut failure: Failure) -> Failure {
        for step in self
            .steps
            .iter()
            .filter(|step| step.changed == Changed::Yes)
        {
            failure.message += &format!("\n  before that: {} {}", step.did, step.what);
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_done_before_it() {
        let mut journey = Journey::default();
        journey.took("unchanged", "/a", Changed::No);
        assert!(!journey.changed_something());
        journey.took("wrote", "/b", Changed::Yes);
        assert!(journey.changed_something());
        let failure = journey.failed(Failure::service("start_failed", "it broke"));
        assert_eq!(failure.message, "it broke\n  before that: wrote /b");
        assert_eq!(
            journey.to_json(),
            json!([{"did": "unchanged", "what": "/a"}, {"did": "wrote", "what": "/b"}])
        );
    }
}
