//! The commands of contract §5, as an operator types them.

use std::process::{Command, Output, Stdio};

use serde_json::json;

use crate::processes::Deployment;
use crate::support::{CALLBACK, PASSWORD};

fn run(deployment: &Deployment, args: &[&str]) -> Output {
    deployment.command().args(args).output().unwrap()
}

fn with_input(mut command: Command, input: &[u8]) -> Output {
    use std::io::Write as _;
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn users_are_added_listed_disabled_and_enabled() {
    let deployment = Deployment::migrated();
    let add = [
        "user",
        "add",
        "--email",
        "ann@example.com",
        "--name",
        "Ann",
        "--admin",
        "--password-stdin",
    ];
    let made = deployment.json(&add, &format!("{PASSWORD}\n"));
    let listed = deployment.json(&["user", "list"], "");
    assert_eq!(listed[0]["id"], made["id"]);
    assert_eq!((&listed[0]["roles"], &listed[0]["enabled"]), (&json!(["admin"]), &json!(true)));
    assert_eq!(deployment.json(&["user", "disable", "ANN@example.com"], "")["enabled"], false);
    assert_eq!(deployment.json(&["user", "list"], "")[0]["enabled"], false);
    assert_eq!(deployment.json(&["user", "enable", "ann@example.com"], "")["enabled"], true);
    deployment
        .json(&["user", "set-password", "ann@example.com", "--password-stdin"], "violet anchor 9");
    let kinds = deployment.json(&["events", "list", "--user", "ann@example.com"], "");
    let kinds: Vec<_> =
        kinds.as_array().unwrap().iter().map(|event| event["kind"].clone()).collect();
    assert_eq!(kinds, ["user.password_reset", "user.enabled", "user.disabled", "user.made"]);
    // Without a terminal's echo, in an argument, twice, or too weak: no.
    assert_eq!(
        run(&deployment, &["user", "add", "--email", "b@example.com"]).status.code(),
        Some(1)
    );
    let empty = run(&deployment, &["user", "add", "--email", "b@example.com", "--password-stdin"]);
    assert_eq!(empty.status.code(), Some(1));
    assert!(stderr(&empty).contains("standard input must be the password"));
    let mut nul = deployment.command();
    nul.args(["user", "add", "--email", "b@example.com", "--password-stdin"]);
    let nul = with_input(nul, b"a password\0 with NUL\n");
    assert_eq!(nul.status.code(), Some(1));
    assert!(stderr(&nul).contains("NUL"), "{}", stderr(&nul));
    let unknown = run(&deployment, &["user", "disable", "unknown@example.com"]);
    assert_eq!(
        (unknown.status.code(), stderr(&unknown).trim()),
        (Some(1), "error: there is no user unknown@example.com")
    );
}

#[test]
fn apps_are_added_shown_applied_and_disabled() {
    let deployment = Deployment::migrated();
    let add = [
        "app",
        "add",
        "web",
        "--name",
        "Web",
        "--redirect-uri",
        CALLBACK,
        "--at-ttl",
        "90s",
        "--scope",
        "openid",
        "notes:read",
    ];
    let made = deployment.json(&add, "");
    assert_eq!(made["client_secret"].as_str().unwrap().len(), 43);
    let shown = deployment.json(&["app", "show", "web"], "");
    assert_eq!(shown["lifetimes"], json!({ "at_ttl": "1m 30s" }));
    assert_eq!(shown["scopes"], json!(["openid", "notes:read"]));
    assert!(
        !shown.to_string().contains(made["client_secret"].as_str().unwrap()),
        "a secret is printed once"
    );
    let taken = run(&deployment, &add);
    assert_eq!(
        (taken.status.code(), stderr(&taken).trim()),
        (Some(1), "error: there is an app `web` already")
    );
    let rotated = deployment.json(&["app", "rotate-secret", "web"], "");
    assert_ne!(rotated["client_secret"], made["client_secret"]);
    assert_eq!(deployment.json(&["app", "disable", "web"], "")["enabled"], false);
    assert_eq!(deployment.json(&["app", "list"], "")[0]["enabled"], false);
    let page = deployment.json(&["events", "list", "--limit", "1"], "");
    let (items, next) = (page["items"].as_array().unwrap(), page["next"].as_str().unwrap());
    let following = deployment.json(&["events", "list", "--limit", "1", "--cursor", next], "");
    assert_eq!(items.len(), 1);
    assert_ne!(following["items"][0]["id"], items[0]["id"]);
    for foreign in [next, "-one-that-begins-like-an-option"] {
        let refused = run(&deployment, &["app", "list", "--cursor", foreign]);
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("the cursor is not one of this list"), "{said}");
    }

    let file = deployment.folder.path().join("apps.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, format!("[[app]]\nclient_id = 'tool'\nname = 'Tool'\nkind = 'public'\nredirect_uris = ['{CALLBACK}']\n")).unwrap();
    let apply = |expected: &str| {
        let done = deployment.json(&["app", "apply", path], "");
        assert_eq!(done[0]["result"], expected);
        assert!(done[0].get("client_secret").is_none());
    };
    apply("added");
    apply("unchanged");
    let text = std::fs::read_to_string(&file).unwrap().replace("'Tool'", "'The tool'");
    std::fs::write(&file, text).unwrap();
    apply("changed");
    std::fs::write(&file, "[[app]]\nclient_id = 'tool'\nname = 'Tool'\nredirect_uri = []\n")
        .unwrap();
    let wrong = run(&deployment, &["app", "apply", path]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("redirect_uri"), "{}", stderr(&wrong));
}

#[test]
fn people_and_apps_are_declared_with_their_secrets_in_files() {
    let deployment = Deployment::migrated();
    let people = deployment.folder.path().join("people.toml");
    let path = people.to_str().unwrap();
    let user = format!("[[user]]\nemail = 'Ann@example.com'\npassword = '{PASSWORD}'\n");
    std::fs::write(&people, &user).unwrap();
    for expected in ["added", "unchanged"] {
        assert_eq!(deployment.json(&["user", "apply", path], "")[0]["result"], expected);
    }
    // What a directory says counts for a user who exists, too.
    let described = format!("{user}given_name = 'Ann'\ngroups = ['Sales EMEA']\n");
    std::fs::write(&people, &described).unwrap();
    for expected in ["changed", "unchanged"] {
        assert_eq!(deployment.json(&["user", "apply", path], "")[0]["result"], expected);
    }
    let set = ["user", "set", "ann@example.com", "--family-name", "Lee", "--no-groups"];
    assert_eq!(deployment.json(&set, "")["changed"], true);
    let ann = deployment.json(&["user", "list"], "")[0].clone();
    assert_eq!((&ann["given_name"], &ann["family_name"]), (&json!("Ann"), &json!("Lee")));
    assert_eq!(ann["groups"], json!([]));
    for wrong in [&["user", "set", "ann@example.com"][..], &[&set[..3], &["--group", ""]].concat()]
    {
        assert!(!run(&deployment, wrong).status.success());
    }
    // What is wrong with the file is told, and no password.
    for (text, part) in [
        (user.replace("email", "mail"), "mail"),
        (user.replace(PASSWORD, "password"), "Ann@example.com"),
    ] {
        let text = text.replace("Ann@", if part == "mail" { "Ann@" } else { "Bob-Ann@" });
        std::fs::write(&people, &text).unwrap();
        let wrong = run(&deployment, &["user", "apply", path]);
        assert_eq!(wrong.status.code(), Some(1));
        assert!(stderr(&wrong).contains(part), "{}", stderr(&wrong));
        assert!(!stderr(&wrong).contains(PASSWORD), "{}", stderr(&wrong));
    }

    let apps = deployment.folder.path().join("apps.toml");
    let (path, folder) = (apps.to_str().unwrap(), deployment.folder.path().to_str().unwrap());
    std::fs::write(&apps, format!("[[app]]\nclient_id = 'web'\nname = 'Web'\nkind = 'confidential'\nredirect_uris = ['{CALLBACK}']\n")).unwrap();
    let secret = deployment.folder.path().join("web/client-secret");
    for expected in ["added", "unchanged"] {
        let done = deployment.json(&["app", "apply", path, "--secrets-dir", folder], "");
        assert_eq!(done[0]["result"], expected);
        assert!(done[0].get("client_secret").is_none(), "it is in the file, and nowhere else");
        assert!(std::fs::read_to_string(&secret).unwrap().trim().len() >= 43);
    }
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);

    // A lost secret is not replaced by one that is not the app's (and an outage), nor is another one believed.
    let right = std::fs::read_to_string(&secret).unwrap();
    let again = ["app", "apply", path, "--secrets-dir", folder];
    std::fs::remove_file(&secret).unwrap();
    let lost = run(&deployment, &again);
    assert_eq!(lost.status.code(), Some(1));
    assert!(stderr(&lost).contains("web exists, and its secret is not in"), "{}", stderr(&lost));
    assert!(stderr(&lost).contains("app rotate-secret"), "{}", stderr(&lost));
    assert!(!secret.exists());
    std::fs::write(&secret, "the secret of another app, long enough\n").unwrap();
    let wrong = run(&deployment, &again);
    assert!(stderr(&wrong).contains("is not the secret of web"), "{}", stderr(&wrong));
    std::fs::write(&secret, right).unwrap();
    assert_eq!(deployment.json(&again, "")[0]["result"], "unchanged");
    let short = deployment.folder.path().join("tool/client-secret");
    std::fs::create_dir(short.parent().unwrap()).unwrap();
    std::fs::write(&short, "short\n").unwrap();
    let tool = format!(
        "[[app]]\nclient_id = 'tool'\nname = 'Tool'\nkind = 'confidential'\nredirect_uris = ['{CALLBACK}']\n"
    );
    std::fs::write(&apps, tool).unwrap();
    let wrong = run(&deployment, &again);
    assert!(stderr(&wrong).contains("at least 32 characters"), "{}", stderr(&wrong));
}

#[test]
fn a_file_of_apps_is_applied_whole_or_not_at_all() {
    let deployment = Deployment::migrated();
    let apps = deployment.folder.path().join("apps.toml");
    let path = apps.to_str().unwrap();
    let app = |id: &str, uri: &str| {
        format!(
            "[[app]]\nclient_id = '{id}'\nname = 'App'\nkind = 'confidential'\nredirect_uris = ['{uri}']\n"
        )
    };
    let folder = deployment.folder.path().join("secrets");
    let secrets_dir = ["--secrets-dir", folder.to_str().unwrap()];
    for (second, part) in
        [(app("two", "https://*.example/cb"), "two"), (app("one", CALLBACK), "declared twice")]
    {
        std::fs::write(&apps, [app("one", CALLBACK), second].concat()).unwrap();
        for more in [&[][..], &secrets_dir[..]] {
            let wrong = run(&deployment, &[&["app", "apply", path], more].concat());
            assert_eq!(wrong.status.code(), Some(1));
            assert!(stderr(&wrong).contains(part), "{}", stderr(&wrong));
            assert_eq!(deployment.json(&["app", "list"], ""), json!([]));
            assert!(!folder.exists(), "no secret was made for an app that was not");
        }
    }
    std::fs::write(&apps, [app("one", CALLBACK), app("two", CALLBACK)].concat()).unwrap();
    let planned = deployment.json(&["app", "apply", path, "--dry-run"], "");
    assert_eq!((&planned[0]["result"], &planned[1]["result"]), (&json!("added"), &json!("added")));
    assert!(planned[0].get("client_secret").is_none());
    assert_eq!(deployment.json(&["app", "list"], ""), json!([]));
    let done = deployment.json(&["app", "apply", path], "");
    for (index, id) in ["one", "two"].iter().enumerate() {
        assert_eq!(done[index]["client_id"], *id);
        assert_eq!(done[index]["client_secret"].as_str().unwrap().len(), 43);
    }
}

#[test]
fn health_is_asked_without_another_tool() {
    let deployment = Deployment::new(None);
    let dead = run(&deployment, &["check", "--live"]);
    assert_eq!(dead.status.code(), Some(1));
    assert!(stderr(&dead).contains("refused"), "{}", stderr(&dead));
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let deployment = Deployment::new(None);
    for (name, value, expected, code) in [
        ("AA_AT_TTLL", "5m", "did you mean AA_AT_TTL?", 2),
        ("AA_AT_TTL", "25h", "AA_AT_TTL must be at most 1day", 2),
        ("AA_DT_TTL", "0s", "AA_DT_TTL must be at least one second", 2),
        ("AA_AT_TTL", "soon", "AA_AT_TTL: ", 2),
        ("AA_PUBLIC_URL", "http://aa.example", "--insecure-http", 2),
        ("AA_PUBLIC_URL", "https://aa.example/path", "nothing more", 2),
        ("AA_REGISTRATION", "everybody", "open, invite, closed", 2),
        ("AA_TRUSTED_PROXIES", "10.0.0.0/99", "is not a valid network", 2),
        ("AA_DATABASE_URL", "mysql://x", "neither `sqlite://…` nor `postgres://…`", 2),
        ("AA_DATABASE_URL", "postgres://localhost:1/x", "PostgreSQL at localhost:1 cannot be", 1),
    ] {
        let output = deployment.command().env(name, value).arg("check").output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}={value}: {}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{name}={value}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    std::fs::write(deployment.folder.path().join("aa.toml"), "at_tl = '5m'\n").unwrap();
    assert!(stderr(&run(&deployment, &["check"])).contains("did you mean at_ttl?"));
    std::fs::write(deployment.folder.path().join("aa.toml"), "at_ttl = '7m'\n").unwrap();
    assert_eq!(deployment.json(&["check"], "")["ok"], true);
    let insecure = deployment
        .command()
        .env("AA_PUBLIC_URL", "http://aa.example")
        .args(["check", "--insecure-http"])
        .output();
    assert!(insecure.unwrap().status.success());
    assert_eq!(run(&deployment, &["frobnicate"]).status.code(), Some(2));
}

#[test]
fn an_address_is_vouched_for_by_flag_by_command_and_by_file() {
    let deployment = Deployment::migrated();
    let add = |email: &str, more: &[&str]| {
        let mut command = vec!["user", "add", "--email", email, "--password-stdin"];
        command.extend(more);
        deployment.json(&command, PASSWORD)
    };
    let is_verified = |email: &str| {
        let listed = deployment.json(&["user", "list"], "");
        let mut users = listed.as_array().unwrap().iter();
        users.find(|user| user["email"] == email).unwrap()["email_verified"].clone()
    };
    add("ann@example.com", &["--email-verified"]);
    add("bo@example.com", &[]);
    add("cy@example.com", &[]);
    assert_eq!(is_verified("ann@example.com"), true);
    assert_eq!(is_verified("bo@example.com"), false);
    deployment.json(&["user", "verify-email", "bo@example.com"], "");
    assert_eq!(is_verified("bo@example.com"), true);
    let file = deployment.folder.path().join("people.toml");
    let user = |email: &str| {
        format!("[[user]]\nemail = '{email}'\npassword = '{PASSWORD}'\nemail_verified = true\n")
    };
    let both = [user("cy@example.com"), user("di@example.com")].concat();
    std::fs::write(&file, both).unwrap();
    for expected in [["changed", "added"], ["unchanged", "unchanged"]] {
        let applied = deployment.json(&["user", "apply", file.to_str().unwrap()], "");
        assert_eq!([&applied[0]["result"], &applied[1]["result"]], expected);
    }
    assert_eq!(
        (is_verified("cy@example.com"), is_verified("di@example.com")),
        (json!(true), json!(true))
    );
}

#[test]
fn an_app_says_how_its_users_are_named_and_its_answers_signed() {
    let deployment = Deployment::migrated();
    let add = ["app", "add", "shop", "--name", "Shop", "--redirect-uri", "https://shop.example/cb"];
    let settings =
        ["--client-credentials", "--subject-type", "pairwise", "--userinfo-alg", "ES256"];
    deployment.json(&[&add[..], &settings].concat(), "");
    let shown = deployment.json(&["app", "show", "shop"], "");
    assert_eq!(shown["client_credentials"], true);
    assert_eq!(shown["subject_type"], "pairwise");
    assert_eq!(shown["userinfo_signed_response_alg"], "ES256");
    let two = ["--redirect-uri", "https://other.example/cb", "--subject-type", "pairwise"];
    let refused = run(&deployment, &[&["app", "add", "two"], &add[3..], &two].concat());
    assert!(stderr(&refused).contains("sector_identifier"), "{}", stderr(&refused));
    let sector = ["--sector-identifier", "shop.example"];
    deployment.json(&[&["app", "add", "two"], &add[3..], &two, &sector].concat(), "");
}

#[test]
fn a_first_start_needs_nothing_and_leaves_private_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let deployment = Deployment::new(None);
    let output = deployment.command().env_remove("AA_SECRET_FILE").arg("migrate").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for file in ["aa.db", "secret"] {
        let mode = deployment
            .folder
            .path()
            .join("data")
            .join(file)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

/// Every file below a folder, with its content.
fn files(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.push((path, content));
        }
    }
    found.sort();
    found
}

#[test]
fn check_changes_nothing() {
    let deployment = Deployment::new(None);
    let folder = deployment.folder.path().to_owned();
    let check = |secret: bool| {
        let mut command = deployment.command();
        if !secret {
            command.env_remove("AA_SECRET_FILE");
        }
        let before = files(&folder);
        let output = command.arg("check").output().unwrap();
        assert!(before == files(&folder), "{}", stderr(&output));
        output
    };
    let text = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let empty = check(false);
    assert!(empty.status.success() && text(&empty).contains("none yet at ./data/aa.db"));
    deployment.json(&["migrate"], "");
    let current = check(true);
    assert!(text(&current).contains("its schema is current"), "{}", stderr(&current));
    assert!(text(&current).contains("note: there are no apps yet"));
    let no_secret = check(false);
    assert_eq!(no_secret.status.code(), Some(1));
    assert!(stderr(&no_secret).contains("data/secret is missing"), "{}", stderr(&no_secret));
    // What an older version has left.
    let database = database::rusqlite::Connection::open(folder.join("data/aa.db")).unwrap();
    database.execute("DELETE FROM _sqlx_migrations WHERE version > 20", []).unwrap();
    drop(database);
    assert!(text(&check(true)).contains("`migrate` applies 15 migrations"));
    let refused = run(&deployment, &["user", "list"]);
    assert!(stderr(&refused).contains("run `aa-server migrate`"), "{}", stderr(&refused));
}

#[test]
fn a_command_makes_no_database() {
    let deployment = Deployment::new(None);
    let before = files(deployment.folder.path());
    for args in [&["user", "list"][..], &["app", "list"], &["keys", "rotate"], &["end-everything"]]
    {
        let output = run(&deployment, args);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("there is no database at ./data/aa.db"), "{args:?}");
    }
    let output = run(&deployment, &["--json", "user", "list"]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["error"].as_str().unwrap().contains("there is no database"), "{told}");
    assert!(before == files(deployment.folder.path()));
}

#[test]
fn postgresql_says_why_it_cannot_be_used() {
    let Some(url) = testing::postgres() else { return };
    let with = |change: &dyn Fn(&mut url::Url)| {
        let mut url = url::Url::parse(&url).unwrap();
        change(&mut url);
        stderr(&run(&Deployment::new(Some(url.into())), &["check"]))
    };
    let said = with(&|url| url.set_path("/nowhere"));
    assert!(said.contains("has no database `nowhere`"), "{said}");
    let said = with(&|url| url.set_username("mallory").unwrap());
    assert!(said.contains("does not let `mallory` in"), "{said}");
    let empty = run(&Deployment::new(Some(url.clone())), &["check"]);
    let told = String::from_utf8(empty.stdout).unwrap();
    assert!(told.contains("PostgreSQL answers, and is empty"), "{told}");
    let refused = run(&Deployment::new(Some(url.clone())), &["user", "list"]);
    assert!(stderr(&refused).contains("run `aa-server migrate`"), "{}", stderr(&refused));
    // Neither has made a table.
    let again = run(&Deployment::new(Some(url.clone())), &["check"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap().lines().next(), told.lines().next());
    let refused = run(&Deployment::new(None), &["family", "revoke", "abc"]);
    assert!(stderr(&refused).contains("not the id of a session"), "{}", stderr(&refused));
}

#[test]
fn the_public_url_follows_the_port() {
    let deployment = Deployment::migrated();
    let check = |listen: &str, public: Option<&str>| {
        let mut command = deployment.command();
        command.env_remove("AA_PUBLIC_URL").env("AA_LISTEN", listen).arg("check");
        if let Some(public) = public {
            command.env("AA_PUBLIC_URL", public);
        }
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(!check("127.0.0.1:21200", None).contains("AA_PUBLIC_URL"));
    let told = check("127.0.0.1:21200", Some("http://localhost:8080"));
    assert!(told.contains("browsers are sent to http://localhost:8080"), "{told}");
    assert!(told.contains("aa-secret can be read by other users"), "{told}");
}

#[test]
fn data_that_goes_with_its_container_is_refused_where_it_is_not_meant() {
    let deployment = Deployment::new(None);
    let in_memory = format!("/dev/shm/aa-{}", std::process::id());
    let mut command = deployment.command();
    command.env("AA_DATA_DIR", &in_memory).env("AA_EPHEMERAL_DATA", "false");
    let output = command.arg("serve").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("goes with this container") && said.contains("docker run -v"), "{said}");
    assert!(!std::path::Path::new(&in_memory).exists(), "nothing was made there");
}

#[test]
fn events_are_found_by_kind_app_user_and_time() {
    let deployment = Deployment::migrated();
    deployment.json(
        &["user", "add", "--email", "ann@example.com", "--admin", "--password-stdin"],
        PASSWORD,
    );
    for app in ["one", "two"] {
        deployment.json(&["app", "add", app, "--name", app, "--redirect-uri", CALLBACK], "");
    }
    let list = |args: &[&str]| {
        let output = run(&deployment, &[&["events", "list"], args].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let made = list(&["--kind", "app.made"]);
    assert_eq!(made.len(), 2);
    assert!(made[0].contains("app two  by operator"), "{made:?}");
    assert_eq!(list(&["--app", "one"]).len(), 1);
    let ann = list(&["--user", "ann@example.com"]);
    assert!(ann.len() == 1 && ann[0].contains("user.made  user ann@example.com"), "{ann:?}");
    assert_eq!(list(&["--kind", "app.made", "--since", "1h"]).len(), 2);
    let unknown = run(&deployment, &["events", "list", "--kind", "app.maid"]);
    assert!(stderr(&unknown).contains("app.made, app.changed"), "{}", stderr(&unknown));
    let last = run(&deployment, &["user", "disable", "ann@example.com"]);
    assert!(stderr(&last).contains("the last administrator"), "{}", stderr(&last));
    let asked = run(&deployment, &["user", "add", "--email", "bo@example.com"]);
    assert!(stderr(&asked).contains("--password-stdin"), "{}", stderr(&asked));
}
