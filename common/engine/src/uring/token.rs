//! The 64 bits that travel with a submission and come back with its completions:
//! 4 bits of kind, 28 of generation (or batch number), 32 of index.

use crate::ConnId;
use crate::slots::GENERATION_MASK;

/// Which operation a completion belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Nobody cares about the outcome.
    Ignore = 0,
    /// The shard's eventfd became readable.
    Wake,
    /// Index: the listener.
    Accept,
    /// A receive of a connection.
    Receive,
    /// A send out of an outbox that did not succeed in full. Generation: the batch; index: the
    /// segment.
    Send,
    /// The send of a connection's backlog.
    SendRest,
    /// The creation of a connection's socket.
    Socket,
    /// A connection attempt.
    Connect,
    /// The ring's timeout operation.
    Bell,
    /// The half-close of a connection.
    Shutdown,
    /// A send of memory that is lent to the kernel. Index: the loan.
    SendLent,
    /// A connection's socket gets its source address.
    Bind,
    /// There is no way to make a connection.
    NoRoute,
}

/// A decoded `user_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// 28 bits.
    pub(crate) generation: u32,
    pub(crate) index: u32,
}

impl Token {
    pub(crate) const IGNORE: u64 = 0;

    #[inline]
    pub(crate) fn conn(kind: Kind, conn: ConnId) -> u64 {
        Self { kind, generation: conn.generation, index: conn.index }.encode()
    }

    #[inline]
    pub(crate) fn encode(self) -> u64 {
        debug_assert!(self.generation <= GENERATION_MASK);
        (self.kind as u64) << 60 | u64::from(self.generation) << 32 | u64::from(self.index)
    }

    #[inline]
    pub(crate) fn decode(bits: u64) -> Self {
        let kind = match bits >> 60 {
            1 => Kind::Wake,
            2 => Kind::Accept,
            3 => Kind::Receive,
            4 => Kind::Send,
            5 => Kind::SendRest,
            6 => Kind::Socket,
            7 => Kind::Connect,
            8 => Kind::Bell,
            9 => Kind::Shutdown,
            10 => Kind::SendLent,
            11 => Kind::Bind,
            12 => Kind::NoRoute,
            _ => Kind::Ignore,
        };
        Self { kind, generation: (bits >> 32) as u32 & GENERATION_MASK, index: bits as u32 }
    }

    /// The connection, for the kinds that name one.
    #[inline]
    pub(crate) fn conn_id(self) -> ConnId {
        ConnId { index: self.index, generation: self.generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (number, kind) in [
            Kind::Wake,
            Kind::Accept,
            Kind::Receive,
            Kind::Send,
            Kind::SendRest,
            Kind::Socket,
            Kind::Connect,
            Kind::Bell,
            Kind::Shutdown,
            Kind::SendLent,
            Kind::Bind,
            Kind::NoRoute,
        ]
        .into_iter()
        .enumerate()
        {
            let token =
                Token { kind, generation: GENERATION_MASK - number as u32, index: u32::MAX };
            assert_eq!(Token::decode(token.encode()), token);
        }
        assert_eq!(Token::decode(Token::IGNORE).kind, Kind::Ignore);
    }
}
