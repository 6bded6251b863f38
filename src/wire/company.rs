//! Who would end with each orphan of a scan, as keys of its entry.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::orphan::process::Pid;
use crate::orphan::victims::{Company, LeftBehind};

/// The longest command line that is given of a process beside an orphan, in bytes.
const CMDLINE_LIMIT_BYTES: usize = 4096;

/// Adds `members`, `left_behind` and `would_spare` to the entries of these orphans in a scan's result:
/// all null where it could not be found out.
pub fn add<'a>(scan: &mut Value, companies: impl IntoIterator<Item = (Pid, Option<&'a Company>)>) {
    let companies: HashMap<u64, Option<&Company>> = companies
        .into_iter()
        .map(|(pid, company)| (pid.into(), company))
        .collect();
    for name in ["orphans", "coordinators"] {
        for entry in scan[name].as_array_mut().into_iter().flatten() {
            let known = entry["pid"].as_u64().and_then(|pid| companies.get(&pid));
            let (Some(company), Some(entry)) = (known, entry.as_object_mut()) else {
                continue;
            };
            let of = |part: fn(&Company) -> Value| company.map_or(Value::Null, part);
            entry.insert("members".into(), of(members));
            entry.insert("left_behind".into(), of(left_behind));
            entry.insert("would_spare".into(), of(|one| one.spared.clone().into()));
        }
    }
}

fn members(company: &Company) -> Value {
    let members = company.members.iter();
    members
        .map(|one| json!({"pid": one.pid, "cmdline": cut(&one.cmdline)}))
        .collect()
}

fn left_behind(company: &Company) -> Value {
    let left = company.left_behind.iter();
    left.map(|LeftBehind { pid, cmdline, why }| {
        json!({"pid": pid, "cmdline": cut(cmdline), "why": why.word()})
    })
    .collect()
}

fn cut(cmdline: &str) -> &str {
    &cmdline[..cmdline.floor_char_boundary(CMDLINE_LIMIT_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orphan::victims::{Companion, Why};

    #[test]
    fn each_orphan_gets_its_company_in_both_lists_and_nobody_else_does() {
        let company = Company {
            spared: None,
            members: vec![Companion {
                pid: 8,
                cmdline: "\u{e9}".repeat(4096),
            }],
            left_behind: vec![LeftBehind {
                pid: 9,
                cmdline: "tmux".to_owned(),
                why: Why::Multiplexer,
            }],
        };
        let spared = Company {
            spared: Some("kept".to_owned()),
            ..Company::default()
        };
        let mut scan = json!({
            "orphans": [{"pid": 7}, {"pid": 6}, {"pid": 5}],
            "coordinators": [{"pid": 4}, {"pid": 7}, {"pid": 6}, {"pid": 5}],
        });
        add(
            &mut scan,
            [(7, Some(&company)), (6, None), (5, Some(&spared))],
        );
        let seven = json!({
            "pid": 7,
            "members": [{"pid": 8, "cmdline": "\u{e9}".repeat(2048)}],
            "left_behind": [{"pid": 9, "cmdline": "tmux", "why": "terminal_multiplexer"}],
            "would_spare": null,
        });
        let six = json!({"pid": 6, "members": null, "left_behind": null, "would_spare": null});
        let five = json!({"pid": 5, "members": [], "left_behind": [], "would_spare": "kept"});
        assert_eq!(scan["orphans"], json!([seven, six, five]));
        assert_eq!(scan["coordinators"], json!([{"pid": 4}, seven, six, five]));
    }
}
