//! The first step by a passkey, which needs no other: the authenticator has verified its user.

use std::net::IpAddr;

use tracing::info;

use super::next::{Origin, Outcome, proceed};
use super::sign_in::SignInError;
use crate::authority::Authority;
use crate::domain::authentication::{Authentication, Step};
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::services::throttle::Counter;

/// Checks a passkey's answer to the challenge of the sign-in page.
///
/// # Errors
/// [`SignInError`]; [`SignInError::Wrong`] also when the challenge was answered before.
pub async fn sign_in(
    authority: &Authority,
    (state, answer): (&str, &str),
    origin: &Origin,
    address: IpAddr,
    caller: &Caller,
) -> Result<Outcome, SignInError> {
    authority.throttle.take(&Counter::address(address), authority.now()).await?;
    let now = authority.now();
    let (credential_id, named) =
        authority.passkeys.identify(answer).map_err(|_| SignInError::Wrong)?;
    let row = authority.store.passkey(&credential_id).await?;
    let row = row.filter(|row| named.is_none_or(|user| user == row.user_id.uuid()));
    let Some(row) = row else { return Err(SignInError::UnknownPasskey) };
    let checked =
        authority.passkeys.finish_sign_in((state, answer), &row.credential, &origin.binding, now);
    let user = authority.store.user(row.user_id).await?.filter(|user| user.enabled);
    let fresh = match &checked {
        Ok(used) => authority.store.use_challenge(&used.challenge, used.expires_at).await?,
        Err(refused) => {
            info!(user = %row.user_id, %refused, "a passkey was refused");
            false
        }
    };
    match (checked, user) {
        (Ok(used), Some(user)) if fresh => {
            if !authority.store.use_passkey(row.id, &used.credential, used.synced, now).await? {
                return Err(SignInError::Wrong);
            }
            let done = Authentication::begin(Step::Passkey, now);
            Ok(proceed(authority, &user, done, origin, caller).await?)
        }
        _ => {
            let event = authority
                .event(EventKind::FactorRefused, Actor::Anonymous, caller)
                .user(row.user_id);
            authority.store.add_event(&event, now).await?;
            Err(SignInError::Wrong)
        }
    }
}
