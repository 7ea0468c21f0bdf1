//! The routes of the proxy: a TOML file of `[[route]]` tables.

use std::path::Path;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::HeaderName;
use relying_party::TokenRequest;
use relying_party::web::settings::base_url;
use serde::Deserialize;
use url::Url;

use crate::headers::forwardable;

/// The default time for an upstream to begin its answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A route of the proxy.
#[derive(Debug, Clone)]
pub struct Route {
    prefix: String,
    upstream: Url,
    /// The access token that is attached.
    pub(crate) token_request: TokenRequest,
    methods: Vec<Method>,
    /// Headers of the browser that go on besides those that always do.
    pub(crate) forward_headers: Vec<HeaderName>,
    /// The time for the upstream to begin its answer. The answer itself is not limited.
    pub(crate) timeout: Duration,
}

/// All of them; the longest prefix wins.
#[derive(Debug, Clone)]
pub struct Routes(Vec<Route>);

/// The upstream of a request.
#[derive(Debug)]
pub(crate) struct Target<'r> {
    pub(crate) route: &'r Route,
    pub(crate) url: Url,
}

/// Error of the search for a route.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    /// Its path could be read in two ways.
    NotPlain,
    /// There is no such route.
    Unknown,
    /// The route is not for this method, but for these.
    Method(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    #[serde(default)]
    route: Vec<RouteForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteForm {
    prefix: String,
    upstream: String,
    audience: Option<String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    forward_headers: Vec<String>,
    #[serde(default, with = "humantime_serde")]
    timeout: Option<Duration>,
}

impl Routes {
    /// `/api/notes`, as the demo has it.
    pub fn to_notes(api_url: &str) -> Result<Self, String> {
        Self::parse(&format!("[[route]]\nprefix = '/api/notes'\nupstream = '{api_url}/notes'\n"))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        text.and_then(|text| Self::parse(&text)).map_err(|why| format!("{}: {why}", file.display()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: FileForm = toml::from_str(text).map_err(|error| error.to_string())?;
        let routes = file.route.into_iter().map(Route::new).collect::<Result<Vec<_>, _>>()?;
        for (at, route) in routes.iter().enumerate() {
            if routes[..at].iter().any(|earlier| earlier.prefix == route.prefix) {
                return Err(format!("there are two routes for `{}`", route.prefix));
            }
        }
        if routes.is_empty() {
            return Err("there is no [[route]]".to_owned());
        }
        Ok(Self(routes))
    }

    /// The upstream URL of a GET of this path, at or below its route's upstream; `None` if there is no route.
    pub fn url_for(&self, path: &str, query: Option<&str>) -> Option<Url> {
        self.find(&Method::GET, path, query).ok().map(|target| target.url)
    }

    /// Headers that any of the routes forwards besides the usual ones.
    pub(crate) fn forward_headers(&self) -> Vec<HeaderName> {
        self.0.iter().flat_map(|route| route.forward_headers.iter().cloned()).collect()
    }

    pub(crate) fn find(
        &self,
        method: &Method,
        path: &str,
        query: Option<&str>,
    ) -> Result<Target<'_>, RouteError> {
        if !is_plain(path) {
            return Err(RouteError::NotPlain);
        }
        let covers = |route: &&Route| {
            let rest = path.strip_prefix(&route.prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let found = self.0.iter().filter(covers).max_by_key(|route| route.prefix.len());
        let route = found.ok_or(RouteError::Unknown)?;
        if !route.methods.is_empty() && !route.methods.contains(method) {
            let names: Vec<&str> = route.methods.iter().map(Method::as_str).collect();
            return Err(RouteError::Method(names.join(", ")));
        }
        let mut url = route.upstream.clone();
        let base = route.upstream.path().trim_end_matches('/');
        let whole = format!("{base}{}", &path[route.prefix.len()..]);
        url.set_path(&whole);
        url.set_query(query);
        // What the URL's own rules would turn into another path is not sent.
        if url.path() != whole && !(whole.is_empty() && url.path() == "/") {
            return Err(RouteError::NotPlain);
        }
        Ok(Target { route, url })
    }
}

impl Route {
    fn new(form: RouteForm) -> Result<Self, String> {
        let prefix = form.prefix.trim_end_matches('/').to_owned();
        if !prefix.starts_with("/api/") || !is_plain(&prefix) {
            return Err(format!("prefix: `{}` is not below /api/", form.prefix));
        }
        let mut methods = Vec::new();
        for name in &form.methods {
            let method = Method::from_bytes(name.as_bytes())
                .ok()
                .filter(|_| name.chars().all(|c| c.is_ascii_uppercase()))
                .ok_or_else(|| format!("methods: `{name}` is no method"))?;
            methods.push(method);
        }
        if let Some(scope) =
            form.scopes.iter().find(|scope| scope.is_empty() || scope.contains(' '))
        {
            return Err(format!("scopes: `{scope}` is not one scope"));
        }
        let forward_headers = form.forward_headers.iter().map(|name| forwardable(name));
        let forward_headers = forward_headers
            .collect::<Result<_, _>>()
            .map_err(|why| format!("forward_headers: {why}"))?;
        Ok(Self {
            prefix,
            forward_headers,
            upstream: base_url(&form.upstream).map_err(|why| format!("upstream: {why}"))?,
            token_request: TokenRequest {
                resource: form.audience,
                scope: (!form.scopes.is_empty()).then(|| form.scopes.join(" ")),
                // The page has no token that it could bind.
                dpop_jkt: None,
            },
            methods,
            timeout: form.timeout.unwrap_or(DEFAULT_TIMEOUT),
        })
    }
}

/// Whether no reader of a path could take it for another one.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let tricks = ["%2e", "%2f", "%5c", "%00", "%25", "\\", "//", ";", "%0d", "%0a", "?", "#"];
    path.starts_with('/')
        && !tricks.iter().any(|trick| lower.contains(trick))
        && !path.split('/').any(|segment| segment == "." || segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[route]]
        prefix = "/api/notes"
        upstream = "http://notes:1/v1/notes/"

        [[route]]
        prefix = "/api/notes/admin/"
        upstream = "https://admin.internal"
        audience = "admin"
        scopes = ["admin:read", "admin:write"]
        methods = ["GET", "POST"]
        timeout = "5s"
    "#;

    fn target(path: &str, query: Option<&str>) -> Result<String, RouteError> {
        let routes = Routes::parse(FILE).unwrap();
        routes.find(&Method::GET, path, query).map(|target| target.url.into())
    }

    #[test]
    fn a_request_goes_where_the_longest_prefix_says() {
        for (path, query, url) in [
            ("/api/notes", None, "http://notes:1/v1/notes"),
            ("/api/notes/", None, "http://notes:1/v1/notes/"),
            ("/api/notes/7", Some("a=b&c=%2e%2e"), "http://notes:1/v1/notes/7?a=b&c=%2e%2e"),
            ("/api/notes/adm%C3%AFn", None, "http://notes:1/v1/notes/adm%C3%AFn"),
            ("/api/notes/admin", None, "https://admin.internal/"),
            ("/api/notes/admin/users", None, "https://admin.internal/users"),
        ] {
            assert_eq!(target(path, query).as_deref(), Ok(url));
        }
        assert_eq!(target("/api/notesx", None), Err(RouteError::Unknown));
        assert_eq!(target("/api/other", None), Err(RouteError::Unknown));
        let routes = Routes::parse(FILE).unwrap();
        let refused = routes.find(&Method::DELETE, "/api/notes/admin/1", None).unwrap_err();
        assert_eq!(refused, RouteError::Method("GET, POST".to_owned()));
        let admin = routes.find(&Method::GET, "/api/notes/admin", None).unwrap().route;
        assert_eq!(admin.token_request.resource.as_deref(), Some("admin"));
        assert_eq!(admin.token_request.scope.as_deref(), Some("admin:read admin:write"));
        assert_eq!(admin.timeout, Duration::from_secs(5));
    }

    #[test]
    fn tricky_paths_are_refused() {
        for path in [
            "/api/notes/../admin",
            "/api/notes/..",
            "/api/notes/%2e%2e/admin",
            "/api/notes/%2E%2e/admin",
            "/api/notes/..%2fadmin",
            "/api/notes//admin",
            "/api/notes/\\admin",
            "/api/notes/%5cadmin",
            "/api/notes/%252e",
            "/api/notes;x",
            "/api/notes/%00",
            "/api/notes/a\tb",
            "http://evil/api/notes",
        ] {
            assert_eq!(target(path, None), Err(RouteError::NotPlain), "{path}");
        }
        assert!(is_plain("/api/notes/0190-a.b_c~d"));
    }

    #[test]
    fn a_file_says_what_is_wrong_with_it() {
        let route = |more: &str| format!("[[route]]\nprefix='/api/a'\nupstream='http://a'\n{more}");
        for (text, part) in [
            (String::new(), "no [[route]]"),
            (route("") + &route(""), "two routes for `/api/a`"),
            (route("colour='red'"), "colour"),
            (route("methods=['get']"), "`get` is no method"),
            (route("scopes=['a b']"), "`a b` is not one scope"),
            (route("timeout='soon'"), "timeout"),
            (route("forward_headers=['X-Auth-Subject']"), "`X-Auth-Subject` may not come"),
            ("[[route]]\nprefix='/auth/x'\nupstream='http://a'".to_owned(), "not below /api/"),
            ("[[route]]\nprefix='/api/../x'\nupstream='http://a'".to_owned(), "not below /api/"),
            ("[[route]]\nprefix='/api/a'\nupstream='ftp://a'".to_owned(), "must be http or https"),
            ("[[route]]\nprefix='/api/a'\nupstream='http://a?b'".to_owned(), "without query"),
            ("[[route]]\nprefix='/api/a'".to_owned(), "upstream"),
        ] {
            let error = Routes::parse(&text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
