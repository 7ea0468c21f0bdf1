//! A deployment's own templates, on pages and in mails.

use crate::support::{Browser, TestApp};

#[tokio::test]
async fn templates_of_a_deployment_stand_around_pages_and_in_mails() {
    let folder = tempfile::tempdir().unwrap();
    let templates = folder.path().join("templates");
    std::fs::create_dir(&templates).unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/templates/footer.html").to_owned();
    let footer = std::fs::read_to_string(shipped).unwrap();
    let notice = "{% if path == \"/login\" %}<p>Authorised use of Acme only.</p>{% endif %}";
    std::fs::write(templates.join("footer.html"), format!("{notice}{footer}")).unwrap();
    let mail = "ACME\n{{ paragraph }}\n{{ code }}\n{% for fact in facts %}{{ fact }}\n{% endfor %}\
                {% if link %}Here: {{ link.url }}\n{% endif %}{{ otherwise }}\n";
    std::fs::write(templates.join("mail.txt"), mail).unwrap();

    let t = TestApp::with(None, &[("branding", folder.path().to_str().unwrap())]).await;
    t.add_user("ann@example.com").await;
    let browser = Browser::new(&t.url);
    let login = browser.get("/login").await.text().await.unwrap();
    assert!(login.contains("<p>Authorised use of Acme only.</p><footer"), "{login}");
    let other = browser.get("/password/forgot").await.text().await.unwrap();
    assert!(!other.contains("Acme only") && other.contains("<footer"), "{other}");
    let form = [("email", "ann@example.com")];
    browser.submit("/password/forgot", "/password/forgot", &form).await;
    let text = t.mail("ann@example.com", "Choose a new password").await.text;
    assert!(text.contains("ACME") && text.contains("Here: http://"), "{text}");
}
