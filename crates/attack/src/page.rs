//! Links and pages of another site, and programs on the user's machine.

use aa_server::domain::client::ClientType;
use reqwest::{Method, StatusCode};

use crate::Outcome;
use crate::world::{World, location, member, told};

pub async fn asks_for_a_native_code(world: &World) -> Outcome {
    let client = world.client("native", ClientType::Public).await?;
    let browser = world.signed_in("native@example.com").await?;
    for more in [&[][..], &[("prompt", "none")], &[("prompt", "consent")]] {
        if let Some(code) = told(&browser.authorize(&client, more).await?, "code") {
            return Ok(Err(format!("{more:?} is answered with the code {code}")));
        }
    }
    let question = browser.authorize(&client, &[]).await?;
    let question = browser.get(&location(&question)).await?.text().await?;
    let is_asked = question.contains("Continue to native?");
    Ok(if is_asked { Ok(()) } else { Err("the user is not asked".to_owned()) })
}

pub async fn switches_login_off(world: &World) -> Outcome {
    let client = world.client("banking", ClientType::Confidential).await?;
    let browser = world.signed_in("banking@example.com").await?;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    browser.code(&client).await?;
    for demand in [("prompt", "login"), ("max_age", "0")] {
        for trick in [("aa_asked_at", "0"), ("attempt", "x"), ("again", "0"), ("auth_time", "9")] {
            let answer = browser.authorize(&client, &[demand, trick]).await?;
            if told(&answer, "code").is_some() {
                return Ok(Err(format!("{demand:?} with {trick:?} is answered with a code")));
            }
        }
    }
    Ok(Ok(()))
}

pub async fn signs_out_by_an_old_id_token(world: &World) -> Outcome {
    let client = world.client("hinted", ClientType::Confidential).await?;
    let browser = world.signed_in("hinted@example.com").await?;
    let tokens = client.tokens(&browser).await?;
    browser.submit("/apps", "/logout", &[]).await?;
    browser.sign_in("hinted@example.com", crate::world::PASSWORD).await?;
    let hint = member(&tokens, "id_token");
    browser.get(&format!("/oauth/logout?id_token_hint={hint}")).await?;
    if !browser.is_signed_in().await? {
        return Ok(Err("signed out".to_owned()));
    }
    let tokens = client.tokens(&browser).await?;
    let hint = member(&tokens, "id_token");
    browser.get(&format!("/oauth/logout?id_token_hint={hint}")).await?;
    let works = !browser.is_signed_in().await?;
    Ok(if works { Ok(()) } else { Err("an ID token of the sign-in ends nothing".to_owned()) })
}

pub async fn posts_forms(world: &World) -> Outcome {
    let browser = world.signed_in("forms@example.com").await?;
    let csrf = browser.csrf("/apps").await?;
    let actions =
        ["/logout", "/sessions/revoke-all", "/sessions/revoke-others", "/account/password"];
    for action in actions {
        for (site, fields) in [
            ("cross-site", vec![("csrf", csrf.as_str())]),
            ("same-site", vec![("csrf", csrf.as_str())]),
            ("none", vec![]),
        ] {
            let answer = browser.send(Method::POST, action, |request| {
                let request = request.header("origin", "https://evil.example").form(&fields);
                request.header("sec-fetch-site", site)
            });
            let status = answer.await?.status();
            if status != StatusCode::FORBIDDEN {
                return Ok(Err(format!("{action} from {site} is answered with {status}")));
            }
        }
    }
    let client = world.client("image", ClientType::Confidential).await?;
    let image = browser.authorize(&client, &[]).await?.url().to_string();
    let image =
        browser.send(Method::GET, &image, |it| it.header("sec-fetch-dest", "image")).await?;
    Ok(match (image.status(), browser.is_signed_in().await?) {
        (StatusCode::FORBIDDEN, true) => Ok(()),
        seen => Err(format!("an image opens an app, or the user is out: {seen:?}")),
    })
}

pub async fn redirects(world: &World) -> Outcome {
    let browser = world.signed_in("redirects@example.com").await?;
    let honest = location(&browser.get("/login?return_to=/sessions").await?);
    if honest != "/sessions" {
        return Err(format!("a path of its own leads to {honest:?}").into());
    }
    for to in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/%09//evil.example",
        "javascript:1",
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", to)
            .finish();
        let answer = browser.get(&format!("/login?{query}")).await?;
        let leads = answer.url().join(&location(&answer))?;
        if leads.origin() != answer.url().origin() {
            return Ok(Err(format!("{to} leads to {leads}")));
        }
    }
    Ok(Ok(()))
}

pub async fn is_trusted_by_email(world: &World) -> Outcome {
    let browser = world.signed_in("chief@corp.example").await?;
    let bff = world.url(2);
    browser.follow(&format!("{bff}/auth/login")).await?;
    let answer = browser.get(&format!("{bff}/auth/verify")).await?;
    let email = answer.headers().get("x-auth-email");
    Ok(match (answer.status(), email) {
        (StatusCode::OK, None) => Ok(()),
        seen => Err(format!("{seen:?}")),
    })
}

pub async fn shares_a_cached_answer(world: &World) -> Outcome {
    let browser = world.signed_in("cached@example.com").await?;
    let bff = world.url(2);
    browser.follow(&format!("{bff}/auth/login")).await?;
    let url = format!("{bff}/api/notes");
    let answer = browser.send(Method::GET, &url, |request| request.header("x-csrf", "1")).await?;
    let header = |name: &str| {
        let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_ascii_lowercase()
    };
    let (control, vary) = (header("cache-control"), header("vary"));
    let private = control.contains("private") || control.contains("no-store");
    Ok(match (answer.status(), private, vary.contains("cookie")) {
        (StatusCode::OK, true, true) => Ok(()),
        seen => Err(format!("{seen:?}: Cache-Control {control:?}, Vary {vary:?}")),
    })
}

pub async fn goes_around_the_guard(world: &World) -> Outcome {
    let browser = world.signed_in("guard@example.com").await?;
    for place in [2, 3] {
        let app = world.url(place);
        browser.follow(&format!("{app}/auth/login")).await?;
        for path in
            ["/%61uth/me", "/auth/%6de", "/%61uth/session", "/auth/%73ession", "/%61uth/token"]
        {
            let url = format!("{app}{path}");
            let answer = browser.send(Method::GET, &url, |request| {
                request
                    .header("sec-fetch-site", "cross-site")
                    .header("origin", "https://evil.example")
            });
            let answer = answer.await?;
            let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
            if answer.status().is_success() && kind.is_some_and(|it| it.contains("json")) {
                return Ok(Err(format!("{app}{path} is answered")));
            }
        }
        let url = format!("{app}/api/notes");
        let answer = browser.send(Method::TRACE, &url, |request| request.header("x-csrf", "1"));
        let status = answer.await?.status();
        if status != StatusCode::METHOD_NOT_ALLOWED {
            return Ok(Err(format!("TRACE {url} is answered with {status}")));
        }
    }
    Ok(Ok(()))
}

pub async fn throws_a_cookie_bomb(world: &World) -> Outcome {
    let browser = world.signed_in("bomb@example.com").await?;
    let bff = world.url(2);
    for number in 0..20 {
        let path = format!("{bff}/auth/login?return_to=/{}{number}", "a".repeat(400));
        browser.get(&path).await?;
    }
    let answer = browser.follow(&format!("{bff}/auth/login")).await?;
    Ok(if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) })
}
