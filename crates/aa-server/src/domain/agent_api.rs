//! What an API lets agents ask for.

/// What an API lets the agents of documents ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentApi {
    /// Its audience.
    pub audience: String,
    /// The scopes.
    pub scopes: Vec<String>,
}
