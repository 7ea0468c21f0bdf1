//! Files embedded in a program, compressed once at start.

use std::io::Write as _;

use actix_web::http::header::{self, AcceptEncoding, ContentEncoding, Encoding, Header as _};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use flate2::Compression;
use flate2::write::GzEncoder;

/// An embedded file, uncompressed and compressed with gzip.
#[derive(Debug, Clone)]
pub struct Embedded {
    media_type: &'static str,
    plain: web::Bytes,
    /// `None` if gzip would not make it smaller.
    gzip: Option<web::Bytes>,
}

impl Embedded {
    /// Compresses a file.
    pub fn new(media_type: &'static str, content: impl Into<web::Bytes>) -> Self {
        let plain = content.into();
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = packed.write_all(&plain).and_then(|()| packed.finish()).ok();
        let gzip = gzip.filter(|packed| packed.len() < plain.len()).map(web::Bytes::from);
        Self { media_type, plain, gzip }
    }

    /// The uncompressed content.
    pub fn content(&self) -> &[u8] {
        &self.plain
    }

    /// Responds with the file, compressed if the client accepts gzip (RFC 9110 §12.5.3).
    pub fn respond(
        &self,
        request: &HttpRequest,
        mut response: HttpResponseBuilder,
    ) -> HttpResponse {
        response.content_type(self.media_type);
        let Some(packed) = &self.gzip else { return response.body(self.plain.clone()) };
        response.insert_header((header::VARY, "accept-encoding"));
        let offers = [Encoding::gzip(), Encoding::identity()];
        let wanted = AcceptEncoding::parse(request).ok();
        let takes_gzip = wanted.is_some_and(|wanted| {
            wanted.negotiate(offers.iter()).is_some_and(|chosen| chosen == Encoding::gzip())
        });
        if takes_gzip {
            response.insert_header(ContentEncoding::Gzip).body(packed.clone())
        } else {
            response.body(self.plain.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_clients_that_accept_gzip_get_it() {
        let text = "the same again and again, ".repeat(50);
        let file = Embedded::new("text/plain", text);
        let encoding = |accepts: Option<&str>| {
            let request = accepts.map_or_else(TestRequest::default, |accepts| {
                TestRequest::default().insert_header((header::ACCEPT_ENCODING, accepts))
            });
            let answer = file.respond(&request.to_http_request(), HttpResponse::Ok());
            assert_eq!(answer.headers().get(header::VARY).unwrap(), "accept-encoding");
            answer
                .headers()
                .get(header::CONTENT_ENCODING)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        for accepts in ["gzip", "br, gzip;q=0.5", "gzip, deflate, br, zstd"] {
            assert_eq!(encoding(Some(accepts)).as_deref(), Some("gzip"), "{accepts}");
        }
        for accepts in [None, Some(""), Some("br"), Some("gzip;q=0"), Some("identity")] {
            assert_eq!(encoding(accepts), None, "{accepts:?}");
        }
        let small = Embedded::new("text/plain", "x");
        assert!(small.gzip.is_none(), "gzip would make it larger");
    }
}
