//! The protocol from the outside: one JSON-RPC object a line over the daemon's socket.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use super::wait::PATIENCE;

/// One connection to the daemon.
pub(crate) struct Connection {
    stream: BufReader<UnixStream>,
    last_id: u64,
}

impl Connection {
    pub(crate) fn open(socket: &Path) -> std::io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream = BufReader::new(stream);
        Ok(Self { stream, last_id: 0 })
    }

    /// Sends bytes as they are, line feeds included or not.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let mut stream = self.stream.get_ref();
        stream.write_all(bytes).expect("the daemon reads");
    }

    /// Sends without caring whether the daemon still listens.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.get_ref().write_all(bytes);
    }

    /// Says that there will be no more requests.
    pub(crate) fn stop_writing(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Sends a request and returns its id, without waiting for the reply.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(format!("{request}\n").as_bytes());
        id
    }

    /// The next line from the daemon; none when it has hung up.
    pub(crate) fn read(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            // A daemon that closes with our bytes unread resets the connection.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|error| {
                panic!("the daemon sent something that is not JSON ({error}): {line:?}")
            })),
            Err(error) => panic!("waiting for the daemon's reply: {error}"),
        }
    }

    /// The whole reply to one request.
    pub(crate) fn reply(&mut self, method: &str, params: &Value) -> Value {
        let id = self.request(method, params);
        let reply = self.read().expect("the daemon replies before it hangs up");
        assert_eq!(reply["jsonrpc"], "2.0", "{reply}");
        assert_eq!(reply["id"], id, "{reply}");
        reply
    }

    /// The result of a request that has to succeed.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        let mut reply = self.reply(method, params);
        assert!(reply.get("error").is_none(), "{method} failed: {reply:#}");
        reply["result"].take()
    }

    /// The error code of a request that has to fail; `data.kind` has to be there too.
    pub(crate) fn refusal(&mut self, method: &str, params: &Value) -> i64 {
        error_code(&self.reply(method, params))
    }

    /// Sends one line as it is and returns the code and the id of the error it earns.
    pub(crate) fn complaint(&mut self, line: &[u8]) -> (i64, Value) {
        self.send(line);
        self.send(b"\n");
        let reply = self.read().expect("a complaint before hanging up");
        (error_code(&reply), reply["id"].clone())
    }
}

/// The code of an error reply, after a look at its shape.
pub(crate) fn error_code(reply: &Value) -> i64 {
    let error = &reply["error"];
    assert!(error["message"].is_string(), "not an error: {reply:#}");
    let kind = error["data"]["kind"].as_str().unwrap_or_default();
    assert!(!kind.is_empty(), "an error without data.kind: {reply:#}");
    assert!(reply.get("result").is_none(), "{reply:#}");
    error["code"].as_i64().expect("an error code")
}
