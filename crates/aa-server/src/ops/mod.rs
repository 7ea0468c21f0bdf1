//! What the authority does: one file per verb. An op takes the app and a command, and answers with an outcome
//! or an error of its own.

pub mod apps;
pub mod authenticate_app;
pub mod client_credentials;
pub mod delegate;
pub mod end;
pub mod hint;
pub mod introspect;
pub mod issue;
pub mod keys;
pub mod passwords;
pub mod people;
pub mod redeem;
pub mod refresh;
pub mod revoke;
pub mod sessions;
pub mod sign_in;
pub mod throttle;
pub mod userinfo;

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The address.
    pub ip: String,
    /// What it says it is, cut to 512 characters.
    pub user_agent: String,
    /// The id of the request.
    pub request_id: String,
}

impl Caller {
    /// An operator at the command line.
    pub fn operator() -> Self {
        Self {
            ip: "local".to_owned(),
            user_agent: "aa-server".to_owned(),
            request_id: String::new(),
        }
    }

    /// Address and agent, as the store takes them.
    pub fn place(&self) -> (&str, &str) {
        (&self.ip, &self.user_agent)
    }
}
