//! The front end of Notes, the same for each pattern, so that they can be compared side by side.

use relying_party::web::front::File;
use service::embedded::Embedded;

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// The front end's files, for a pattern (`bff`, `tmb` or `spa`) and the URL under which it finds the notes.
///
/// They are made once per process, and stay.
pub fn files(pattern: &str, api: &str) -> &'static [File] {
    let fill = |page: &str| page.replace("{pattern}", pattern).replace("{api}", &escaped(api));
    let file = |path, media_type, content: String| File {
        path,
        content: Embedded::new(media_type, content),
    };
    Box::leak(Box::new([
        file("/", HTML, fill(include_str!("../front/index.html"))),
        file("/where", HTML, fill(include_str!("../front/where.html"))),
        file("/app.js", JAVASCRIPT, include_str!("../front/app.js").to_owned()),
        file("/where.js", JAVASCRIPT, include_str!("../front/where.js").to_owned()),
        file("/client.js", JAVASCRIPT, include_str!("../../../clients/js/client.js").to_owned()),
        file("/app.css", "text/css; charset=utf-8", include_str!("../front/app.css").to_owned()),
        file("/icon.svg", "image/svg+xml", include_str!("../front/icon.svg").to_owned()),
    ]))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}
