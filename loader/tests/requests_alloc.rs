//! Writing the requests of a mix allocates nothing once there is room for the longest.

use std::alloc::System;
use std::path::Path;
use std::sync::Arc;

use ringload::requests::{Mix, MixState, RequestFile};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn requests_of_a_mix_do_not_allocate() {
    for name in ["shop.toml", "login.toml", "upload.toml", "paths.toml", "two.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests").join(name);
        let file = RequestFile::read(&path).expect("an example");
        let mix = Mix::new(&file, &"http://h".parse().expect("a URL"), &[]).expect("a mix");
        let mut out = Vec::with_capacity(mix.request_len_max());
        let mut state = MixState::new(Arc::new(mix), 0, 1, 1);
        let mut used = || {
            let region = Region::new(ALLOCATOR);
            let mut written = 0;
            for _ in 0..10_000 {
                out.clear();
                state.next(&mut out);
                written += out.len();
            }
            let used = region.change();
            assert!(written > 10_000 * "GET / HTTP/1.1\r\nHost: h\r\n\r\n".len());
            used.allocations + used.reallocations
        };
        // The thread that runs the tests may have something to do meanwhile, but not each time.
        let fewest = (0..5).map(|_| used()).min();
        assert_eq!(fewest, Some(0), "{name}");
    }
}
