//! The ends that a follower knows of, in a form that a token is checked against in nanoseconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use uuid::Uuid;

use crate::feed::SessionIdentity;
use crate::id_filter::IdFilter;
use crate::revocation::{Revocation, Revoked};
use crate::sharded::Sharded;
use crate::{Actor, Claims};

/// Families that are kept one by one, at most: some 80 MB.
const MAX_FAMILIES: usize = 1_000_000;
/// Users that are kept one by one, at most.
const MAX_USERS: usize = 250_000;
/// Clients that are kept one by one, at most.
const MAX_CLIENTS: usize = 10_000;

/// A set of ends. Reading takes no lock; entries leave when no token that they concern can be valid any more.
///
/// Memory is bounded: when there are more ends than it keeps one by one, it drops them and takes every token as ended
/// that was issued before. Clients then refresh their tokens; no ended token is accepted.
#[derive(Debug)]
pub struct EndedSet {
    families: Sharded<FamilyEnd>,
    users: Sharded<Arc<UserEnd>>,
    clients: ArcSwap<HashMap<String, ClientEnd>>,
    clients_len: AtomicUsize,
    /// Families and users, so that a token of which nothing is known costs no look into the maps.
    filter: IdFilter,
    /// Tokens with a smaller `iat` have ended, and the time from which that does not matter any more.
    everything: (AtomicI64, AtomicI64),
    why_everything: ArcSwap<Arc<str>>,
    writing: Mutex<()>,
    max_families: usize,
}

#[derive(Debug, Clone)]
struct FamilyEnd {
    until: i64,
    reason: Arc<str>,
}

#[derive(Debug)]
struct UserEnd {
    epoch: i64,
    except: Vec<Uuid>,
    until: i64,
    reason: Arc<str>,
}

#[derive(Debug, Clone)]
struct ClientEnd {
    issued_before: i64,
    until: i64,
    reason: Arc<str>,
}

/// An end that concerns a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEnd {
    /// The reason, as [`Revocation`] has it.
    pub reason: Arc<str>,
    /// Whether the family itself is named. If not, the end concerns a token: one that was issued since to the same family
    /// may be good, so of a session whose token has expired the authority has to be asked.
    pub is_of_family: bool,
}

/// What ends are looked up by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids<'a> {
    pub user: Option<Uuid>,
    pub sid: Option<Uuid>,
    pub user_epoch: Option<i64>,
    pub client_id: &'a str,
    pub act: Option<&'a Actor>,
    pub iat: i64,
}

impl<'a> From<&'a Claims> for Ids<'a> {
    fn from(claims: &'a Claims) -> Self {
        Self {
            user: claims.sub.user(),
            sid: claims.sid,
            user_epoch: claims.user_epoch,
            client_id: &claims.client_id,
            act: claims.act.as_ref(),
            iat: claims.iat,
        }
    }
}

impl Default for EndedSet {
    fn default() -> Self {
        Self {
            families: Sharded::default(),
            users: Sharded::default(),
            clients: ArcSwap::default(),
            clients_len: AtomicUsize::new(0),
            filter: IdFilter::default(),
            everything: (AtomicI64::new(i64::MIN), AtomicI64::new(i64::MIN)),
            why_everything: ArcSwap::from_pointee(Arc::from("")),
            writing: Mutex::new(()),
            max_families: MAX_FAMILIES,
        }
    }
}

impl EndedSet {
    /// Whether the session of an accepted token has ended.
    pub fn contains(&self, claims: &Claims) -> bool {
        self.find(claims.into(), |_| ()).is_some()
    }

    /// The end that concerns a session, if it is known.
    pub fn end_of(&self, session: &SessionIdentity) -> Option<KnownEnd> {
        self.find(session.into(), |end| KnownEnd { reason: Arc::clone(end.1), is_of_family: end.0 })
    }

    /// `read` is given whether the family itself is named, and the reason.
    fn find<T>(&self, ids: Ids<'_>, read: impl Fn((bool, &Arc<str>)) -> T) -> Option<T> {
        if ids.iat < self.everything.0.load(Ordering::Acquire) {
            return Some(read((false, &self.why_everything.load())));
        }
        if let Some(sid) = ids.sid.filter(|sid| self.filter.may_have(sid))
            && let Some(found) = self.families.get(&sid, |end| Some(read((true, &end.reason))))
        {
            return Some(found);
        }
        let concerned = |end: &Arc<UserEnd>| end.concerns(ids).then(|| read((false, &end.reason)));
        if let Some(user) = ids.user.filter(|user| self.filter.may_have(user))
            && let Some(found) = self.users.get(&user, concerned)
        {
            return Some(found);
        }
        if self.clients_len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let clients = self.clients.load();
        let end_of =
            |client_id: &str| clients.get(client_id).filter(|end| ids.iat < end.issued_before);
        // A token that was exchanged is also of those before: its chain ends with the client of the session.
        let mut actors = ids.act.into_iter().flat_map(Actor::chain);
        let end = end_of(ids.client_id).or_else(|| actors.find_map(|actor| end_of(&actor.sub)));
        end.map(|end| read((false, &end.reason)))
    }

    /// The number of families, users and clients that have ended, as far as they are kept one by one.
    pub fn len(&self) -> usize {
        self.families.len() + self.users.len() + self.clients.load().len()
    }

    /// Whether it has no end.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.everything.0.load(Ordering::Acquire) == i64::MIN
    }

    /// Adds ends, in the order of the log.
    pub(crate) fn add(&self, revocations: &[Revocation]) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        for revocation in revocations {
            self.add_one(revocation);
        }
    }

    fn add_one(&self, revocation: &Revocation) {
        let (until, reason) = (revocation.until, Arc::<str>::from(revocation.reason.as_str()));
        match &revocation.of {
            Revoked::Families { sids } => {
                if self.families.len() + sids.len() > self.max_families {
                    self.raise_floor(revocation.ended_at + FLOOR_MARGIN, until, reason);
                    return self.families.clear();
                }
                let end = FamilyEnd { until, reason };
                for sid in sids {
                    self.filter.add(sid);
                }
                self.families.insert_all(sids.iter().map(|sid| (*sid, end.clone())));
            }
            Revoked::User { sub, epoch, except } => {
                if self.users.len() >= MAX_USERS {
                    self.raise_floor(revocation.ended_at + FLOOR_MARGIN, until, reason);
                    return self.users.clear();
                }
                // The end of a later epoch says all that is to be said about those before.
                let is_known = self.users.get(sub, |known| (known.epoch >= *epoch).then_some(()));
                if is_known.is_none() {
                    self.filter.add(sub);
                    let end = UserEnd { epoch: *epoch, except: except.clone(), until, reason };
                    self.users.insert_all([(*sub, Arc::new(end))]);
                }
            }
            Revoked::Client { client_id, issued_before } => {
                if self.clients.load().len() >= MAX_CLIENTS {
                    self.raise_floor(*issued_before, until, reason);
                    return self.store_clients(HashMap::new());
                }
                let mut clients = HashMap::clone(&self.clients.load());
                let end = ClientEnd { issued_before: *issued_before, until, reason };
                clients
                    .entry(client_id.clone())
                    .and_modify(|known| {
                        known.issued_before = known.issued_before.max(end.issued_before);
                        known.until = known.until.max(end.until);
                    })
                    .or_insert(end);
                self.store_clients(clients);
            }
            Revoked::Everything { issued_before } => {
                self.raise_floor(*issued_before, until, reason);
            }
        }
    }

    fn store_clients(&self, clients: HashMap<String, ClientEnd>) {
        let len = clients.len();
        // A reader that sees none must not miss one.
        self.clients_len.fetch_max(len, Ordering::AcqRel);
        self.clients.store(Arc::new(clients));
        self.clients_len.store(len, Ordering::Release);
    }

    fn raise_floor(&self, issued_before: i64, until: i64, reason: Arc<str>) {
        self.why_everything.store(Arc::new(reason));
        self.everything.0.fetch_max(issued_before, Ordering::AcqRel);
        self.everything.1.fetch_max(until, Ordering::AcqRel);
    }

    /// Removes entries that do not matter at `now` (Unix seconds) any more, however late a verifier still accepts a token.
    pub(crate) fn forget_old(&self, now: i64) {
        const MAX_LEEWAY: i64 = 300;
        let old = now.saturating_sub(MAX_LEEWAY);
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.families.retain(|end| end.until >= old);
        self.users.retain(|end| end.until >= old);
        if self.clients.load().values().any(|end| end.until < old) {
            let mut clients = HashMap::clone(&self.clients.load());
            clients.retain(|_, end| end.until >= old);
            self.store_clients(clients);
        }
        self.filter.rebuild(|add| {
            self.families.each_id(&mut *add);
            self.users.each_id(add);
        });
        if self.everything.1.load(Ordering::Acquire) < old {
            self.everything.0.store(i64::MIN, Ordering::Release);
        }
    }
}

/// Seconds for which tokens that were issued after an end are taken as ended too when only their time of issue tells: the
/// clocks of the authority's replicas may differ that much.
const FLOOR_MARGIN: i64 = 2;

impl UserEnd {
    fn concerns(&self, ids: Ids<'_>) -> bool {
        let is_before = ids.user_epoch.is_none_or(|epoch| epoch <= self.epoch);
        is_before && !ids.sid.is_some_and(|sid| self.except.contains(&sid))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    fn token(user: u128, epoch: Option<i64>, sid: u128, client_id: &str, iat: i64) -> Claims {
        let mut claims = json!({
            "iss": "i", "sub": id(user), "aud": "a", "client_id": client_id, "iat": iat, "exp": iat + 300,
            "jti": "j", "sid": id(sid), "scope": "", "auth_time": 1, "amr": [],
        });
        if let Some(epoch) = epoch {
            claims["user_epoch"] = epoch.into();
        }
        Claims::parse(claims.to_string().as_bytes()).unwrap()
    }

    fn end(of: Revoked) -> Revocation {
        Revocation { of, reason: "signed_out".to_owned(), ended_at: NOW, until: NOW + 330 }
    }

    #[test]
    fn an_end_concerns_its_own_tokens_and_no_others() {
        let set = EndedSet::default();
        let mine = token(1, Some(0), 10, "bff", NOW - 5);
        assert!(set.is_empty() && !set.contains(&mine));
        set.add(&[end(Revoked::Families { sids: vec![id(10), id(11)] })]);
        assert!(set.contains(&mine));
        assert!(!set.contains(&token(1, Some(0), 12, "bff", NOW - 5)));
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn the_end_of_a_user_is_by_epoch_and_not_by_the_clock() {
        let set = EndedSet::default();
        set.add(&[end(Revoked::User { sub: id(1), epoch: 2, except: vec![id(10)] })]);
        for (epoch, sid, ended) in [
            (Some(2), 11, true),
            (Some(0), 11, true),
            (None, 11, true),
            (Some(3), 11, false),
            (Some(2), 10, false),
        ] {
            for iat in [NOW - 3600, NOW + 3600] {
                assert_eq!(
                    set.contains(&token(1, epoch, sid, "bff", iat)),
                    ended,
                    "{epoch:?} {sid}"
                );
            }
        }
        assert!(!set.contains(&token(2, Some(0), 11, "bff", NOW)));
        // A later end keeps nothing; an earlier one that is read again changes nothing.
        set.add(&[end(Revoked::User { sub: id(1), epoch: 3, except: Vec::new() })]);
        set.add(&[end(Revoked::User { sub: id(1), epoch: 2, except: vec![id(10)] })]);
        assert!(set.contains(&token(1, Some(2), 10, "bff", NOW)));
        assert!(!set.contains(&token(1, Some(4), 10, "bff", NOW)));
    }

    #[test]
    fn the_end_of_a_client_or_of_everything_is_by_the_time_of_issue() {
        let set = EndedSet::default();
        let of = |issued_before| Revoked::Client { client_id: "bff".to_owned(), issued_before };
        set.add(&[end(of(NOW)), end(of(NOW - 100))]);
        assert!(set.contains(&token(1, Some(0), 10, "bff", NOW - 1)));
        assert!(!set.contains(&token(1, Some(0), 10, "bff", NOW)));
        assert!(!set.contains(&token(1, Some(0), 10, "tmb", NOW - 1)));
        set.add(&[end(Revoked::Everything { issued_before: NOW })]);
        assert!(set.contains(&token(1, Some(0), 10, "tmb", NOW - 1)));
        assert!(!set.contains(&token(1, Some(0), 10, "tmb", NOW)));
    }

    #[test]
    fn the_end_of_a_client_concerns_what_was_exchanged_for_its_tokens() {
        let chain =
            json!({ "sub": "orders", "act": { "sub": "basket", "act": { "sub": "shop" } } });
        let mut exchanged = token(1, Some(0), 10, "orders", NOW - 1);
        exchanged.act = serde_json::from_value(chain).unwrap();
        let session = SessionIdentity::from(&exchanged);
        for (client_id, ended) in
            [("shop", true), ("basket", true), ("orders", true), ("notes", false)]
        {
            let set = EndedSet::default();
            let of = Revoked::Client { client_id: client_id.to_owned(), issued_before: NOW };
            set.add(&[end(of)]);
            assert_eq!(set.contains(&exchanged), ended, "{client_id}");
            assert_eq!(set.end_of(&session).is_some(), ended, "{client_id}");
        }
    }

    #[test]
    fn ends_leave_when_no_token_of_theirs_can_be_valid() {
        let set = EndedSet::default();
        set.add(&[
            end(Revoked::Families { sids: vec![id(10)] }),
            end(Revoked::User { sub: id(1), epoch: 2, except: Vec::new() }),
            end(Revoked::Client { client_id: "bff".to_owned(), issued_before: NOW }),
            end(Revoked::Everything { issued_before: NOW }),
        ]);
        // A verifier may accept a token for up to five minutes after it has expired.
        set.forget_old(NOW + 330 + 300);
        assert_eq!(set.len(), 3);
        assert!(set.contains(&token(5, Some(9), 19, "tmb", NOW - 1)));
        set.forget_old(NOW + 330 + 301);
        assert!(set.is_empty());
        assert!(!set.contains(&token(1, Some(0), 10, "bff", NOW - 1)));
    }

    #[test]
    fn what_does_not_fit_any_more_is_ended_by_its_time_of_issue() {
        let set = EndedSet { max_families: 100, ..EndedSet::default() };
        for number in 0..=100 {
            set.add(&[end(Revoked::Families { sids: vec![id(number)] })]);
        }
        assert_eq!(set.len(), 0);
        for number in 0..=100 {
            assert!(set.contains(&token(1, Some(0), number, "bff", NOW)), "{number}");
        }
        assert!(
            !set.contains(&token(1, Some(0), 5, "bff", NOW + FLOOR_MARGIN)),
            "it was refreshed"
        );
    }

    /// Readers beside a writer see every end that was there before they began.
    #[test]
    fn readers_beside_a_writer_miss_nothing() {
        let set = EndedSet::default();
        let added = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..20_000 {
                    set.add(&[end(Revoked::Families { sids: vec![id(number)] })]);
                    added.store(number as usize + 1, Ordering::Release);
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    loop {
                        let known = added.load(Ordering::Acquire);
                        if known > 0 {
                            let last = token(1, Some(0), known as u128 - 1, "bff", NOW);
                            assert!(set.contains(&last), "{known}");
                        }
                        if known == 20_000 {
                            break;
                        }
                    }
                });
            }
        });
        assert_eq!(set.len(), 20_000);
    }
}
