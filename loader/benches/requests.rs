//! What it costs to write a request of a mix.
#![allow(missing_docs, reason = "criterion's macros make a public function")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use ringload::requests::{Mix, MixState, RequestFile};

/// The requests of a file, and room for the longest.
fn state(file: &RequestFile) -> (MixState, Vec<u8>) {
    let url = "http://127.0.0.1:8080/".parse().expect("a URL");
    let mix = Mix::new(file, &url, &[]).expect("a mix");
    let out = Vec::with_capacity(mix.request_len_max());
    (MixState::new(Arc::new(mix), 0, 1, 1), out)
}

fn example(name: &str) -> RequestFile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests");
    RequestFile::read(&folder.join(name)).expect("an example")
}

fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    for name in ["two.toml", "shop.toml", "paths.toml", "login.toml"] {
        let (mut state, mut out) = state(&example(name));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(state.next(&mut out));
                black_box(out.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
