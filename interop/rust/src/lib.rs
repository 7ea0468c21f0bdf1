//! A person with a browser, for the clients in `bin`.

use std::collections::HashMap;

use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::redirect::Policy;

/// A setting that `interop/run` gives.
pub fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: interop/run does it"))
}

/// The HTTP client of the documentation's examples: it follows no redirects.
pub fn http_client() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

/// Signs in at the authority in a new browser, and returns the parameters of the callback.
pub fn sign_in(authorization_url: &Url) -> HashMap<String, String> {
    let browser = Client::builder().cookie_store(true).redirect(Policy::none()).build().unwrap();
    let mut at = authorization_url.clone();
    let page = loop {
        let answer = browser.get(at.clone()).send().unwrap();
        let Some(location) = answer.headers().get("location") else { break answer.text().unwrap() };
        at = at.join(location.to_str().unwrap()).unwrap();
    };
    let hidden = |name: &str| {
        let (_, rest) =
            page.split_once(&format!("name=\"{name}\" value=\"")).expect("a sign-in page");
        rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&")
    };
    let form = [
        ("csrf", hidden("csrf")),
        ("return_to", hidden("return_to")),
        ("email", env("EMAIL")),
        ("password", env("PASSWORD")),
    ];
    let body = Url::parse_with_params("http://localhost/", &form).unwrap();
    let mut answer = browser
        .post(at.join("/login").unwrap())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.query().unwrap().to_owned())
        .send()
        .unwrap();
    loop {
        let location = answer.headers().get("location").expect("a redirect").to_str().unwrap();
        at = at.join(location).unwrap();
        if at.as_str().starts_with(&env("REDIRECT_URI")) {
            return at.query_pairs().into_owned().collect();
        }
        answer = browser.get(at.clone()).send().unwrap();
    }
}
