//! The page on which a user allows an agent, or does not: what it is, what it asks for, of which API and for how long. It stands
//! where "Continue to X?" does, and its answer is never remembered.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use foundation::origin::is_loopback;
use url::Url;

use super::authorize::Pending;
use crate::authority::Authority;
use crate::domain::agent::place_of;
use crate::domain::message::Message;
use crate::http::error::Error;
use crate::http::render::{Frame, allow_form_origins, html_with};
use crate::http::request::{Csrf, CurrentUser};
use crate::ops::grants::agent::{apis, lifetime};
use crate::services::catalogue::Texts;

#[derive(Template)]
#[template(path = "allow.html")]
struct Question<'a> {
    frame: Frame,
    question: String,
    agent: &'a str,
    client_id: &'a str,
    /// The host that the agent's metadata are at.
    publisher: Option<String>,
    answer_to: String,
    scopes: Vec<String>,
    apis: Vec<String>,
    ends: String,
    warning: String,
    user_id: String,
    attempt: &'a str,
}

/// The page about a stored request of an agent.
pub(super) async fn page(
    authority: &Authority,
    request: &HttpRequest,
    (pending, attempt): (&Pending, &str),
    current_user: &CurrentUser,
) -> Result<HttpResponse, Error> {
    let (client, asked) = (&pending.client, &pending.asked);
    let apis = apis(authority, client, asked).await?;
    let csrf = Csrf::of(authority, request);
    let mut frame = Frame::new(authority, request, "continue", &csrf, Some(current_user));
    frame.title = frame.t1("allow-title", "app", &*client.name);
    let email = current_user.user.email.as_str();
    let question = Message::new("allow-question").with("app", &*client.name).with("email", email);
    let scopes = asked.scope.iter().map(|scope| scope_in_words(&frame.texts, scope, &apis.texts));
    let lifetime = lifetime(authority, client, asked);
    let page = Question {
        question: frame.texts.message(&question),
        agent: &client.name,
        client_id: &client.client_id,
        publisher: client.publisher(),
        answer_to: answer_to(&frame.texts, &asked.target.redirect_uri),
        scopes: scopes.collect(),
        apis: apis.names,
        ends: ends(&frame.texts, lifetime.most, lifetime.idle),
        warning: frame.t("allow-warning"),
        user_id: current_user.user.id.to_string(),
        attempt,
        frame,
    };
    let mut response = html_with(authority, request, &csrf, StatusCode::OK, &page);
    allow_form_origins(request, &mut response, &client.origins());
    Ok(response)
}

/// A scope in words: ours, or those of the API.
fn scope_in_words(texts: &Texts, scope: &str, of_apis: &[(String, String)]) -> String {
    let id = match scope {
        "openid" => "scope-openid",
        "profile" => "scope-profile",
        "email" => "scope-email",
        "roles" => "scope-roles",
        "groups" => "scope-groups",
        "offline_access" => "scope-offline-access",
        _ => {
            let known = of_apis.iter().find(|(name, _)| name == scope);
            return known.map_or_else(
                || texts.get1("scope-other", "scope", scope),
                |(_, text)| format!("{text} ({scope})"),
            );
        }
    };
    texts.get(id)
}

fn answer_to(texts: &Texts, redirect_uri: &str) -> String {
    let place = place_of(redirect_uri);
    let url = Url::parse(redirect_uri).ok();
    let is_here = url.is_some_and(|url| is_loopback(&url) || url.host().is_none());
    if is_here { texts.get1("allow-here", "place", place) } else { place }
}

fn ends(texts: &Texts, most: Duration, idle: Option<Duration>) -> String {
    let minutes = |time: Duration| i64::try_from(time.as_secs().div_ceil(60)).unwrap_or(i64::MAX);
    let in_words = |time: Duration| match minutes(time) {
        hours @ (60 | 120..2880) => texts.get1("allow-hours", "count", (hours + 59) / 60),
        few @ ..120 => texts.get1("allow-minutes", "count", few),
        days => texts.get1("allow-days", "count", (days + 1439) / 1440),
    };
    let message = Message::new(if idle.is_some() { "allow-ends-idle" } else { "allow-ends" });
    let message = message.with("most", in_words(most));
    texts.message(&message.with("idle", idle.map(in_words).unwrap_or_default()))
}
