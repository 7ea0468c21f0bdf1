//! Records changes of the settings.

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::store::Result;

/// Writes an event with the settings, without secrets, if they differ from those of the last start. Of replicas that
/// start together with the same settings, one writes it. Returns whether it was written.
pub async fn record(authority: &Authority) -> Result<bool> {
    let settings = authority.config.to_json();
    let text = settings.to_string();
    let event = authority
        .event(EventKind::SettingsSeen, Actor::System, &Caller::operator())
        .detail(settings);
    authority.store.record_settings(&text, event, authority.now()).await
}
