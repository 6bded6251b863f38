//! Where nobody is told of anything.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use super::Touched;

/// Directories that are watched: none.
#[derive(Debug)]
pub struct Directories;

impl Directories {
    /// # Errors
    /// Always: there is nothing of that kind here yet.
    pub fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether exactly these are watched: none are.
    #[must_use]
    pub fn are_just(&self, wanted: &BTreeSet<PathBuf>) -> bool {
        wanted.is_empty()
    }

    /// Watches nothing.
    pub fn watch(&self, _: &BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
        BTreeSet::new()
    }

    /// Waits for ever.
    ///
    /// # Errors
    /// None.
    pub async fn next(&self) -> io::Result<Touched> {
        std::future::pending().await
    }
}
