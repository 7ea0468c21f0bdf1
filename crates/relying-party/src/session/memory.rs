//! Sessions in this process. They are gone when it ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use foundation::time::Timestamp;

use super::{Handle, IdHash, PendingRevocation, SessionRecord, SessionStore, StoreError};

#[derive(Debug, Default)]
pub(super) struct Memory {
    sessions: Mutex<HashMap<IdHash, SessionRecord>>,
    revocations: Mutex<HashMap<IdHash, PendingRevocation>>,
    /// Sessions by handle.
    handles: Mutex<HashMap<Handle, HashMap<IdHash, Span>>>,
}

/// Beginning and end of a session.
type Span = (Timestamp, Timestamp);

impl Memory {
    fn map(&self) -> MutexGuard<'_, HashMap<IdHash, SessionRecord>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn revocations(&self) -> MutexGuard<'_, HashMap<IdHash, PendingRevocation>> {
        self.revocations.lock().unwrap_or_else(PoisonError::into_inner)
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

    async fn add_handles(
        &self,
        id: &IdHash,
        handles: &[Handle],
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut known = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        for handle in handles {
            known.entry(handle.clone()).or_default().insert(id.clone(), (created_at, expires_at));
        }
        Ok(())
    }

    async fn find(&self, handle: &Handle, until: Timestamp) -> Result<Vec<IdHash>, StoreError> {
        let known = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = known.get(handle).into_iter().flatten();
        Ok(sessions.filter(|(_, (began, _))| *began <= until).map(|(id, _)| id.clone()).collect())
    }

    async fn keep_revocation(&self, revocation: &PendingRevocation) -> Result<(), StoreError> {
        self.revocations().insert(revocation.id.clone(), revocation.clone());
        Ok(())
    }

    async fn due_revocations(
        &self,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<PendingRevocation>, StoreError> {
        let revocations = self.revocations();
        let due =
            revocations.values().filter(|kept| kept.next_try_at <= now && kept.expires_at > now);
        let mut due: Vec<_> = due.cloned().collect();
        due.sort_by_key(|kept| kept.next_try_at);
        due.truncate(usize::from(limit));
        Ok(due)
    }

    async fn remove_revocation(&self, id: &IdHash) -> Result<(), StoreError> {
        self.revocations().remove(id);
        Ok(())
    }

    async fn remove_expired(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.revocations().retain(|_, kept| kept.expires_at > now);
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, sessions| {
            sessions.retain(|_, (_, expires_at)| *expires_at > now);
            !sessions.is_empty()
        });
        let mut map = self.map();
        let before = map.len();
        map.retain(|_, session| session.expires_at > now);
        Ok((before - map.len()) as u64)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
