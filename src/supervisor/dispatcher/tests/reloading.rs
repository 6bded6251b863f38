//! Reading the configuration again: all of it or nothing.

use super::*;

fn reaping(settings: Arc<Settings>) -> Settings {
    let mut settings = Arc::unwrap_or_clone(settings);
    settings.reap.confirm = true;
    settings
}

fn loaded() -> Box<Loaded> {
    Box::new(Loaded {
        settings: Arc::new(reaping(settings())),
        interval: Duration::from_secs(7),
        file: Some("/etc/new.toml".into()),
        config: Arc::default(),
    })
}

fn reloaded(daemon: &mut Daemon, ticket: Option<Ticket>, good: bool) -> Vec<String> {
    let result = match good {
        true => Ok(loaded()),
        false => Err("line 3: scan.interval: 5".to_owned()),
    };
    daemon.take(Event::Reloaded { ticket, result })
}

#[test]
fn a_good_configuration_is_recorded_used_and_shown() {
    for (ticket, answer) in [(None, None), (Some(1), Some("answer 1: ok"))] {
        let mut daemon = Daemon::ready(vec![]);
        let mut expected = vec!["record config.reloaded", "use configuration"];
        expected.extend(answer);
        assert_eq!(reloaded(&mut daemon, ticket, true), expected);
        let status = daemon.status();
        assert_eq!(status["policy"]["confirm"], true);
        assert_eq!(status["daemon"]["config"], "/etc/new.toml");
    }
}

#[test]
fn a_bad_configuration_is_recorded_and_changes_nothing() {
    let refused = "answer 1: the configuration is kept as it was: line 3: scan.interval: 5";
    for (ticket, answer) in [(None, None), (Some(1), Some(refused))] {
        let mut daemon = Daemon::ready(vec![]);
        let before = daemon.status();
        let mut expected = vec!["record config.rejected"];
        expected.extend(answer);
        assert_eq!(reloaded(&mut daemon, ticket, false), expected);
        assert_eq!(daemon.status(), before);
    }
}

#[test]
fn a_wave_runs_to_its_end_under_the_configuration_it_began_with() {
    let mut daemon = Daemon::fixing(vec![orphan(10)]);
    let before = Arc::clone(&daemon.waves[0].settings);
    let new = loaded();
    let after = Arc::clone(&new.settings);
    daemon.take(Event::Reloaded {
        ticket: None,
        result: Ok(new),
    });
    daemon.fix(2, Selection::default());
    daemon.scanned(vec![orphan(10), orphan(11)]);
    assert!(Arc::ptr_eq(&daemon.waves[0].settings, &before));
    assert!(Arc::ptr_eq(&daemon.waves[1].settings, &after));
}

#[test]
fn verdicts_follow_the_new_configuration_from_the_next_scan_on() {
    let ephemeral = || {
        without_witness()
            .at("/tmp/team-agent-test-1/ws")
            .observed(10)
    };
    let mut daemon = Daemon::ready(vec![ephemeral()]);
    let mut new = loaded();
    Arc::make_mut(&mut new.settings).ephemeral.hints.clear();
    daemon.take(Event::Reloaded {
        ticket: None,
        result: Ok(new),
    });
    daemon.take(Event::Tick);
    assert_eq!(
        daemon.scanned(vec![ephemeral()]),
        ["record orphan.cleared 10"]
    );
}

#[test]
fn who_is_no_business_of_the_new_configuration_has_not_exited() {
    let mut daemon = Daemon::ready(vec![orphan(10)]);
    let mut new = loaded();
    Arc::make_mut(&mut new.settings).workspace_roots = vec!["/elsewhere".into()];
    let effects = daemon.dispatcher.handle_event(
        Event::Reloaded {
            ticket: None,
            result: Ok(new),
        },
        clock(),
    );
    let causes: Vec<Cleared> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Record(facts) => Some(facts),
            _ => None,
        })
        .flatten()
        .filter_map(|fact| match fact {
            Fact::Cleared { cause, .. } => Some(*cause),
            _ => None,
        })
        .collect();
    assert_eq!(causes, [Cleared::NotCovered]);
    assert_eq!(daemon.status()["orphans"].as_array().unwrap().len(), 0);
}
