//! Addresses as scripts see them: `wrk.lookup` gives them, `wrk.connect` tries them, and
//! `thread.addr` is one.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use dns_lookup::{AddrInfoHints, SockType, getaddrinfo};
use mlua::{Lua, MetaMethod, Table, UserData, UserDataMethods, UserDataRef};

/// How long `wrk.connect` tries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An address, as a value in Lua.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addr(pub(super) SocketAddr);

impl UserData for Addr {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Without brackets around IPv6 addresses, as in wrk.
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("{}:{}", this.0.ip(), this.0.port()))
        });
    }
}

/// `wrk.lookup(host, service)`: all addresses, in the resolver's order. The service is a port or a
/// name of `/etc/services`.
pub(super) fn lookup(
    lua: &Lua,
    (host, service): (Option<String>, Option<String>),
) -> mlua::Result<Table> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(host.as_deref(), service.as_deref(), Some(hints));
    let addresses = found.map_err(|error| {
        let (host, service) = (host.unwrap_or_default(), service.unwrap_or_default());
        // The system's errors add their number behind the text, which says nothing more.
        let why = std::io::Error::from(error);
        mlua::Error::runtime(format!("unable to resolve {host}:{service}: {why}"))
    })?;
    let table = lua.create_table()?;
    for address in addresses {
        table.raw_push(Addr(address?.sockaddr))?;
    }
    Ok(table)
}

/// `wrk.connect(addr)`: whether a connection can be opened.
#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "called by Lua")]
pub(super) fn connect(_: &Lua, address: UserDataRef<Addr>) -> mlua::Result<bool> {
    Ok(TcpStream::connect_timeout(&address.0, CONNECT_TIMEOUT).is_ok())
}
