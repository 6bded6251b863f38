//! What must hold whatever a peer sends.

use serde_json::Value;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::Decoder;

use super::lines::{LINE_LIMIT_BYTES, Line, LineDecoder};
use super::protocol::{Action, Call, parse};
use crate::supervisor::request::Request;

/// What a peer sends, in any pieces; the first byte says in which.
pub fn protocol(data: &[u8]) {
    let Some((first, sent)) = data.split_first() else {
        return;
    };
    let lines = received(sent, sent.len().max(1));
    assert_eq!(
        lines,
        received(sent, usize::from(*first).max(1)),
        "in pieces"
    );
    for line in lines {
        match line {
            Line::TooLong | Line::Blank => {}
            Line::Whole(line) => {
                assert!(line.len() <= LINE_LIMIT_BYTES && !line.contains(&b'\n'));
                read(&line);
            }
        }
    }
}

fn received(sent: &[u8], piece: usize) -> Vec<Line> {
    let mut decoder = LineDecoder::default();
    let mut buffer = BytesMut::new();
    let mut lines = Vec::new();
    for piece in sent.chunks(piece) {
        buffer.extend_from_slice(piece);
        while let Ok(Some(line)) = decoder.decode(&mut buffer) {
            lines.push(line);
        }
        assert!(
            buffer.len() <= LINE_LIMIT_BYTES,
            "{} bytes wait",
            buffer.len()
        );
    }
    while let Ok(Some(line)) = decoder.decode_eof(&mut buffer) {
        lines.push(line);
    }
    // How many of them come together depends on the pieces.
    lines.retain(|line| *line != Line::Blank);
    lines
}

fn read(line: &[u8]) {
    let whole: Option<Value> = serde_json::from_slice(line).ok();
    match parse(line) {
        Err((id, error)) => {
            assert!(!error.kind.is_empty() && !error.message.is_empty());
            assert!(id.is_null() || whole.is_some_and(|whole| whole["id"] == id));
        }
        Ok(Call { id, action }) => {
            let whole = whole.unwrap_or_default();
            assert!(id.is_string() || id.is_number(), "{id}");
            assert_eq!(whole["id"], id);
            // Whoever did not say it in so many words has not asked for anybody's end.
            if matches!(
                action,
                Action::Ask(Request::Fix { .. } | Request::Gate { fix: true })
            ) {
                assert_eq!(whole["params"]["confirm"], true, "{whole}");
                assert!(whole["method"] == "fix" || whole["method"] == "gate");
            }
        }
    }
}
