//! The attacks of `tests/integration/attacks.rs` by pid reuse, for as long as one likes:
//!
//! ```text
//! $ cargo bench --bench attacks              # 100,000 times
//! $ cargo bench --bench attacks -- 5000      # so many times
//! ```
//!
//! Counts nothing but what came about, and ends at once if anybody was signalled who must not be.
#![allow(
    missing_docs,
    reason = "a program: nobody reads its items from outside"
)]
#![cfg_attr(
    target_os = "linux",
    expect(
        clippy::expect_used,
        clippy::print_stdout,
        reason = "a failed attack panics, and the result is to be read"
    )
)]

#[cfg(target_os = "linux")]
#[path = "../tests/integration/attacks/ground.rs"]
mod ground;
#[cfg(target_os = "linux")]
#[path = "../tests/integration/attacks/reuse.rs"]
mod reuse;

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() {
    const INSIDE: &str = "TEAM_AGENTD_BENCH_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return attack();
    }
    // bash is pid 1 in there and reaps. Nothing out here can be seen from within, or be signalled.
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !nix::unistd::getuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let status = unshare
        .args(["bash", "-c", r#""$@"; exit $?"#, "bash"])
        .arg(std::env::current_exe().expect("this program"))
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .expect("unshare starts");
    assert!(status.success(), "{status}");
}

#[cfg(target_os = "linux")]
fn attack() {
    use std::time::Instant;

    use team_agentd::orphan::victims::Scope;

    use self::ground::{Dice, Ground};
    use self::reuse::{HEIRS, Place};

    let init = std::fs::read("/proc/1/cmdline").expect("pid 1");
    assert!(
        init.starts_with(b"bash\0-c\0"),
        "not in a private namespace"
    );
    // What cargo adds, `--bench`, is no number.
    let times: usize = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000);
    if !Ground::pids_can_be_chosen() {
        println!("SKIPPED: this kernel does not let pids be chosen");
        return;
    }
    let mut ground = Ground::new().scope(Scope::Tree);
    let mut dice = Dice(u64::from(std::process::id()) + 1);
    let mut came_about = [0_usize; 4];
    let started = Instant::now();
    for number in 0.. {
        let done: usize = came_about.iter().sum();
        if done >= times {
            break;
        }
        assert!(number < 2 * times + 100, "{done} of {number} came about");
        let heir = HEIRS[number / 4 % HEIRS.len()];
        let place = [Place::Inside, Place::Outside][number / 4 % 2];
        let success = match number % 4 {
            0 => reuse::between_scan_and_signal(&mut ground, heir),
            1 => reuse::at_any_moment(&mut ground, heir, &mut dice),
            2 => reuse::between_sigterm_and_sigkill(&mut ground, heir),
            _ => reuse::of_a_member(&mut ground, place),
        };
        came_about[number % 4] += usize::from(success);
    }
    ground.assert_survivors_untouched();
    let [scan, moment, sigterm, member] = came_about;
    println!(
        "nobody was signalled by mistake in {} pid reuses: {scan} between scan and signal, \
         {moment} at any moment of a wave, {sigterm} between SIGTERM and SIGKILL, {member} of a \
         member; {:.1} s",
        scan + moment + sigterm + member,
        started.elapsed().as_secs_f64()
    );
}
