//! The headers that pass through the proxy: of a request by a list of what passes, of an answer by a list of what does
//! not.

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers that concern one connection (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header of the browser's goes to an upstream whose route names `further` ones. Everything that could speak
/// for the user, the method, the address or the path is said by this backend or not at all.
pub(crate) fn is_forwarded(name: &HeaderName, headers: &HeaderMap, further: &[HeaderName]) -> bool {
    const ALONE: [&str; 9] = [
        "accept",
        "idempotency-key",
        "if-match",
        "last-event-id",
        "prefer",
        "range",
        "traceparent",
        "tracestate",
        "user-agent",
    ];
    const FAMILIES: [&str; 4] = ["accept-", "content-", "if-", "sec-websocket-"];
    let text = name.as_str();
    let is_listed = ALONE.contains(&text)
        || FAMILIES.iter().any(|family| text.starts_with(family))
        || further.contains(name);
    // Some servers read `Content_Type` as `Content-Type`.
    is_listed && !text.contains('_') && !is_named_by_connection(text, headers)
}

fn is_named_by_connection(name: &str, headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|named| named.trim().eq_ignore_ascii_case(name))
}

/// A header that a route may forward besides the listed ones.
///
/// # Errors
/// A text that says why not: the header speaks for the user, the client's address, the method or the path, and an
/// upstream may believe it.
pub(crate) fn forwardable(text: &str) -> Result<HeaderName, String> {
    const NAMES: [&str; 12] = [
        "authorization",
        "cookie",
        "cookie2",
        "forwarded",
        "host",
        "origin",
        "proxy",
        "referer",
        "via",
        "x-csrf",
        "x-request-id",
        "x-verify-secret",
    ];
    const PREFIXES: [&str; 9] = [
        "proxy-",
        "remote-",
        "sec-fetch-",
        "x-auth-",
        "x-forwarded",
        "x-http-method",
        "x-original-",
        "x-remote-",
        "x-rewrite-",
    ];
    const SUFFIXES: [&str; 4] = ["-client-ip", "-connecting-ip", "-override", "-real-ip"];
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("`{text}` is no header's name"))?;
    let lower = name.as_str();
    let speaks = NAMES.contains(&lower)
        || HOP_BY_HOP.contains(&lower)
        || PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| lower.ends_with(suffix))
        || lower == "x-real-ip";
    if speaks {
        return Err(format!(
            "`{text}` may not come from a browser: an upstream could take it for the word of this backend"
        ));
    }
    if lower.contains('_') {
        return Err(format!("`{text}` has an underscore, which some servers read as a hyphen"));
    }
    Ok(name)
}

/// Whether a header of the upstream's goes to the browser, if `connection` does not name it. Cookies, challenges,
/// policies, and what steers the browser, a cache or the proxy in front are this backend's own.
pub(crate) fn is_relayed(name: &str, connection: &str) -> bool {
    const OURS: [&str; 33] = [
        "accept-ch",
        "alt-svc",
        "cache-control",
        "cdn-cache-control",
        "clear-site-data",
        "content-security-policy",
        "content-security-policy-report-only",
        "critical-ch",
        "cross-origin-embedder-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "document-policy",
        "edge-control",
        "nel",
        "origin-agent-cluster",
        "permissions-policy",
        "pragma",
        "referrer-policy",
        "refresh",
        "report-to",
        "reporting-endpoints",
        "service-worker-allowed",
        "set-cookie",
        "set-cookie2",
        "set-login",
        "speculation-rules",
        "strict-transport-security",
        "surrogate-control",
        "vary",
        "www-authenticate",
        "x-frame-options",
        "x-request-id",
        "x-sendfile",
    ];
    const FAMILIES: [&str; 3] = ["access-control-", "x-accel-", "x-auth-"];
    // An API asks nginx not to hold its events back. All else of that family redirects, caches or slows down.
    let is_harmless = name == "x-accel-buffering";
    !OURS.contains(&name)
        && !HOP_BY_HOP.contains(&name)
        && (is_harmless || !FAMILIES.iter().any(|family| name.starts_with(family)))
        && !name.ends_with("-cdn-cache-control")
        && !connection.split(',').any(|named| named.trim().eq_ignore_ascii_case(name))
}

/// `Cache-Control` of the browser's side for that of the upstream's, all its lines joined by commas; empty if there is
/// none.
///
/// The upstream answered a request with `Authorization`, which shared caches do not store (RFC 9111 §3.5). The
/// browser's request has a cookie instead, which does not keep them from storing: the answer has to say so.
pub fn cache_control(upstream: &str) -> String {
    let directives: Vec<&str> = split_outside_quotes(upstream)
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
        .collect();
    let name_of = |directive: &str| {
        directive.split('=').next().unwrap_or_default().trim_end().to_ascii_lowercase()
    };
    if directives.iter().any(|directive| name_of(directive) == "no-store") {
        return "no-store".to_owned();
    }
    if directives.is_empty() {
        return "private, no-store".to_owned();
    }
    let shared = ["private", "public", "s-maxage", "proxy-revalidate"];
    let kept = directives.into_iter().filter(|one| !shared.contains(&name_of(one).as_str()));
    std::iter::once("private").chain(kept).collect::<Vec<_>>().join(", ")
}

/// The parts between commas that are not within a quoted string (RFC 9110 §5.6.4).
fn split_outside_quotes(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c: char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match c {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        c == ',' && !is_quoted
    })
}

/// `Vary` of the browser's side for that of the upstream's, all its lines joined by commas: with `Cookie`, in one line.
pub(crate) fn vary(upstream: &str) -> String {
    let names: Vec<&str> =
        upstream.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let covers_cookies = |name: &&str| *name == "*" || name.eq_ignore_ascii_case("cookie");
    let cookie = (!names.iter().any(covers_cookies)).then_some("Cookie");
    names.into_iter().chain(cookie).collect::<Vec<_>>().join(", ")
}

/// A header's value, if it can be one.
pub(crate) fn value(text: &str, otherwise: &'static str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(otherwise))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_headers_go_on() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close, Accept-Drop"));
        let further = [forwardable("X-Tenant").unwrap()];
        let goes =
            |name: &'static str| is_forwarded(&HeaderName::from_static(name), &headers, &further);
        for name in ["accept", "content-type", "if-match", "last-event-id", "x-tenant"] {
            assert!(goes(name), "{name}");
        }
        for name in ["authorization", "cookie", "accept-drop", "content_type", "x-other", "te"] {
            assert!(!goes(name), "{name}");
        }
    }

    #[test]
    fn no_route_forwards_what_speaks_for_somebody() {
        for name in ["X-Tenant", "x-correlation-id", "x-requested-with", "dnt"] {
            assert!(forwardable(name).is_ok(), "{name}");
        }
        for name in [
            "Authorization",
            "cookie",
            "connection",
            "Upgrade",
            "X-Auth-Subject",
            "X-Forwarded-For",
            "x-forwarded",
            "X-Real-IP",
            "CF-Connecting-IP",
            "True-Client-IP",
            "X-HTTP-Method-Override",
            "X-Method-Override",
            "X-Original-URL",
            "x_tenant",
            "a b",
            "",
        ] {
            assert!(forwardable(name).is_err(), "{name}");
        }
    }

    #[test]
    fn an_answer_is_private_in_every_spelling() {
        for (upstream, expected) in [
            ("", "private, no-store"),
            (" , ,", "private, no-store"),
            ("max-age=9", "private, max-age=9"),
            ("PUBLIC , S-MaxAge=5,max-age = 9", "private, max-age = 9"),
            ("private=\"a, no-store\", max-age=1", "private, max-age=1"),
            ("ext=\"a\\\", no-store\", max-age=1", "private, ext=\"a\\\", no-store\", max-age=1"),
            ("max-age=1, NO-STORE", "no-store"),
            ("no-store=x", "no-store"),
            ("ext=\"never closed, public", "private, ext=\"never closed, public"),
        ] {
            assert_eq!(cache_control(upstream), expected, "{upstream}");
        }
        assert!(is_relayed("x-accel-buffering", "") && !is_relayed("x-accel-redirect", ""));
        assert!(
            is_relayed("etag", "") && !is_relayed("set-cookie", "") && !is_relayed("x-a", "X-A")
        );
    }
}
