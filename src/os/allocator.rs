//! How the allocator of glibc is told to keep little of what was freed. A daemon that works in bursts, on
//! many threads, otherwise ends up with most of its memory spread over one heap for each of them.

/// Few heaps, shared by all threads, and large blocks given back as soon as they are freed. Elsewhere
/// than with glibc it does nothing. To be called before there are threads.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt(3) has no safe form")]
pub fn keep_little() {
    use nix::libc::{M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, c_int, mallopt};
    /// One for the thread that does nearly everything, one for those that only look.
    const ARENAS: c_int = 2;
    /// The defaults; said, they do not grow any more with what is freed.
    const LARGE_BYTES: c_int = 128 * 1024;
    for (what, value) in [
        (M_ARENA_MAX, ARENAS),
        (M_MMAP_THRESHOLD, LARGE_BYTES),
        (M_TRIM_THRESHOLD, LARGE_BYTES),
    ] {
        // SAFETY: it takes two numbers and touches nothing but the allocator's own settings, under its
        // own lock. If it refuses one, all stays as it was.
        unsafe {
            mallopt(what, value);
        }
    }
}

/// There is nothing to be told.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_little() {}
