//! How many connections may wait in the accept queue of a local server, through `sock_diag(7)`.

use std::io;
use std::net::SocketAddr;

use netlink_packet_sock_diag::inet::StateFlags;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SendFlags};

use super::find::{Listener, chosen, is_local};
use super::tcp::{BUFFER_LEN, any, open, read_answers, request};

/// What the accept queue at a TCP address holds; of several that share the port, the shortest.
/// `None` where the address is not of this machine, nobody listens, or the kernel does not tell.
pub fn accept_queue(address: SocketAddr) -> Option<u32> {
    if !is_local(address) {
        return None;
    }
    let mut found = Vec::new();
    // A socket of IPv6 may take connections of IPv4, too. Without IPv6 there is nothing to see.
    for family in ["0.0.0.0:0", "[::]:0"] {
        let family: SocketAddr = family.parse().ok()?;
        _ = listening(family, address.port(), &mut found);
    }
    let listeners: Vec<Listener> = found.iter().map(|(listener, _)| *listener).collect();
    let chosen = chosen(&listeners, address);
    let queues = found.iter().filter(|(listener, _)| chosen.contains(&listener.inode));
    queues.map(|(_, queue)| *queue).min()
}

/// All that listen at a port, each with what its queue holds.
fn listening(family: SocketAddr, port: u16, found: &mut Vec<(Listener, u32)>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_LEN];
    let socket = open()?;
    let mut socket_id = any(family);
    socket_id.source_port = port;
    let request = request(socket_id, family, StateFlags::LISTEN);
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &request, SendFlags::empty(), &kernel)?;
    loop {
        // The kernel answers before it returns from the call.
        let (len, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        let more = read_answers(&buffer[..len], |response| {
            let header = &response.header;
            let address = SocketAddr::new(header.socket_id.source_address, port);
            let listener = Listener { address, inode: header.inode.into() };
            // Of a socket that listens this is what may wait, not what waits to be sent.
            found.push((listener, header.send_queue));
        })?;
        if !more {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_queue_of_a_listener() {
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            // A container may be without IPv6.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let mut address = listener.local_addr().unwrap();
            if address.ip().is_unspecified() {
                address.set_ip([127, 0, 0, 9].into());
            }
            for queue in [3, 77] {
                rustix::net::listen(&listener, queue).unwrap();
                // Where the kernel has no `inet_diag` there is nothing to see.
                let found = accept_queue(address);
                assert!(found.is_none_or(|found| found == queue as u32), "{address}: {found:?}");
            }
            drop(listener);
            assert_eq!(accept_queue(address), None, "{address}: nobody listens any more");
        }
    }

    #[test]
    fn a_listener_at_the_same_port_is_not_a_server_elsewhere() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // An address for documentation, RFC 5737.
        assert_eq!(accept_queue(SocketAddr::new([192, 0, 2, 1].into(), port)), None);
    }
}
