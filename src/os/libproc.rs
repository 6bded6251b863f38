//! The questions that the macOS kernel answers about processes, each in a checked form: libproc.h and
//! sys/proc_info.h, `sysctl(KERN_PROCARGS2)`, `sysctl(KERN_PROC_PID)`.
//!
//! Knows nothing of what an answer means. Other users' processes answer only root, but for
//! [`libc::proc_bsdshortinfo`], [`UniqueIdentifier`] and [`start_of`]; an exited one answers nothing.

use std::ffi::{OsString, c_char, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::orphan::process::Pid;

/// `struct proc_uniqidentifierinfo`, which libc lacks.
#[repr(C)]
pub(super) struct UniqueIdentifier {
    uuid: [u8; 16],
    /// Given at fork, kept over exec, never given again until the next boot.
    pub(super) unique: u64,
    parent_unique: u64,
    /// The pid version: a new one at each fork and exec.
    pub(super) version: i32,
    parent_version: i32,
    reserved: [u64; 2],
}

/// `struct proc_fileinfo`, which libc lacks.
#[repr(C)]
struct FileInfo {
    open_flags: u32,
    status: u32,
    offset: i64,
    kind: i32,
    guard_flags: u32,
}

/// `struct vnode_fdinfowithpath`, which libc lacks.
#[repr(C)]
struct VnodeOfFd {
    file: FileInfo,
    vnode: libc::vnode_info_path,
}

const _: () = assert!(size_of::<UniqueIdentifier>() == 56);
const _: () = assert!(size_of::<VnodeOfFd>() == 1200);
const _: () = assert!(size_of::<libc::proc_bsdinfo>() == 136);
const _: () = assert!(size_of::<libc::proc_bsdshortinfo>() == 64);
const _: () = assert!(size_of::<libc::proc_taskinfo>() == 96);
const _: () = assert!(size_of::<libc::proc_vnodepathinfo>() == 2352);
const _: () = assert!(size_of::<libc::proc_fdinfo>() == 8);

/// `VREG` of sys/vnode.h
const REGULAR_FILE: c_int = 1;
/// The size of `struct kinfo_proc`, sys/sysctl.h, for 64-bit programs.
const KINFO_PROC_BYTES: usize = 648;
/// `ARG_MAX` of sys/syslimits.h, and the argument count in front. The kernel refuses a larger buffer,
/// and gives only the tail of what a smaller one does not hold.
const ARGUMENTS_LIMIT_BYTES: usize = (1 << 20) + size_of::<c_int>();

/// What `proc_pidinfo` and its like tell in one fixed-size struct.
///
/// # Safety
/// A C struct of integers, for which any bytes are a value, as large as what the kernel writes for
/// `FLAVOR`.
#[expect(
    unsafe_code,
    reason = "the kernel writes raw bytes into the implementing type"
)]
pub(super) unsafe trait Answer {
    /// Which struct is asked for.
    const FLAVOR: c_int;
}

#[expect(unsafe_code, reason = "see Answer")]
mod answers {
    use super::{Answer, UniqueIdentifier, VnodeOfFd, c_int};

    // SAFETY: for these six: sys/proc_info.h gives this struct for this flavor, integers only; their
    // sizes are asserted above.
    unsafe impl Answer for libc::proc_bsdinfo {
        const FLAVOR: c_int = libc::PROC_PIDTBSDINFO;
    }
    // SAFETY: as above.
    unsafe impl Answer for libc::proc_bsdshortinfo {
        const FLAVOR: c_int = libc::PROC_PIDT_SHORTBSDINFO;
    }
    // SAFETY: as above.
    unsafe impl Answer for libc::proc_taskinfo {
        const FLAVOR: c_int = libc::PROC_PIDTASKINFO;
    }
    // SAFETY: as above.
    unsafe impl Answer for libc::proc_vnodepathinfo {
        const FLAVOR: c_int = libc::PROC_PIDVNODEPATHINFO;
    }
    // SAFETY: as above.
    unsafe impl Answer for UniqueIdentifier {
        /// `PROC_PIDUNIQIDENTIFIERINFO`
        const FLAVOR: c_int = 17;
    }
    // SAFETY: as above.
    unsafe impl Answer for VnodeOfFd {
        /// `PROC_PIDFDVNODEPATHINFO` of `proc_pidfdinfo`
        const FLAVOR: c_int = 2;
    }
}

/// Asks about the process that has `pid` now.
///
/// # Errors
/// ESRCH if there is none or it is a zombie, EPERM if it may not be looked into.
pub(super) fn pid_info<T: Answer>(pid: Pid) -> io::Result<T> {
    let pid = raw(pid)?;
    let (mut answer, size) = (MaybeUninit::<T>::zeroed(), length::<T>(1)?);
    #[expect(unsafe_code, reason = "libproc has no safe form")]
    let written = {
        // SAFETY: the buffer is writable and as long as is said; the kernel writes no more.
        unsafe { libc::proc_pidinfo(pid, T::FLAVOR, 0, answer.as_mut_ptr().cast(), size) }
    };
    filled::<T>(answer, written)
}

/// What descriptor `fd` of a process has open, if that is a vnode: a file, directory or device.
///
/// # Errors
/// EBADF if it is closed or no vnode; also if it is one whose file system was torn away.
pub(super) fn vnode_of_fd(pid: Pid, fd: c_int) -> io::Result<Vnode> {
    let pid = raw(pid)?;
    let flavor = VnodeOfFd::FLAVOR;
    let (mut answer, size) = (MaybeUninit::<VnodeOfFd>::zeroed(), length::<VnodeOfFd>(1)?);
    #[expect(unsafe_code, reason = "libproc has no safe form")]
    let written = {
        // SAFETY: the buffer is writable and as long as is said; the kernel writes no more.
        unsafe { libc::proc_pidfdinfo(pid, fd, flavor, answer.as_mut_ptr().cast(), size) }
    };
    let answer = filled::<VnodeOfFd>(answer, written)?;
    Ok(Vnode::from(&answer.vnode))
}

fn filled<T: Answer>(answer: MaybeUninit<T>, written: c_int) -> io::Result<T> {
    complete::<T>(written)?;
    #[expect(unsafe_code, reason = "the struct was filled by the kernel")]
    {
        // SAFETY: `T` takes any bytes, and the kernel wrote it to its end.
        Ok(unsafe { answer.assume_init() })
    }
}

/// libproc says how many bytes were written: 0 means errno tells why not.
fn complete<T>(written: c_int) -> io::Result<()> {
    match usize::try_from(written) {
        Ok(bytes) if bytes == size_of::<T>() => Ok(()),
        Ok(1..) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the kernel's answer has another size",
        )),
        _ => Err(io::Error::last_os_error()),
    }
}

fn raw(pid: Pid) -> io::Result<c_int> {
    c_int::try_from(pid).map_err(|_| Errno::ESRCH.into())
}

fn length<T>(count: usize) -> io::Result<c_int> {
    c_int::try_from(count * size_of::<T>()).map_err(|_| Errno::EOVERFLOW.into())
}

/// When a process started, in microseconds since the epoch.
pub(super) fn start_us(info: &libc::proc_bsdinfo) -> u64 {
    microseconds(info.pbi_start_tvsec, info.pbi_start_tvusec)
}

/// When the process that has `pid` now started, whoever owns it: in microseconds since the epoch.
///
/// # Errors
/// ESRCH if there is none or it is a zombie.
pub(super) fn start_of(pid: Pid) -> io::Result<u64> {
    match pid_info::<libc::proc_bsdinfo>(pid) {
        Ok(info) if info.pbi_status == libc::SZOMB => Err(Errno::ESRCH.into()),
        Ok(info) => Ok(start_us(&info)),
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => start_for_everybody(pid),
        Err(error) => Err(error),
    }
}

/// As ps(1) reads it: `struct kinfo_proc` of sys/sysctl.h begins with the `struct timeval` of the start.
fn start_for_everybody(pid: Pid) -> io::Result<u64> {
    let mut name = [
        libc::CTL_KERN,
        libc::KERN_PROC,
        libc::KERN_PROC_PID,
        raw(pid)?,
    ];
    let mut bytes = [0; KINFO_PROC_BYTES];
    let length = sysctl(&mut name, &mut bytes)?;
    // `tv_sec` has 64 bits, `tv_usec` 32. No such process is an answer without any.
    let start = bytes[..length].split_first_chunk();
    let (seconds, rest) = start.ok_or(Errno::ESRCH)?;
    let (fraction, _) = rest.split_first_chunk().ok_or(Errno::ESRCH)?;
    let fraction = u32::from_ne_bytes(*fraction);
    Ok(microseconds(u64::from_ne_bytes(*seconds), fraction.into()))
}

fn microseconds(seconds: u64, fraction: u64) -> u64 {
    seconds.saturating_mul(1_000_000).saturating_add(fraction)
}

/// A file, directory or device that a process holds, with the kernel's name for it.
pub(super) struct Vnode {
    /// As the kernel's name cache has it: perhaps a part of the path only, perhaps nothing.
    pub(super) path: PathBuf,
    pub(super) links: u64,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Nanoseconds since the epoch, where the file system records births.
    pub(super) born_ns: Option<i128>,
    kind: c_int,
}

impl Vnode {
    /// Whether there is one at all: most processes have no root directory of their own.
    pub(super) fn is_some(&self) -> bool {
        self.kind != 0
    }

    pub(super) fn is_regular_file(&self) -> bool {
        self.kind == REGULAR_FILE
    }
}

impl From<&libc::vnode_info_path> for Vnode {
    fn from(info: &libc::vnode_info_path) -> Self {
        let stat = &info.vip_vi.vi_stat;
        Self {
            path: PathBuf::from(text(info.vip_path.as_flattened())),
            links: stat.vst_nlink.into(),
            device: stat.vst_dev.into(),
            inode: stat.vst_ino,
            born_ns: (stat.vst_birthtime > 0).then(|| {
                i128::from(stat.vst_birthtime) * 1_000_000_000 + i128::from(stat.vst_birthtimensec)
            }),
            kind: info.vip_vi.vi_type,
        }
    }
}

/// A C text, up to its NUL.
pub(super) fn text(chars: &[c_char]) -> OsString {
    let bytes = chars.iter().map(|char| char.cast_unsigned());
    OsString::from_vec(bytes.take_while(|byte| *byte != 0).collect())
}

/// Which of a process's descriptors 1 and 2 are vnodes.
pub(super) fn vnode_outputs(pid: Pid) -> io::Result<Vec<c_int>> {
    let pid = raw(pid)?;
    // In ascending order, so that three places are enough for 0, 1 and 2.
    let mut lowest = [libc::proc_fdinfo {
        proc_fd: -1,
        proc_fdtype: 0,
    }; 3];
    Errno::clear();
    #[expect(unsafe_code, reason = "libproc has no safe form")]
    let written = {
        // SAFETY: the buffer is writable and as long as is said; the kernel writes no more.
        unsafe {
            libc::proc_pidinfo(
                pid,
                libc::PROC_PIDLISTFDS,
                0,
                lowest.as_mut_ptr().cast(),
                length::<libc::proc_fdinfo>(lowest.len())?,
            )
        }
    };
    // None open is an answer too.
    if written <= 0 && Errno::last_raw() != 0 {
        return Err(io::Error::last_os_error());
    }
    let vnode = libc::PROX_FDTYPE_VNODE.cast_unsigned();
    Ok(lowest
        .iter()
        .filter(|found| [1, 2].contains(&found.proc_fd) && found.proc_fdtype == vnode)
        .map(|found| found.proc_fd)
        .collect())
}

/// The pids of all processes.
pub(super) fn all_pids() -> io::Result<Vec<Pid>> {
    let mut pids: Vec<c_int> = vec![0; 1024];
    loop {
        #[expect(unsafe_code, reason = "libproc has no safe form")]
        let found = {
            // SAFETY: the buffer is writable and as long as is said; the kernel writes no more.
            unsafe {
                libc::proc_listallpids(pids.as_mut_ptr().cast(), length::<c_int>(pids.len())?)
            }
        };
        let found = match usize::try_from(found) {
            Ok(found @ 1..) => found,
            _ => return Err(io::Error::last_os_error()),
        };
        if found < pids.len() {
            pids.truncate(found);
            break;
        }
        // Full: there may be more.
        pids.resize(pids.len() * 2, 0);
    }
    Ok(pids
        .into_iter()
        .filter_map(|pid| Pid::try_from(pid).ok())
        .filter(|pid| *pid != 0)
        .collect())
}

/// The argument area of a process as it is in its memory now: see `facts::procargs`.
///
/// # Errors
/// EINVAL if the process is another user's, or gone. E2BIG if it has more than can be asked for.
pub(super) fn argument_area(pid: Pid) -> io::Result<Vec<u8>> {
    let mut name = [libc::CTL_KERN, libc::KERN_PROCARGS2, raw(pid)?];
    let mut bytes = vec![0; ARGUMENTS_LIMIT_BYTES];
    let length = sysctl(&mut name, &mut bytes)?;
    if length >= bytes.len() {
        return Err(Errno::E2BIG.into());
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Reads the value of this name; how long it is.
fn sysctl(name: &mut [c_int], value: &mut [u8]) -> io::Result<usize> {
    let mut length = value.len();
    let name_length = u32::try_from(name.len()).map_err(|_| Errno::EINVAL)?;
    #[expect(unsafe_code, reason = "sysctl has no safe form")]
    let result = {
        // SAFETY: name and buffer are as long as is said, the buffer is writable, and the kernel
        // writes no more; nothing is set.
        unsafe {
            libc::sysctl(
                name.as_mut_ptr(),
                name_length,
                value.as_mut_ptr().cast(),
                &raw mut length,
                std::ptr::null_mut(),
                0,
            )
        }
    };
    Errno::result(result)?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_about_this_process() {
        let own = std::process::id();
        let info: libc::proc_bsdinfo = pid_info(own).unwrap();
        assert_eq!(info.pbi_pid, own);
        let short: libc::proc_bsdshortinfo = pid_info(own).unwrap();
        assert_eq!(short.pbsi_pgid, info.pbi_pgid);
        let identifier: UniqueIdentifier = pid_info(own).unwrap();
        assert_ne!(identifier.unique, 0);
        assert_eq!(start_of(own).unwrap(), start_us(&info));
        assert_eq!(start_for_everybody(own).unwrap(), start_us(&info));
        assert!(all_pids().unwrap().contains(&own));
        let held: libc::proc_vnodepathinfo = pid_info(own).unwrap();
        let cwd = Vnode::from(&held.pvi_cdir);
        assert_eq!(cwd.path, std::env::current_dir().unwrap());
        assert!(cwd.links > 0 && cwd.born_ns.is_some());
        assert!(!Vnode::from(&held.pvi_rdir).is_some());
    }

    #[test]
    fn other_users_processes_have_a_number_and_a_family() {
        let launchd: libc::proc_bsdshortinfo = pid_info(1).unwrap();
        assert_eq!(launchd.pbsi_ppid, 0);
        let identifier: UniqueIdentifier = pid_info(1).unwrap();
        assert_ne!(identifier.unique, 0);
        assert!(start_of(1).unwrap() < start_of(std::process::id()).unwrap());
    }
}
