//! Output that the kernel reads in place (`SEND_ZC`): it is done with a send long before it is done
//! with the memory, which may be wanted again for a retransmission.
//!
//! A loan begins with the first send of what is in flight of a connection's backlog, and covers the
//! sends of the rest if the socket takes it in parts. While sends go on, the memory is the
//! backlog's. When they are over, for good or bad, it moves here, and is freed with the last
//! notification; the connection may be gone by then.

use crate::ConnId;

/// "No loan".
const NO_LOAN: u32 = u32::MAX;

/// One stretch of memory.
struct Loan {
    conn: ConnId,
    /// Empty while the memory is the backlog's.
    bytes: Vec<u8>,
    /// Completions that are to come: results and notifications.
    awaited: u32,
    /// No more sends will be made of it.
    over: bool,
}

/// All memory of a shard that is lent to the kernel.
#[derive(Default)]
pub(super) struct Loans {
    entries: Vec<Loan>,
    free: Vec<u32>,
    /// The loan that a connection's backlog is under, by the connection's index.
    of_conn: Vec<u32>,
}

impl Loans {
    /// A send of `conn`'s backlog is about to be submitted. The loan's number, for its token.
    pub(super) fn lend(&mut self, conn: ConnId) -> u32 {
        if self.of_conn.len() <= conn.index() {
            self.of_conn.resize(conn.index() + 1, NO_LOAN);
        }
        let number = &mut self.of_conn[conn.index()];
        if *number == NO_LOAN {
            let loan = Loan { conn, bytes: Vec::new(), awaited: 0, over: false };
            if let Some(free) = self.free.pop() {
                self.entries[free as usize] = loan;
                *number = free;
            } else {
                *number = self.entries.len() as u32;
                self.entries.push(loan);
            }
        }
        // The result and the notification.
        self.entries[*number as usize].awaited += 2;
        *number
    }

    /// A send has its result, after which there may be `more`: the notification. Whose it is.
    pub(super) fn sent(&mut self, number: u32, more: bool) -> ConnId {
        let loan = &mut self.entries[number as usize];
        loan.awaited -= if more { 1 } else { 2 };
        loan.conn
    }

    /// Whether `conn`'s backlog is under a loan.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.of_conn.get(conn.index()).is_some_and(|&number| number != NO_LOAN)
    }

    /// No more sends will be made of `conn`'s `bytes`. To be called while a loan of `conn` is on.
    pub(super) fn end(&mut self, conn: ConnId, bytes: Vec<u8>) {
        let number = std::mem::replace(&mut self.of_conn[conn.index()], NO_LOAN);
        let loan = &mut self.entries[number as usize];
        (loan.bytes, loan.over) = (bytes, true);
        self.free_if_done(number);
    }

    /// A notification: the kernel is done with the memory of one send.
    pub(super) fn returned(&mut self, number: u32) {
        self.entries[number as usize].awaited -= 1;
        self.free_if_done(number);
    }

    fn free_if_done(&mut self, number: u32) {
        let loan = &mut self.entries[number as usize];
        if loan.over && loan.awaited == 0 {
            loan.bytes = Vec::new();
            self.free.push(number);
        }
    }

    /// Whether all memory is back.
    pub(super) fn is_empty(&self) -> bool {
        self.free.len() == self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 7 }
    }

    #[test]
    fn memory_is_kept_until_the_last_notification() {
        let mut loans = Loans::default();
        let number = loans.lend(conn(3));
        assert!(loans.has(conn(3)) && !loans.has(conn(2)) && !loans.has(conn(4)));
        assert_eq!(loans.sent(number, true), conn(3));
        // The rest, of which the first notification comes before the result.
        assert_eq!(loans.lend(conn(3)), number);
        loans.returned(number);
        loans.sent(number, true);
        loans.end(conn(3), vec![1; 10]);
        assert!(!loans.has(conn(3)) && !loans.is_empty());
        assert_eq!(loans.entries[number as usize].bytes.len(), 10);
        loans.returned(number);
        assert!(loans.is_empty());
        assert_eq!(loans.entries[number as usize].bytes.capacity(), 0);
    }

    #[test]
    fn a_connection_has_a_new_loan_while_the_last_is_not_back() {
        let mut loans = Loans::default();
        let first = loans.lend(conn(0));
        loans.sent(first, true);
        loans.end(conn(0), vec![1]);
        let second = loans.lend(conn(0));
        assert_ne!(first, second);
        // Nothing was lent: a failure without a notification.
        loans.sent(second, false);
        loans.end(conn(0), vec![2]);
        assert!(!loans.is_empty());
        loans.returned(first);
        assert!(loans.is_empty());
        assert_eq!(loans.lend(conn(9)), first, "numbers are used again");
    }
}
