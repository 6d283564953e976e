//! What is served where. To add a route, write its function in the file of its group and give it a
//! line in [`ROUTES`]; HEAD, OPTIONS, 404 and 405 follow from the table.

pub mod agents;
pub mod arena;
mod data;
pub mod docs;
pub mod echo;
pub mod files;
pub mod hello;
pub mod orders;
pub mod ping;
pub mod plain;

use ringbench_http::{Method, RequestHead};

use crate::reply::Reply;
use crate::request::Request;

/// All routes, the busiest first. Those of one path stand together.
pub static ROUTES: &[Route] = &[
    Route::constant("/", "text/plain", hello::TEXT),
    Route::constant("/plaintext", "text/plain", hello::TEXT),
    Route::get("/json", hello::json),
    Route::constant("/pipeline", "text/plain", arena::PIPELINE),
    Route::get("/baseline11", arena::baseline11),
    Route::post("/baseline11", arena::baseline11),
    Route::get("/json/*", arena::json),
    Route::get("/orders", orders::orders),
    Route::get("/agents", agents::agents),
    Route::get("/docs/small", docs::small),
    Route::get("/docs/big", docs::big),
    Route::post("/ping", ping::ping),
    Route::post("/echo", echo::echo),
    Route::get("/sleep", plain::sleep),
    Route::get("/bytes/*", plain::bytes),
    Route::get("/status/*", plain::status),
    Route::get("/headers", plain::headers),
    Route::post_counted("/upload", plain::upload),
    Route::get("/static/*", files::serve),
];

/// One method on one path.
#[derive(Debug)]
pub struct Route {
    /// The method; a route for GET answers HEAD as well.
    pub method: Method,
    /// The path, which is compared byte by byte; one that ends in `*` stands for all that begin
    /// with what is before it and go on.
    pub path: &'static str,
    /// What is answered.
    pub action: Action,
    /// What becomes of the request's body.
    pub body: Body,
}

/// Where a route's answer comes from.
#[derive(Debug)]
pub enum Action {
    /// Always the same body with status 200: the whole response is prepared once a second.
    Constant {
        /// Its Content-Type.
        content_type: &'static str,
        /// The body.
        body: &'static [u8],
    },
    /// A function makes it from the request.
    Call(fn(&Request<'_>, &mut Reply<'_>)),
}

/// What becomes of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// It means nothing here, and is read past.
    Discarded,
    /// It is kept until it is whole, for the route to see.
    Kept,
    /// Its bytes are counted as they come, and none of them kept, however many there are.
    Counted,
}

impl Route {
    const fn constant(path: &'static str, content_type: &'static str, body: &'static [u8]) -> Self {
        let action = Action::Constant { content_type, body };
        Self { method: Method::Get, path, action, body: Body::Discarded }
    }

    const fn get(path: &'static str, call: fn(&Request<'_>, &mut Reply<'_>)) -> Self {
        Self { method: Method::Get, path, action: Action::Call(call), body: Body::Discarded }
    }

    const fn post(path: &'static str, call: fn(&Request<'_>, &mut Reply<'_>)) -> Self {
        Self { method: Method::Post, path, action: Action::Call(call), body: Body::Kept }
    }

    const fn post_counted(path: &'static str, call: fn(&Request<'_>, &mut Reply<'_>)) -> Self {
        Self { method: Method::Post, path, action: Action::Call(call), body: Body::Counted }
    }

    /// What of `path` the route's own does not fix; `None` if it is not for that path.
    #[inline]
    fn rest_of<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        match self.path.as_bytes() {
            [start @ .., b'*'] => path.strip_prefix(start),
            whole if whole == path => Some(b""),
            _ => None,
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// [`ROUTES`] at this position.
    Route(u8),
    /// OPTIONS: which methods there are.
    Options(Allow),
    /// The path is known, the method is not one of its: 405.
    NotAllowed(Allow),
    /// 404.
    NotFound,
    /// The method is unknown: 501.
    NotImplemented,
}

/// The methods of one path, or of all: the value of an Allow header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allow(Option<u8>);

const _: () = assert!(ROUTES.len() < 256, "routes are numbered by u8");

impl Target {
    /// What a request with this head asks for.
    #[inline]
    pub fn of(head: &RequestHead<'_, '_>) -> Self {
        Self::find(head.method, head.path)
    }

    /// What `method` on `path` asks for.
    #[inline]
    pub fn find(method: Method, path: &[u8]) -> Self {
        // RFC 9110 section 9.3.2: HEAD is GET without the content.
        let wanted = if method == Method::Head { Method::Get } else { method };
        for (position, route) in ROUTES.iter().enumerate() {
            if route.method == wanted && route.rest_of(path).is_some() {
                return Self::Route(position as u8);
            }
        }
        Self::without_route(method, path)
    }

    #[cold]
    fn without_route(method: Method, path: &[u8]) -> Self {
        // RFC 9110 section 15.6.2: a method that is not supported for any resource. CONNECT is for
        // proxies, and its target is no path.
        if matches!(method, Method::Other | Method::Connect) {
            return Self::NotImplemented;
        }
        if method == Method::Options && path == b"*" {
            return Self::Options(Allow(None));
        }
        let known = ROUTES.iter().position(|route| route.rest_of(path).is_some());
        let Some(position) = known else { return Self::NotFound };
        let allow = Allow(Some(position as u8));
        if method == Method::Options { Self::Options(allow) } else { Self::NotAllowed(allow) }
    }

    /// What becomes of the request's body.
    #[inline]
    pub fn body(self) -> Body {
        match self {
            Self::Route(position) => ROUTES[position as usize].body,
            _ => Body::Discarded,
        }
    }

    /// What of `path`, on which this was found, the route does not fix.
    #[inline]
    pub fn rest(self, path: &[u8]) -> &[u8] {
        match self {
            Self::Route(position) => ROUTES[position as usize].rest_of(path).unwrap_or_default(),
            _ => b"",
        }
    }

    /// Answers `request`, whose head asked for this.
    pub fn answer(self, request: &Request<'_>, reply: &mut Reply<'_>) {
        match self {
            Self::Route(position) => match ROUTES[position as usize].action {
                Action::Constant { content_type, body } => {
                    reply.send(200, content_type.as_bytes(), body);
                }
                Action::Call(call) => call(request, reply),
            },
            Self::Options(allow) => reply.options(allow),
            Self::NotAllowed(allow) => reply.not_allowed(allow),
            Self::NotFound => reply.error(404, "there is nothing at this path"),
            Self::NotImplemented => reply.error(501, "this method is not implemented"),
        }
    }
}

impl Allow {
    /// Calls `each` with the name of every method that is allowed.
    pub fn for_each(self, mut each: impl FnMut(&'static str)) {
        let path = self.0.map(|position| ROUTES[position as usize].path);
        let has = |method: Method| {
            ROUTES
                .iter()
                .any(|route| route.method == method && path.is_none_or(|p| p == route.path))
        };
        for (method, answered) in [
            (Method::Get, has(Method::Get)),
            (Method::Head, has(Method::Get)),
            (Method::Post, has(Method::Post)),
            (Method::Options, true),
        ] {
            if answered {
                each(method.as_str());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &str, path: &str) -> Target {
        Target::find(Method::from_bytes(method.as_bytes()), path.as_bytes())
    }

    fn names(target: Target) -> Vec<&'static str> {
        let (Target::Options(allow) | Target::NotAllowed(allow)) = target else {
            panic!("{target:?} has no methods");
        };
        let mut names = Vec::new();
        allow.for_each(|name| names.push(name));
        names
    }

    #[test]
    fn every_route_is_found_and_head_follows_get() {
        for (position, route) in ROUTES.iter().enumerate() {
            let path = route.path.replace('*', "x/y");
            assert_eq!(find(route.method.as_str(), &path), Target::Route(position as u8));
            let head = find("HEAD", &path);
            let has_get = |other: &Route| other.path == route.path && other.method == Method::Get;
            if route.method == Method::Get {
                assert_eq!(head, Target::Route(position as u8));
            } else if ROUTES.iter().any(has_get) {
                assert!(matches!(head, Target::Route(_)));
            } else {
                assert!(matches!(head, Target::NotAllowed(_)));
            }
        }
    }

    #[test]
    fn paths_match_in_full_and_methods_by_case() {
        for path in ["/plain", "/plaintext/", "//", "/Ping", "/jso", "*"] {
            assert_eq!(find("GET", path), Target::NotFound, "{path}");
        }
        assert_eq!(find("get", "/"), Target::NotImplemented);
        assert_eq!(find("BREW", "/nothing"), Target::NotImplemented);
        assert_eq!(find("CONNECT", "localhost:80"), Target::NotImplemented);
    }

    #[test]
    fn known_paths_tell_their_methods() {
        assert_eq!(names(find("DELETE", "/")), ["GET", "HEAD", "OPTIONS"]);
        assert_eq!(names(find("GET", "/ping")), ["POST", "OPTIONS"]);
        assert_eq!(names(find("OPTIONS", "/echo")), ["POST", "OPTIONS"]);
        assert_eq!(names(find("OPTIONS", "*")), ["GET", "HEAD", "POST", "OPTIONS"]);
        assert!(matches!(find("OPTIONS", "/"), Target::Options(_)));
        assert!(matches!(find("PATCH", "/json"), Target::NotAllowed(_)));
        assert_eq!(find("OPTIONS", "/nothing"), Target::NotFound);
    }

    #[test]
    fn a_star_stands_for_the_rest_of_a_path() {
        let target = find("GET", "/bytes/1/2");
        assert_eq!(target.rest(b"/bytes/1/2"), b"1/2");
        assert_eq!(find("GET", "/bytes/").rest(b"/bytes/"), b"");
        assert_eq!(find("GET", "/bytes"), Target::NotFound);
        assert_eq!(find("GET", "/").rest(b"/"), b"");
        assert_eq!(names(find("POST", "/status/404")), ["GET", "HEAD", "OPTIONS"]);
    }

    #[test]
    fn only_posts_see_their_body() {
        assert_eq!(find("POST", "/echo").body(), Body::Kept);
        assert_eq!(find("POST", "/upload").body(), Body::Counted);
        assert_eq!(find("GET", "/").body(), Body::Discarded);
        assert_eq!(find("POST", "/nothing").body(), Body::Discarded);
    }
}
