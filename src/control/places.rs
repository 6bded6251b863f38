//! Where the socket and the state directory are. Pure: the environment is asked through a function.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the socket of a daemon is that runs for the whole machine.
pub const OF_THE_MACHINE: &str = "/run/team-agentd";

/// What the environment and the command line say of places.
pub struct Surroundings<'a> {
    /// Environment variables.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// The effective uid.
    pub uid: u32,
}

impl Surroundings<'_> {
    fn path(&self, name: &str) -> Option<PathBuf> {
        (self.env)(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    fn absolute(&self, name: &str) -> Option<PathBuf> {
        // The XDG specification: a relative path there is to be ignored.
        self.path(name).filter(|path| path.is_absolute())
    }

    fn home(&self) -> Option<PathBuf> {
        self.absolute("HOME")
    }

    /// The socket that was named, on the command line or in the environment.
    #[must_use]
    pub fn named_socket(&self, explicit: Option<&Path>) -> Option<PathBuf> {
        explicit
            .map(Path::to_path_buf)
            .or_else(|| self.path("TEAM_AGENTD_SOCKET"))
    }

    /// The places for the socket, best first. One that is named is the only one.
    #[must_use]
    pub fn sockets(&self, explicit: Option<&Path>) -> Vec<PathBuf> {
        if let Some(named) = self.named_socket(explicit) {
            return vec![named];
        }
        let of_root = (self.uid == 0).then(|| PathBuf::from("/run"));
        let runtime = self
            .absolute("XDG_RUNTIME_DIR")
            .unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", self.uid)));
        let caches = self
            .home()
            .filter(|_| cfg!(target_os = "macos"))
            .map(|home| home.join("Library/Caches"));
        let state = self.home().map(|home| home.join(".local/state"));
        of_root
            .into_iter()
            .chain([runtime])
            .chain(caches)
            .chain(state)
            .map(|base| base.join("team-agentd/control.sock"))
            .collect()
    }

    /// The state directory, if there is any place for one.
    #[must_use]
    pub fn state_dir(&self, explicit: Option<&Path>) -> Option<PathBuf> {
        let of_user = || {
            self.absolute("XDG_STATE_HOME")
                .or_else(|| {
                    self.home()
                        .filter(|_| self.uid != 0)
                        .map(|home| home.join(".local/state"))
                })
                .map(|base| base.join("team-agentd"))
        };
        explicit
            .map(Path::to_path_buf)
            // systemd may give several, separated by colons: the first is ours.
            .or_else(|| {
                let given = self.path("STATE_DIRECTORY")?;
                let first = given.to_str()?.split(':').next()?.to_owned();
                Some(PathBuf::from(first))
            })
            .or_else(of_user)
            .or_else(|| (self.uid == 0).then(|| PathBuf::from("/var/lib/team-agentd")))
    }
}

/// The lock beside a socket: whoever listens on the socket holds it.
#[must_use]
pub fn socket_lock(socket: &Path) -> PathBuf {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// The lock in a state directory: whoever kills or rotates holds it.
#[must_use]
pub fn state_lock(state_dir: &Path) -> PathBuf {
    state_dir.join("lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(uid: u32, env: &[(&str, &str)], explicit: Option<&str>) -> Vec<String> {
        let env = |name: &str| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        Surroundings { env: &env, uid }
            .sockets(explicit.map(Path::new))
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }

    fn state(uid: u32, env: &[(&str, &str)], explicit: Option<&str>) -> Option<PathBuf> {
        let env = |name: &str| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        Surroundings { env: &env, uid }.state_dir(explicit.map(Path::new))
    }

    #[test]
    fn a_named_socket_is_the_only_one() {
        let env = [("TEAM_AGENTD_SOCKET", "/e/s"), ("HOME", "/h")];
        assert_eq!(sockets(7, &env, Some("/x/s")), ["/x/s"]);
        assert_eq!(sockets(7, &env, None), ["/e/s"]);
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn sockets_are_tried_in_the_documented_order() {
        let env = [("HOME", "/h"), ("XDG_RUNTIME_DIR", "/r")];
        assert_eq!(
            sockets(7, &env, None),
            [
                "/r/team-agentd/control.sock",
                "/h/.local/state/team-agentd/control.sock"
            ]
        );
        assert_eq!(
            sockets(7, &[], None),
            ["/run/user/7/team-agentd/control.sock"]
        );
        assert_eq!(
            sockets(0, &env, None)[..2],
            [
                "/run/team-agentd/control.sock",
                "/r/team-agentd/control.sock"
            ]
        );
    }

    #[test]
    fn the_state_directory_follows_the_documented_order() {
        let all = [
            ("STATE_DIRECTORY", "/s1:/s2"),
            ("XDG_STATE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(state(7, &all, Some("/d")), Some("/d".into()));
        assert_eq!(state(7, &all, None), Some("/s1".into()));
        assert_eq!(state(7, &all[1..], None), Some("/x/team-agentd".into()));
        assert_eq!(
            state(7, &all[2..], None),
            Some("/h/.local/state/team-agentd".into())
        );
        assert_eq!(
            state(0, &all[2..], None),
            Some("/var/lib/team-agentd".into())
        );
        assert_eq!(state(7, &[], None), None);
    }
}
