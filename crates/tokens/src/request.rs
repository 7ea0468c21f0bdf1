use std::fmt;

/// The parts of an HTTP request that a token check may read, borrowed from the request.
///
/// Make one with `RequestParts::from(&request)` for an actix-web or `http` request (features `actix`
/// and `tower`), or with [`RequestParts::new`] for anything else.
///
/// ```
/// use tokens::{Headers, RequestParts};
///
/// struct Gateway(Vec<(String, String)>);
///
/// impl Headers for Gateway {
///     fn value(&self, name: &str, index: usize) -> Option<&[u8]> {
///         let same_name = |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
///         self.0.iter().filter(same_name).nth(index).map(|(_, value)| value.as_bytes())
///     }
/// }
///
/// let headers = Gateway(vec![("Host".to_owned(), "notes.example".to_owned())]);
/// let parts = RequestParts::new("GET", "https://notes.example/notes?limit=5", &headers);
/// assert_eq!(parts.url().as_deref(), Some("https://notes.example/notes?limit=5"));
/// ```
#[derive(Clone, Copy)]
pub struct RequestParts<'r> {
    method: &'r str,
    scheme: Option<&'r str>,
    authority: Option<&'r str>,
    path_and_query: &'r str,
    headers: &'r dyn Headers,
}

/// Read access to the headers of a request, whatever type holds them.
///
/// Implemented for actix-web's `HeaderMap` (feature `actix`) and for `http::HeaderMap` (feature
/// `tower`). Implementations copy nothing.
pub trait Headers: Sync {
    /// The value of the header field line number `index` (from 0) among those named `name`, in the
    /// order received. Names compare without case (RFC 9110 §5.1).
    ///
    /// A value that lists several items separated by commas is one value.
    fn value(&self, name: &str, index: usize) -> Option<&[u8]>;
}

impl<'r> RequestParts<'r> {
    /// Parts of a request for `url`: the full URL that the client used
    /// (`https://notes.example/notes?limit=5`), or the path and query alone if no more is known.
    ///
    /// `method` is case-sensitive, as in RFC 9110 §9.1.
    pub fn new(method: &'r str, url: &'r str, headers: &'r dyn Headers) -> Self {
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) if !scheme.contains(['/', '?']) => (Some(scheme), rest),
            _ => (None, url),
        };
        let (authority, path_and_query) = match scheme {
            Some(_) => {
                let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Some(authority), path)
            }
            None => (None, rest),
        };
        Self { method, scheme, authority, path_and_query, headers }
    }

    /// Sets scheme and authority (`https`, `notes.example`) to those that the client used.
    ///
    /// Needed behind a proxy that terminates TLS or rewrites `Host`; headers such as
    /// `X-Forwarded-Proto` are not read here.
    #[must_use]
    pub fn with_origin(mut self, scheme: &'r str, authority: &'r str) -> Self {
        self.scheme = Some(scheme);
        self.authority = Some(authority);
        self
    }

    /// The request method.
    pub fn method(&self) -> &'r str {
        self.method
    }

    /// The path of the URL, without its query.
    #[cfg(all(feature = "dpop", feature = "fetch"))]
    pub(crate) fn path(&self) -> &'r str {
        let path = self.path_and_query.split(['?', '#']).next().unwrap_or_default();
        if path.is_empty() { "/" } else { path }
    }

    /// The full URL of the request; `None` if its scheme is not known, or neither the URL nor a single
    /// `Host` header names its authority.
    ///
    /// Puts the text together at each call; a check that does not need it does not pay for it.
    pub fn url(&self) -> Option<String> {
        let authority = match self.authority {
            Some(authority) => authority,
            None => std::str::from_utf8(self.only_header("host")?).ok()?,
        };
        let path = if self.path_and_query.starts_with('/') { "" } else { "/" };
        Some(format!("{}://{authority}{path}{}", self.scheme?, self.path_and_query))
    }

    /// The values of all headers named `name`, in the order received.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let headers = self.headers;
        (0..).map_while(move |index| headers.value(name, index))
    }

    fn only_header(&self, name: &str) -> Option<&'r [u8]> {
        let mut values = self.headers(name);
        values.next().filter(|_| values.next().is_none())
    }
}

/// Shows method and URL without the query; never a header.
impl fmt::Debug for RequestParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path_and_query.split('?').next();
        f.debug_struct("RequestParts")
            .field("method", &self.method)
            .field("scheme", &self.scheme)
            .field("authority", &self.authority)
            .field("path", &path.unwrap_or_default())
            .finish_non_exhaustive()
    }
}

#[cfg(any(feature = "actix", feature = "tower"))]
impl<'r> RequestParts<'r> {
    /// Parts of a request whose URL the server has taken apart.
    pub(crate) fn from_uri(
        method: &'r str,
        (scheme, authority): (Option<&'r str>, Option<&'r str>),
        path_and_query: &'r str,
        headers: &'r dyn Headers,
    ) -> Self {
        Self { method, scheme, authority, path_and_query, headers }
    }
}
