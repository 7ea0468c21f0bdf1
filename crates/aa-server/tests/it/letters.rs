//! The mails that an authority without a mail server has put into its folder.

use aa_server::services::mailer::StoredLetter;

use crate::support::{TestApp, until};

impl TestApp {
    pub fn mails_to(&self, email: &str) -> Vec<StoredLetter> {
        let mails = self.authority.mailer.stored().unwrap();
        mails.into_iter().filter(|mail| mail.to == email).collect()
    }

    /// The newest mail to an address with this subject.
    pub async fn mail(&self, email: &str, subject: &str) -> StoredLetter {
        let found = || self.mails_to(email).into_iter().find(|mail| mail.subject == subject);
        until(&format!("a mail to {email}: {subject}"), || found().is_some()).await;
        found().unwrap()
    }
}

/// The link of a mail, without the origin.
pub fn link(t: &TestApp, mail: &StoredLetter) -> String {
    let link = mail.text.lines().find(|line| line.starts_with(&t.url)).expect("a link");
    link[t.url.len()..].to_owned()
}

pub fn token(link: &str) -> String {
    link.split_once("token=").unwrap().1.to_owned()
}

/// The code of a mail.
pub fn code_of(mail: &StoredLetter) -> String {
    let is_code = |line: &&str| line.len() == 8 && line.bytes().all(|byte| byte.is_ascii_digit());
    mail.text.lines().map(str::trim).find(is_code).expect("a code").to_owned()
}
