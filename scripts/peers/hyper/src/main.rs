//! hyper 1.x as a peer of ringserve.
//!
//! Tuned as hyper's users do for such tests: a current-thread tokio runtime and an SO_REUSEPORT
//! listener of its own on each thread, so that no connection ever changes threads; answers to
//! pipelined requests flushed together (`pipeline_flush`); no timeouts, so no timers; mimalloc; fat
//! LTO. Fair because it parses and answers every request through hyper's public interface, with the
//! same status, body, Content-Type and Date as the others.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};

#[path = "../../args.rs"]
mod args;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/" {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    }
    let mut response = Response::new(Full::new(Bytes::from_static(args::BODY.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn listener(args: &args::Args) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(args.listen), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(args.threads > 1)?;
    socket.set_nonblocking(true)?;
    socket.bind(&args.listen.into())?;
    socket.listen(i32::from(args::BACKLOG))?;
    Ok(socket.into())
}

async fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of descriptors, or gone before it was accepted: the next may do better.
            Err(error) => {
                eprintln!("accept: {error}");
                tokio::task::yield_now().await;
                continue;
            }
        };
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(async move {
            // An error here is a client that went away.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
    }
}

fn serve_on_this_thread(listener: std::net::TcpListener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve(listener))
}

fn main() -> io::Result<()> {
    let args = args::parse();
    let listeners = (0..args.threads).map(|_| listener(&args)).collect::<io::Result<Vec<_>>>()?;
    args::say_ready("peer-hyper", &args);
    let threads: Vec<_> = listeners
        .into_iter()
        .map(|listener| std::thread::spawn(move || serve_on_this_thread(listener)))
        .collect();
    for thread in threads {
        thread.join().expect("a thread that does not panic")?;
    }
    Ok(())
}
