//! The names of the kernel's error numbers.

/// The name of an error number, as `errno(3)` has it; `None` for one that no socket, file or ring
/// gives. For reports that count errors by kind: the texts of the system are long, and say the
/// same of different numbers.
pub fn errno_name(raw: i32) -> Option<&'static str> {
    NAMES.iter().find(|&&(number, _)| number == raw).map(|&(_, name)| name)
}

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// In the order of the numbers on most machines. What is another's alias (`EWOULDBLOCK` of
/// `EAGAIN`, `EDEADLOCK`, `ENOTSUP` of `EOPNOTSUPP`) goes by the other's name.
const NAMES: &[(i32, &str)] = names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY EFBIG ENOSPC ESPIPE EROFS EPIPE ERANGE
    EDEADLK ENAMETOOLONG ENOLCK ENOSYS ELOOP ETIME EREMOTEIO EPROTO EBADMSG EOVERFLOW EBADFD EILSEQ
    EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT
    EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ENETRESET
    ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ECONNREFUSED
    EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED EBADR
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_can_fail_with_has_a_name() {
        for (raw, name) in [
            (libc::ECONNREFUSED, "ECONNREFUSED"),
            (libc::ECONNRESET, "ECONNRESET"),
            (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
            (libc::ETIMEDOUT, "ETIMEDOUT"),
            (libc::EPIPE, "EPIPE"),
            (libc::EHOSTUNREACH, "EHOSTUNREACH"),
            (libc::ENETUNREACH, "ENETUNREACH"),
            (libc::EMFILE, "EMFILE"),
            (libc::ENFILE, "ENFILE"),
            (libc::ENOBUFS, "ENOBUFS"),
            (libc::ENOENT, "ENOENT"),
            (libc::EWOULDBLOCK, "EAGAIN"),
            (libc::ECANCELED, "ECANCELED"),
        ] {
            assert_eq!(errno_name(raw), Some(name));
        }
    }

    #[test]
    fn a_number_has_one_name() {
        for (position, (number, name)) in NAMES.iter().enumerate() {
            assert!(NAMES[..position].iter().all(|(other, _)| other != number), "{name}");
            assert_eq!(errno_name(*number), Some(*name));
        }
        // No error has such a number, whatever the sign that the kernel gave it.
        for raw in [0, -libc::EPIPE, 100_000] {
            assert_eq!(errno_name(raw), None);
        }
    }
}
