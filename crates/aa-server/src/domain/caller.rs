//! Where a request comes from.

/// The origin of a request, as events and sessions record it.
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
