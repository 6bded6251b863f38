//! A file on a disk that is read, and to which nothing is ever written: whoever waits for that waits until this is dropped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// How long it says that it is, in bytes.
const LENGTH: u64 = 4096;

/// The requests of fuse(4) that are answered; `linux/fuse.h` says what with.
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const INIT: u32 = 26;

/// A file that is a mount of its own.
pub(crate) struct Unwritten {
    point: PathBuf,
    is_waited_for: Arc<AtomicBool>,
}

impl Unwritten {
    /// None where this may not be mounted.
    pub(crate) fn at(point: PathBuf) -> Option<Self> {
        File::create(&point).unwrap();
        let mut options = File::options();
        let server = options.read(true).write(true).open("/dev/fuse").ok()?;
        let data = format!(
            "fd={},rootmode=100666,user_id=0,group_id=0,allow_other",
            server.as_raw_fd()
        );
        let data = std::ffi::CString::new(data).ok()?;
        mount("tad", &point, "fuse", MountFlags::empty(), Some(&*data)).ok()?;
        let is_waited_for = Arc::<AtomicBool>::default();
        let waits = Arc::clone(&is_waited_for);
        thread::spawn(move || serve(&server, &waits));
        Some(Self {
            point,
            is_waited_for,
        })
    }

    /// Whether something is to be written to it.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.is_waited_for.load(Ordering::SeqCst)
    }
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        // By force: whoever waits gets an error.
        let _ = unmount(&self.point, UnmountFlags::DETACH | UnmountFlags::FORCE);
    }
}

/// Until the mount is gone.
fn serve(mut server: &File, is_waited_for: &AtomicBool) {
    let mut request = vec![0; 1 << 17];
    while let Ok(length) = server.read(&mut request) {
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        assert!(length >= 40, "a header");
        let answer = match word(4) {
            INIT => Ok(words(&[7, 31, 0x10000, 0, 0x0008_000c, 0x10000, 1])),
            GETATTR => Ok(attributes()),
            OPEN => Ok(words(&[1, 0, 0, 0])),
            READ => Ok(vec![0; usize::try_from(LENGTH).unwrap()]),
            WRITE => {
                is_waited_for.store(true, Ordering::SeqCst);
                continue;
            }
            _ => Err(rustix::io::Errno::NOSYS),
        };
        let (error, body) = match answer {
            Ok(mut body) => {
                if word(4) == INIT {
                    body.resize(64, 0);
                }
                (0, body)
            }
            Err(errno) => (-errno.raw_os_error(), Vec::new()),
        };
        let mut reply = Vec::new();
        reply.extend(u32::try_from(16 + body.len()).unwrap().to_ne_bytes());
        reply.extend(error.to_ne_bytes());
        reply.extend(&request[8..16]);
        reply.extend(body);
        let _: io::Result<usize> = server.write(&reply);
    }
}

/// `fuse_attr_out`: valid for no time.
fn attributes() -> Vec<u8> {
    let mut bytes = words(&[0, 0, 0, 0]);
    let numbers: [u64; 6] = [1, LENGTH, 8, 0, 0, 0];
    bytes.extend(numbers.into_iter().flat_map(u64::to_ne_bytes));
    bytes.extend(words(&[0, 0, 0, 0o100_666, 1, 0, 0, 0, 4096, 0]));
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
