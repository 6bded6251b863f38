//! A signal on macOS that names its process by pid and pid version: compared and sent in one step.

use std::ffi::{c_int, c_void};
use std::io;
use std::sync::OnceLock;

use crate::orphan::process::Pid;

/// `audit_token_t` of bsm/audit.h: the pid is its sixth number, the pid version its eighth.
#[repr(C)]
struct AuditToken {
    numbers: [u32; 8],
}

const _: () = assert!(size_of::<AuditToken>() == 32);

/// `int proc_signal_with_audittoken(audit_token_t *, int)`, libproc.h: returns an errno.
type SignalWithAuditToken = unsafe extern "C" fn(*mut AuditToken, c_int) -> c_int;

/// Signals the process that has this pid *and* this pid version: nobody else ever has both. ESRCH if
/// there is none. No answer where the system has no such call: it came with macOS 14.2.
pub(super) fn signal_version(pid: Pid, version: i32, signal: c_int) -> Option<io::Result<()>> {
    static CALL: OnceLock<Option<SignalWithAuditToken>> = OnceLock::new();
    let call = (*CALL.get_or_init(find_signal_with_audit_token))?;
    let mut numbers = [0; 8];
    numbers[5] = pid;
    numbers[7] = version.cast_unsigned();
    let mut token = AuditToken { numbers };
    #[expect(unsafe_code, reason = "libproc has no safe form")]
    let errno = {
        // SAFETY: the token is a whole one and is only read.
        unsafe { call(&raw mut token, signal) }
    };
    Some(match errno {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    })
}

fn find_signal_with_audit_token() -> Option<SignalWithAuditToken> {
    let name = c"proc_signal_with_audittoken";
    #[expect(
        unsafe_code,
        reason = "a call that older systems lack must be looked up by its name"
    )]
    {
        // SAFETY: the name is a C string.
        let symbol: *mut c_void = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        if symbol.is_null() {
            return None;
        }
        // SAFETY: the symbol of this name is the function that libproc.h declares with this type.
        Some(unsafe { std::mem::transmute::<*mut c_void, SignalWithAuditToken>(symbol) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::libproc::{UniqueIdentifier, pid_info};

    #[test]
    fn a_signal_goes_to_one_version_of_a_process() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let identifier: UniqueIdentifier = pid_info(child.id()).unwrap();
        let send = |version| signal_version(child.id(), version, libc::SIGKILL);
        match send(identifier.version.wrapping_sub(1)) {
            Some(sent) => {
                assert_eq!(sent.unwrap_err().raw_os_error(), Some(libc::ESRCH));
                send(identifier.version).unwrap().unwrap();
            }
            None => child.kill().unwrap(),
        }
        child.wait().unwrap();
    }
}
