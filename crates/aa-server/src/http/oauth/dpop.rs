//! DPoP proofs in requests (RFC 9449).

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use tokens::dpop::{Proof, ProofError, ProofTarget};

use crate::authority::Authority;
use crate::domain::client::ClientMetadata;
use crate::http::error::{Error, OAuthError};

/// The header of a proof (RFC 9449 §4.1).
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// The thumbprint of the key that a request of this client proves; none without a proof.
///
/// *Checks* what [`Proof::verify`] does, that the client may use the algorithm, that the proof has a nonce of this authority,
/// and that no request at this replica has brought it before. Another replica may see a proof again within the minute for
/// which it is good, but not the code or the refresh token that it came with.
///
/// # Errors
/// [`Error::UseDpopNonce`], or `invalid_dpop_proof`.
pub(super) fn proven_key(
    authority: &Authority,
    request: &HttpRequest,
    client: &ClientMetadata,
) -> Result<Option<String>, Error> {
    if !request.headers().contains_key(DPOP) {
        return Ok(None);
    }
    let refused = |why: ProofError| Error::oauth(OAuthError::InvalidDpopProof, why.to_string());
    let proof = verify(authority, request, None).map_err(refused)?;
    if !client.may_sign_with(proof.algorithm()) {
        let why = "this client must not sign with RS256 (FAPI 2.0 Security Profile, section 5.4.1)";
        return Err(Error::oauth(OAuthError::InvalidDpopProof, why));
    }
    let now = authority.now();
    if !proof.nonce().is_some_and(|nonce| authority.dpop.accepts(nonce, now)) {
        return Err(Error::UseDpopNonce(authority.dpop.nonce(now)));
    }
    authority.dpop.use_once(&proof, now).map_err(refused)?;
    Ok(Some(proof.thumbprint().to_owned()))
}

/// The proof of a request with this access token (RFC 9449 §7). No nonce is needed.
///
/// # Errors
/// [`ProofError`].
pub(super) fn proof_for(
    authority: &Authority,
    request: &HttpRequest,
    access_token: &str,
) -> Result<Proof, ProofError> {
    let proof = verify(authority, request, Some(access_token))?;
    authority.dpop.use_once(&proof, authority.now())?;
    Ok(proof)
}

fn verify(
    authority: &Authority,
    request: &HttpRequest,
    access_token: Option<&str>,
) -> Result<Proof, ProofError> {
    let mut headers = request.headers().get_all(DPOP);
    let header = headers.next().ok_or(ProofError::Missing)?;
    if headers.next().is_some() {
        return Err(ProofError::Several);
    }
    let url = authority.config.public_url.join(request.path());
    let target = ProofTarget {
        method: request.method().as_str(),
        url: &url,
        access_token,
        now: authority.now().secs(),
    };
    Proof::verify(header.to_str().map_err(|_| ProofError::Malformed)?, &target)
}
