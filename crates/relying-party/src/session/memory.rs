//! Sessions in this process. They are gone when it ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use foundation::time::Timestamp;

use super::{IdHash, SessionRecord, SessionStore, StoreError};

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<IdHash, SessionRecord>>);

impl Memory {
    fn map(&self) -> MutexGuard<'_, HashMap<IdHash, SessionRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionStore for Memory {
    async fn create(&self, id: &IdHash, session: &SessionRecord) -> Result<(), StoreError> {
        self.map().insert(id.clone(), session.clone());
        Ok(())
    }

    async fn read(&self, id: &IdHash, now: Timestamp) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.map().get(id).filter(|session| session.expires_at > now).cloned())
    }

    async fn update(&self, id: &IdHash, session: &SessionRecord) -> Result<bool, StoreError> {
        match self.map().get_mut(id).filter(|current| current.version == session.version - 1) {
            Some(current) => {
                *current = session.clone();
                Ok(true)
            }
            None => Ok(false),
        }
    }

    async fn remove(&self, id: &IdHash) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.map().remove(id))
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut map = self.map();
        let before = map.len();
        map.retain(|_, session| session.expires_at > now);
        Ok((before - map.len()) as u64)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
