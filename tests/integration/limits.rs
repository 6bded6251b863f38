//! What peers may hold of a daemon, and who gets an answer all the same.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::support::{Settings, World, in_private_pid_namespace};

#[test]
fn those_who_only_hold_a_connection_keep_nobody_out() {
    in_private_pid_namespace(|| {
        const PLACES: usize = 4;
        let world = World::new();
        let daemon = world.daemon_with(&Settings::default().with("[control]\nmax_connections = 4"));
        let mut holding: Vec<UnixStream> = (0..5 * PLACES)
            .map(|_| {
                let mut one = UnixStream::connect(world.socket()).unwrap();
                one.write_all(b"{\"jsonrpc\": ").unwrap();
                one
            })
            .collect();
        let status = daemon.call("status", &json!({}));
        let peers = &status["peers"];
        assert_eq!(peers["connected"], PLACES, "{peers:#}");
        assert_eq!(peers["max_connections"], PLACES);
        assert_eq!(peers["turned_away"]["displaced"], 4 * PLACES + 1);
        assert_eq!(peers["turned_away"]["no_place"], 0);
        // The first of them was told why, and left; the last goes on.
        let mut told = String::new();
        holding[0].read_to_string(&mut told).unwrap();
        assert!(told.contains("too_busy"), "{told}");
        let last = holding.last_mut().unwrap();
        last.write_all(b"\"2.0\", \"id\": 1, \"method\": \"version\"}\n")
            .unwrap();
        let mut answer = [0; 6];
        last.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"{\"id\":");
        let status = world.ctl(["status"]);
        let text = status.text_with(0);
        assert!(text.contains("displaced"), "{text}");
    });
}
