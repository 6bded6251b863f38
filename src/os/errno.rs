//! What an error says of us, and the name that it has in verdicts.

use std::io;

use nix::errno::Errno;

use super::patience::NoAnswer;

/// Whether an error says that we are out of descriptors, memory, or threads that may be left behind.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM];
    no_answer(error) == Some(NoAnswer::TooManyHang)
        || error
            .raw_os_error()
            .is_some_and(|code| shortages.contains(&Errno::from_raw(code)))
}

/// The stable name of an errno; of one that is none, the nearest.
#[must_use]
pub fn errno_name(error: &io::Error) -> &'static str {
    let Some(code) = error.raw_os_error() else {
        return match no_answer(error) {
            Some(NoAnswer::Hangs) => "ETIMEDOUT",
            // A shortage of ours, like any other.
            Some(NoAnswer::TooManyHang) => "ENOMEM",
            _ => "EIO",
        };
    };
    match Errno::from_raw(code) {
        Errno::EACCES => "EACCES",
        Errno::EPERM => "EPERM",
        Errno::ENOENT => "ENOENT",
        Errno::ENOTDIR => "ENOTDIR",
        Errno::ESRCH => "ESRCH",
        Errno::EBADF => "EBADF",
        Errno::ELOOP => "ELOOP",
        Errno::ENAMETOOLONG => "ENAMETOOLONG",
        Errno::EIO => "EIO",
        Errno::ENXIO => "ENXIO",
        Errno::ENODEV => "ENODEV",
        Errno::ENOTCONN => "ENOTCONN",
        Errno::ESTALE => "ESTALE",
        Errno::ETIMEDOUT => "ETIMEDOUT",
        Errno::EHOSTDOWN => "EHOSTDOWN",
        Errno::EHOSTUNREACH => "EHOSTUNREACH",
        Errno::EMFILE => "EMFILE",
        Errno::ENFILE => "ENFILE",
        Errno::ENOMEM => "ENOMEM",
        Errno::EOVERFLOW => "EOVERFLOW",
        Errno::EXDEV => "EXDEV",
        Errno::EAGAIN => "EAGAIN",
        Errno::EINTR => "EINTR",
        Errno::EINVAL => "EINVAL",
        Errno::ENOSYS => "ENOSYS",
        Errno::EOPNOTSUPP => "EOPNOTSUPP",
        _ => "EUNKNOWN",
    }
}

/// Why a look has no result, if that is what the error says.
#[must_use]
pub fn no_answer(error: &io::Error) -> Option<NoAnswer> {
    error.get_ref()?.downcast_ref().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_ours_and_every_error_has_a_name() {
        let of_system = |errno: Errno| io::Error::from(errno);
        for (error, name, is_ours) in [
            (of_system(Errno::EMFILE), "EMFILE", true),
            (of_system(Errno::EACCES), "EACCES", false),
            (of_system(Errno::ETIMEDOUT), "ETIMEDOUT", false),
            (NoAnswer::Hangs.into(), "ETIMEDOUT", false),
            (NoAnswer::TooManyHang.into(), "ENOMEM", true),
            (NoAnswer::Panicked.into(), "EIO", false),
            (io::Error::other("malformed"), "EIO", false),
        ] {
            assert_eq!(errno_name(&error), name);
            assert_eq!(is_shortage(&error), is_ours, "{name}");
        }
    }
}
