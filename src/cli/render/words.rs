//! The stable words of results, in words for people. A word that is not known here is shown as it is.

/// What a verdict's reason says.
pub(super) fn reason(reason: &str) -> Option<&'static str> {
    let kind = reason.split_once(':').map_or(reason, |(kind, _)| kind);
    Some(match kind {
        "workspace_alive" => "its workspace is there",
        "workspace_path_missing" => "its workspace is gone, and nothing speaks against a deletion",
        "workspace_replaced" => {
            "its workspace was deleted, and something else stands at the same path"
        }
        "workspace_trashed" => "its workspace lies in the trash",
        "ephemeral_tempdir_pattern" => "its workspace is one of those that tests leave behind",
        "cmdline_unparsed" => "its command line names no usable workspace",
        "foreign_uid" => "it belongs to a user whose coordinators are not judged",
        "foreign_namespace" => "it lives in another pid namespace",
        "process_unreadable" => "the system does not let us look into it",
        "workspace_unmounted" => "its workspace may be on a volume that is not mounted now",
        "workspace_moved" => "its workspace was moved, not deleted",
        "workspace_unresolved" => {
            "its workspace is a relative path that is missing, without a witness"
        }
        "workspace_dangling_symlink" => "its workspace is a symbolic link that leads nowhere",
        "workspace_unreadable" => "the system gave no clear answer about its workspace",
        "workspace_timeout" => "its workspace did not answer in time",
        "workspace_maybe_replaced" => {
            "another directory stands at its path, but nothing proves a deletion"
        }
        _ => return None,
    })
}

/// Why a fix left a coordinator alone.
pub(super) fn spared(why: &str) -> Option<&'static str> {
    Some(match why {
        "not_selected" => "the other options of this fix do not select it",
        "younger_than_ephemeral_min_age" => {
            "it is young, and a test may still be using it: --pid ends it all the same"
        }
        "not_a_coordinator" => "it is no coordinator",
        "no_such_process" => "no process has this pid",
        "not_seen_by_the_scan" => "it became an orphan only after the scan",
        "not_looked_up_in_time" => "the daemon had no time to find out what it is",
        "checks_take_too_long" => "looking at it again before the signal took too long",
        "program_changed" => "it runs another program by now",
        "protected" => "its owner said never to touch it",
        "protected_ancestor" => "this command, or the daemon, runs below it",
        "kept" => "somebody asked to keep it",
        "keeps_unknown" => "what was kept is not known any more: `team-agentctl resume` goes on",
        "reaping_held" => "automatic reaping was paused or suspended meanwhile",
        "reason_not_listed" => {
            "it is an orphan for another reason by now, which reap.reasons does not list"
        }
        "reason_changed" => "it is an orphan for another reason by now",
        "outside_workspace_roots" => "its workspace is not below workspace_roots",
        "lineage_unknown" => "this command, or the daemon, may run below it",
        "process_table_unreadable" => "the process table could not be read again before the signal",
        "interrupted" => "the fix was cut off before its turn",
        "unfinished" => "the fix ended before its turn",
        _ => return reason(why),
    })
}

/// Why a process that was seen beside an orphan was not signalled.
pub(super) fn left_behind(why: &str) -> Option<&'static str> {
    Some(match why {
        "init" => "it is the first process",
        "protected_ancestor" => "this command, or the daemon, runs below it",
        "other_uid" => "it belongs to another user",
        "coordinator" => "it is a coordinator itself",
        "terminal_multiplexer" => "it is a terminal multiplexer, and other sessions may live in it",
        "sshd" => "it carries somebody's login",
        "service_manager" => "it is a service manager",
        "kept" => "somebody asked to keep it",
        "below_protected" => "it runs below a process that is protected",
        "controlling_terminal" => "it runs on a terminal of its own",
        "another_unit" => "it belongs to another systemd unit",
        "older_than_parent" => "it is older than its parent: not the process it seemed to be",
        "out_of_scope" => "the configuration's terminate.scope does not reach it",
        "changed" => "it was another process when it came to signals",
        "unreadable" => "it could not be looked into again",
        _ => return None,
    })
}

/// What can be done about a failure.
pub(super) fn remedy(error: &str) -> Option<&'static str> {
    Some(match error {
        "alive_after_sigkill" => {
            "it is stuck in the kernel, usually on a disk or a network mount; \
             it ends as soon as that answers or is detached"
        }
        "permission_denied" => "run this as the owner of the process, or as root",
        "audit_unavailable" => "make room, or the directory writable, for the event log",
        _ => return None,
    })
}
