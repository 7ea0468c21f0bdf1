//! The front end of Notes, the same for each pattern, so that they can be compared side by side.

use askama::Template;
use relying_party::web::front::File;
use service::embedded::Embedded;

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    pattern: &'a str,
    api: &'a str,
    launcher: &'a str,
}

#[derive(Template)]
#[template(path = "where.html")]
struct Where<'a> {
    pattern: &'a str,
    api: &'a str,
    launcher: &'a str,
}

/// The front end's files, for a pattern (`bff`, `tmb` or `spa`), the URL under which it finds the notes, and the issuer,
/// whose `/apps` is the launcher.
///
/// They are made once per process, and stay.
pub fn files(pattern: &str, api: &str, issuer: &str) -> &'static [File] {
    let file = |path, media_type, content: String| File {
        path,
        content: Embedded::new(media_type, content),
    };
    let launcher = &format!("{}/apps", issuer.trim_end_matches('/'));
    // Into memory: nothing there fails.
    let index = Index { pattern, api, launcher }.render().unwrap_or_default();
    let tokens = Where { pattern, api, launcher }.render().unwrap_or_default();
    Box::leak(Box::new([
        file("/", HTML, index),
        file("/where", HTML, tokens),
        file("/app.js", JAVASCRIPT, include_str!("../front/app.js").to_owned()),
        file("/where.js", JAVASCRIPT, include_str!("../front/where.js").to_owned()),
        file("/client.js", JAVASCRIPT, include_str!("../../../clients/js/client.js").to_owned()),
        file("/app.css", "text/css; charset=utf-8", include_str!("../front/app.css").to_owned()),
        file("/icon.svg", "image/svg+xml", include_str!("../front/icon.svg").to_owned()),
    ]))
}
