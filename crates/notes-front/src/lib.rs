//! The front end of Notes, the same for each pattern, so that they can be compared side by side.

use askama::Template;
use relying_party::web::front::File;
use service::embedded::Embedded;

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The app that a front end belongs to.
#[derive(Debug, Clone, Copy)]
pub struct App<'a> {
    /// The place of the app's tokens: `bff`, `tmb` or `spa`.
    pub pattern: &'a str,
    /// The URL under which the page finds the notes.
    pub api: &'a str,
    /// The issuer, whose `/apps` is the launcher.
    pub issuer: &'a str,
    /// The provider's token endpoint, if access tokens are bound to a key of the browser (DPoP, RFC 9449).
    pub token_endpoint: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "index.html")]
struct Index<'a> {
    app: App<'a>,
    launcher: &'a str,
}

#[derive(Template)]
#[template(path = "where.html")]
struct Where<'a> {
    app: App<'a>,
    launcher: &'a str,
}

/// The front end's files. They are made once per process, and stay.
pub fn files(app: &App<'_>) -> &'static [File] {
    let file = |path, media_type, content: String| File {
        path,
        content: Embedded::new(media_type, content),
    };
    let launcher = &format!("{}/apps", app.issuer.trim_end_matches('/'));
    // Into memory: nothing there fails.
    let index = Index { app: *app, launcher }.render().unwrap_or_default();
    let tokens = Where { app: *app, launcher }.render().unwrap_or_default();
    Box::leak(Box::new([
        file("/", HTML, index),
        file("/where", HTML, tokens),
        file("/app.js", JAVASCRIPT, include_str!("../front/app.js").to_owned()),
        file("/where.js", JAVASCRIPT, include_str!("../front/where.js").to_owned()),
        file("/page.js", JAVASCRIPT, include_str!("../front/page.js").to_owned()),
        file("/client.js", JAVASCRIPT, include_str!("../../../clients/js/client.js").to_owned()),
        file("/dpop.js", JAVASCRIPT, include_str!("../../../clients/js/dpop.js").to_owned()),
        file("/app.css", "text/css; charset=utf-8", include_str!("../front/app.css").to_owned()),
        file("/icon.svg", "image/svg+xml", include_str!("../front/icon.svg").to_owned()),
    ]))
}
