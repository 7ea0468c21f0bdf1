//! A small MCP server (Model Context Protocol, Streamable HTTP) with one tool, guarded by `tokens`.
//!
//! An agent that comes without a token is told where the metadata of this server are (RFC 9728), finds the authority by them,
//! and comes back with a token for this server's URL. `interop/clients/mcp.mjs` runs it with the client of the MCP SDK.
//!
//! Settings: `ISSUER`, `PORT`, and `API_ID` with `API_SECRET`, by which it follows the feed of ended sessions.

use actix_web::http::header;
use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};
use tokens::feed::{FeedSource, Follower};
use tokens::{Guard, ProtectedResource, RequiredScope, Scoped};

/// The scope of the only tool.
struct NotesRead;

impl RequiredScope for NotesRead {
    const SCOPE: &'static str = "notes:read";
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let env = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let (issuer, port) = (env("ISSUER")?, env("PORT")?.parse::<u16>()?);
    // docs: the guard
    let url = format!("http://localhost:{port}/mcp");
    let resource = ProtectedResource::new(&url, &issuer)?
        .with_name("Notes for agents")
        .with_scopes([NotesRead::SCOPE]);
    let source = FeedSource {
        authority: issuer.clone(),
        client_id: env("API_ID")?,
        client_secret: env("API_SECRET")?,
        name: String::new(),
    };
    let follower = Follower::follow(source, false)?;
    let guard = Guard::connect(&issuer, &url)?.with_metadata(&resource).best_effort(follower);
    // docs: end
    let serve = move || {
        let metadata = resource.to_json();
        let described = move || std::future::ready(HttpResponse::Ok().json(&metadata));
        App::new()
            .app_data(guard.clone())
            .route(&resource.path(), web::get().to(described))
            .service(web::resource("/mcp").route(web::post().to(message)))
    };
    HttpServer::new(serve).workers(1).bind(("127.0.0.1", port))?.run().await?;
    Ok(())
}

/// A JSON-RPC message. It is answered with JSON: this server has nothing to stream, and keeps no sessions of its own.
async fn message(token: Scoped<NotesRead>, message: web::Json<Value>) -> HttpResponse {
    let id = &message["id"];
    if id.is_null() {
        return HttpResponse::Accepted().finish();
    }
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "notes", "version": "1.0.0" },
        }),
        "ping" => json!({}),
        "tools/list" => json!({ "tools": [{
            "name": "read_notes",
            "description": "Reads the notes of the user",
            "inputSchema": { "type": "object" },
        }] }),
        "tools/call" if message["params"]["name"] == "read_notes" => json!({
            "content": [{ "type": "text", "text": format!("The notes of {}", token.sub) }],
        }),
        _ => {
            let error = json!({ "code": -32601, "message": "Method not found" });
            return HttpResponse::Ok().json(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}
