//! What a shard keeps of its files: bounded in number and in memory. The second-chance algorithm
//! decides what has to go, as it needs no more than a mark when something is used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::root::Entry;

/// The most paths that are kept.
const MAX_ENTRIES: usize = 1024;

/// The most memory that is kept, as [`Entry::cost_bytes`] counts it.
const MAX_COST_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Cache {
    /// Where each path is in `slots`.
    places: HashMap<Arc<[u8]>, usize>,
    slots: Vec<Slot>,
    /// The next to be looked at when something has to go.
    hand: usize,
    cost_bytes: usize,
    max_entries: usize,
    max_cost_bytes: usize,
}

#[derive(Debug)]
struct Slot {
    path: Arc<[u8]>,
    entry: Entry,
    /// Since the hand came by.
    used: bool,
}

impl Default for Cache {
    fn default() -> Self {
        Self::with_bounds(MAX_ENTRIES, MAX_COST_BYTES)
    }
}

impl Cache {
    fn with_bounds(max_entries: usize, max_cost_bytes: usize) -> Self {
        Self {
            places: HashMap::new(),
            slots: Vec::new(),
            hand: 0,
            cost_bytes: 0,
            max_entries,
            max_cost_bytes,
        }
    }

    /// The place of what is kept for `path`. It is valid until something is inserted or removed.
    pub(super) fn find(&mut self, path: &[u8]) -> Option<usize> {
        let place = *self.places.get(path)?;
        self.slots[place].used = true;
        Some(place)
    }

    /// What is at a place.
    pub(super) fn get(&self, place: usize) -> &Entry {
        &self.slots[place].entry
    }

    /// Keeps an entry for a path that has none. Others go if need be.
    pub(super) fn insert(&mut self, path: &[u8], entry: Entry) -> &Entry {
        debug_assert!(!self.places.contains_key(path), "places are unique");
        let cost_bytes = entry.cost_bytes();
        while !self.slots.is_empty()
            && (self.slots.len() >= self.max_entries
                || self.cost_bytes + cost_bytes > self.max_cost_bytes)
        {
            self.evict();
        }
        let path: Arc<[u8]> = path.into();
        let place = self.slots.len();
        self.places.insert(Arc::clone(&path), place);
        self.cost_bytes += cost_bytes;
        self.slots.push(Slot { path, entry, used: false });
        &self.slots[place].entry
    }

    /// Keeps another entry for the path that has this place.
    pub(super) fn replace(&mut self, place: usize, entry: Entry) -> &Entry {
        if entry.cost_bytes() == self.slots[place].entry.cost_bytes() {
            self.slots[place].entry = entry;
            return &self.slots[place].entry;
        }
        let path = self.remove(place);
        self.insert(&path, entry)
    }

    /// Lets what is kept hold until `recheck`.
    pub(super) fn put_off(&mut self, place: usize, recheck: Instant) -> &Entry {
        self.slots[place].entry.recheck = recheck;
        &self.slots[place].entry
    }

    /// Forgets what is at a place; says for which path it was.
    pub(super) fn remove(&mut self, place: usize) -> Arc<[u8]> {
        let Slot { path, entry, .. } = self.slots.swap_remove(place);
        self.places.remove(&path);
        self.cost_bytes -= entry.cost_bytes();
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(Arc::clone(&moved.path), place);
        }
        path
    }

    /// Forgets the first one that was not used since the hand last came by.
    fn evict(&mut self) {
        loop {
            self.hand %= self.slots.len();
            if !std::mem::take(&mut self.slots[self.hand].used) {
                self.remove(self.hand);
                return;
            }
            self.hand += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::files::root::Representation;

    fn entry(len: usize) -> Entry {
        let plain = Representation::of_bytes(&vec![b'x'; len], "\"\"", None, true);
        Entry {
            content_type: "text/plain",
            plain: Arc::new(plain),
            brotli: None,
            gzip: None,
            recheck: Instant::now(),
        }
    }

    fn check(cache: &Cache) {
        assert_eq!(cache.places.len(), cache.slots.len());
        let costs: usize = cache.slots.iter().map(|slot| slot.entry.cost_bytes()).sum();
        assert_eq!(cache.cost_bytes, costs);
        for (place, slot) in cache.slots.iter().enumerate() {
            assert_eq!(cache.places[&slot.path], place);
        }
        assert!(cache.slots.len() <= cache.max_entries);
        assert!(cache.cost_bytes <= cache.max_cost_bytes);
    }

    #[test]
    fn what_is_used_stays_and_the_number_is_bounded() {
        let mut cache = Cache::with_bounds(4, usize::MAX);
        for number in 0..100u8 {
            cache.insert(&[b'n', number], entry(1));
            if number == 0 {
                cache.insert(b"hot", entry(2));
            }
            assert!(cache.find(b"hot").is_some(), "after {number}");
            check(&cache);
        }
        assert_eq!(cache.slots.len(), 4);
        assert!(cache.find(b"n\0").is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let one = entry(1000).cost_bytes();
        let mut cache = Cache::with_bounds(100, 3 * one);
        for number in 0..50u8 {
            cache.insert(&[number], entry(1000));
            check(&cache);
        }
        assert_eq!(cache.slots.len(), 3);
        // One that is longer makes two go.
        cache.insert(b"long", entry(1500));
        check(&cache);
        assert_eq!(cache.slots.len(), 2);
    }

    #[test]
    fn entries_are_replaced_and_removed() {
        let mut cache = Cache::with_bounds(10, usize::MAX);
        for number in 0..5u8 {
            cache.insert(&[number], entry(usize::from(number)));
        }
        for (number, len) in [(0, 0), (0, 77), (2, 5), (4, 4)] {
            let place = cache.find(&[number]).unwrap();
            assert_eq!(cache.replace(place, entry(len)).plain.length, len as u64);
            check(&cache);
        }
        for number in [4, 0, 2] {
            let place = cache.find(&[number]).unwrap();
            assert_eq!(*cache.remove(place), [number]);
            assert!(cache.find(&[number]).is_none());
            check(&cache);
        }
        let left = [1, 3].map(|number| cache.find(&[number]).map(|at| cache.get(at).plain.length));
        assert_eq!(left, [Some(1), Some(3)]);
    }

    #[test]
    fn the_bounds_hold_whatever_is_done() {
        let mut cache = Cache::with_bounds(8, 8 * entry(50).cost_bytes());
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (path, len) = ([(seed >> 33) as u8 % 16], (seed >> 45) as usize % 100);
            match (cache.find(&path), (seed >> 60) % 4) {
                (None, _) => {
                    cache.insert(&path, entry(len));
                }
                (Some(at), 0) => {
                    cache.remove(at);
                }
                (Some(at), 1) => {
                    cache.replace(at, entry(len));
                }
                _ => {}
            }
            check(&cache);
        }
    }
}
