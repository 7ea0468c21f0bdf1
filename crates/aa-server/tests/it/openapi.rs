//! `docs/openapi/authority.yaml` describes the routes that programs call. Whether it describes them well,
//! `interop/openapi/run` finds out.

use std::collections::BTreeSet;

use aa_server::domain::claims::USER_CLAIMS;
use aa_server::http::{Kind, ROUTES};
use serde_json::{Map, Value};

use crate::support::{TestApp, client};

const DOCUMENT: &str = include_str!("../../../../docs/openapi/authority.yaml");

/// Methods and paths of the document, by the indentation that it is written with.
fn operations() -> BTreeSet<String> {
    let mut operations = BTreeSet::new();
    let mut path = "";
    for line in DOCUMENT.lines().skip_while(|line| *line != "paths:").skip(1) {
        let text = line.trim_start();
        let Some(name) = text.strip_suffix(':') else { continue };
        match line.len() - text.len() {
            0 => break,
            2 => path = name,
            4 if name != "parameters" => {
                operations.insert(format!("{} {path}", name.to_uppercase()));
            }
            _ => {}
        }
    }
    operations
}

#[test]
fn the_document_has_the_routes_that_programs_call_and_no_others() {
    let routes = ROUTES.iter().filter(|route| matches!(route.kind, Kind::OAuth | Kind::Machine));
    let routes: BTreeSet<String> =
        routes.map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(operations(), routes);
}

/// The members of a schema in the document that is written with one of them in each line.
fn members(schema: &str) -> BTreeSet<&'static str> {
    let lines = DOCUMENT.lines().skip_while(|line| line.trim_end() != format!("    {schema}:"));
    let lines = lines.skip(1).take_while(|line| line.starts_with("      "));
    let lines = lines.skip_while(|line| *line != "      properties:").skip(1);
    lines.filter_map(|line| Some(line.trim_start().split_once(':')?.0)).collect()
}

#[test]
fn the_document_has_the_claims_about_users() {
    let claims = USER_CLAIMS.iter().map(|claim| claim.name).chain(["sub"]);
    assert_eq!(members("Claims"), claims.collect());
}

#[tokio::test]
async fn the_document_has_the_members_of_the_metadata() {
    // All that can be turned on is.
    let settings = [("client_registration", "initial_access_token"), ("client_id_metadata", "on")];
    let t = TestApp::with(None, &settings).await;
    let of = async |name: &str| {
        let url = format!("{}/.well-known/{name}", t.url);
        client().get(url).send().await.unwrap().json::<Map<String, Value>>().await.unwrap()
    };
    let (all, some) = (of("openid-configuration").await, of("oauth-authorization-server").await);
    let names =
        |of: &Map<String, Value>| of.keys().map(|name| (*name).clone()).collect::<BTreeSet<_>>();
    let known = members("Metadata");
    assert_eq!(names(&some), known.iter().map(|name| (*name).to_owned()).collect());
    let more = members("OpenidConfiguration");
    assert_eq!(names(&all), known.union(&more).map(|name| (*name).to_owned()).collect());
}
