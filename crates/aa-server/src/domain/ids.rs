//! The ids of users, families, browsers, browser sessions, events and passkeys.

use foundation::uuid_id;

uuid_id! {
    /// The id of a user: the `sub` of tokens.
    UserId
}

uuid_id! {
    /// The id of a family: the `sid` of tokens.
    FamilyId
}

uuid_id! {
    /// The id of a browser.
    BrowserId
}

uuid_id! {
    /// The id of a browser session.
    BrowserSessionId
}

uuid_id! {
    /// The id of an event.
    EventId
}

uuid_id! {
    /// The id of a passkey.
    PasskeyId
}
