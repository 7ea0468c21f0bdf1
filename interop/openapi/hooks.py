"""What schemathesis cannot invent: credentials, and requests that succeed.

Every request has credentials that count where the document wants some. Of the requests that are as the document says, every
second one is completed with what the servers have given out (a code, a refresh token, a client that registered itself), and
has to succeed; one of eight gets credentials that do not count, and has to be refused. All others are sent as generated.
"""

import itertools
import json
import os
import time
import uuid
from base64 import b64encode, urlsafe_b64encode
from collections import Counter
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from jwt.algorithms import ECAlgorithm
from person import Person
from schemathesis.generation import GenerationMode

ISSUER, NOTES, DOCUMENT, CALLBACK = (os.environ[name] for name in ("ISSUER", "NOTES", "DOCUMENT", "CALLBACK"))
INITIAL = os.environ["INITIAL_ACCESS_TOKEN"]
CLIENTS = json.loads(os.environ["CLIENTS"])
USER_SCOPE = "openid profile email offline_access roles groups notes:read notes:write stock:read"
# RFC 7636 appendix B
VERIFIER, CHALLENGE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

http = requests.Session()
answers, turns = Counter(), Counter()
addresses = itertools.count(1)
# Ids of requests that have to succeed, and of those that have to be refused.
completed, unauthorized = set(), set()


def basic(client_id):
    return "Basic " + b64encode(f"{client_id}:{CLIENTS[client_id]}".encode()).decode()


class Key:
    """A key that tokens are bound to (RFC 9449)."""

    def __init__(self):
        self.private, self.nonce = generate_private_key(SECP256R1()), ""
        self.public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)

    def proof(self, method, url, access_token=None):
        claims = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time()), "nonce": self.nonce}
        if access_token:
            claims["ath"] = urlsafe_b64encode(sha256(access_token.encode()).digest()).decode().rstrip("=")
        return jwt.encode(claims, self.private, "ES256", {"typ": "dpop+jwt", "jwk": self.public})


key = Key()


def ask_for_token(is_bound=False, **form):
    url, headers = ISSUER + "/oauth/token", {"Authorization": basic("tester")}
    for _ in range(2):
        if is_bound:
            headers["DPoP"] = key.proof("POST", url)
        answer = http.post(url, data=form, headers=headers, timeout=20)
        if answer.ok:
            return answer.json()
        key.nonce = answer.headers.get("DPoP-Nonce", key.nonce)
    raise AssertionError(f"no token: {answer.status_code} {answer.text}")


class User:
    """A user who is signed in."""

    def __init__(self):
        self.person = Person()

    def code(self, scope=USER_SCOPE):
        asked = {"client_id": "tester", "response_type": "code", "redirect_uri": CALLBACK, "scope": scope,
                 "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        go = self.person.follow if self.person.browser.cookies else self.person.sign_in
        answer = go(f"{ISSUER}/oauth/authorize?{urlencode(asked)}", CALLBACK)
        return parse_qs(urlsplit(answer).query)["code"][0]

    def tokens(self, scope=USER_SCOPE, is_bound=False):
        return ask_for_token(is_bound, grant_type="authorization_code", code=self.code(scope), redirect_uri=CALLBACK,
                             code_verifier=VERIFIER)


user = User()
token_of_user, bound_token = user.tokens()["access_token"], user.tokens(is_bound=True)["access_token"]
# With too small a scope, for both servers.
small_token = user.tokens("email offline_access")["access_token"]


def next_address():
    """Wrong tokens are counted by address. The authority trusts this one to say whose request it passes on."""
    number = next(addresses)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def metadata():
    return {"client_name": "Board", "redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "refresh_token"]}


def registered():
    headers = {"Authorization": f"Bearer {INITIAL}", "X-Forwarded-For": next_address()}
    answer = http.post(ISSUER + "/oauth/register", json=metadata(), headers=headers, timeout=20)
    assert answer.ok, answer.text
    return answer.json()


managed = registered()
registration_tokens = {}


@schemathesis.auth(refresh_interval=None)
class Credentials:
    def get(self, case, _):
        path = case.operation.path
        if DOCUMENT == "notes" or path == "/oauth/userinfo":
            return "Bearer " + token_of_user
        if path == "/oauth/register":
            return "Bearer " + INITIAL
        if path.startswith("/oauth/register/"):
            own = registration_tokens.get((case.path_parameters or {}).get("client_id"))
            return "Bearer " + (own or managed["registration_access_token"])
        return basic("tester")

    def set(self, case, data, _):
        if case.operation.definition.raw.get("security") != []:
            case.headers["Authorization"] = data


# What makes a generated request one that succeeds, by operation: its body is returned, or nothing if it stays as it is.


def token(case, body, turn):
    case.headers.pop("X-Client-IP", None)
    if turn % 2:
        case.headers["DPoP"] = key.proof("POST", ISSUER + "/oauth/token")
    match body["grant_type"]:
        case "authorization_code":
            return body | {"code": user.code(), "redirect_uri": CALLBACK, "code_verifier": VERIFIER, "resource": "notes"}
        case "refresh_token":
            case.headers.pop("DPoP", None)
            return body | {"refresh_token": user.tokens()["refresh_token"], "scope": "openid", "resource": "notes"}
        case "client_credentials":
            return body | {"scope": "notes:read", "resource": "notes"}
        case "urn:ietf:params:oauth:grant-type:token-exchange":
            case.headers["Authorization"] = basic("notes")
            return body | {"subject_token": token_of_user, "scope": "stock:read", "audience": "stock", "resource": ""}
    case.headers.pop("DPoP", None)


def to_introspect(case, body, turn):
    if turn % 2:
        case.headers["Accept"] = "application/token-introspection+jwt"
    makers = [
        lambda: user.tokens()["access_token"],
        lambda: user.tokens()["refresh_token"],
        lambda: user.tokens(is_bound=True)["access_token"],
        lambda: ask_for_token(grant_type="client_credentials", scope="notes:read")["access_token"],
    ]
    return body | {"token": makers[turn // 2 % len(makers)]()}


def to_revoke(case, body, turn):
    return body | {"token": user.tokens()["refresh_token"]}


def authorization_request(case, body, turn):
    wanted = {"redirect_uri": CALLBACK, "scope": "openid", "code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    left_out = dict.fromkeys(("prompt", "max_age", "claims", "resource", "id_token_hint", "acr_values", "dpop_jkt"), "")
    body = {name: value for name, value in body.items() if name not in left_out} | wanted
    if turn % 2:
        case.headers["DPoP"] = key.proof("POST", ISSUER + "/oauth/par")
    return body


def device(case, body, turn):
    case.headers.pop("X-Client-IP", None)
    return body | {"scope": "openid", "resource": "notes"}


def userinfo(case, body, turn):
    if turn % 2:
        bound(case, ISSUER)


def userinfo_by_form(case, body, turn):
    case.headers.pop("Authorization", None)
    return {"access_token": token_of_user}


def registration(case, body, turn):
    # What a client may choose as it likes; the rest has to fit together.
    free = {"subject_type", "require_pushed_authorization_requests", "id_token_signed_response_alg"}
    return {name: value for name, value in body.items() if name in free} | metadata()


def read_registration(case, body, turn):
    case.path_parameters["client_id"] = managed["client_id"]
    case.headers["Authorization"] = "Bearer " + managed["registration_access_token"]


def replaced_registration(case, body, turn):
    read_registration(case, body, turn)
    return registration(case, body, turn) | {name: managed[name] for name in ("client_id", "client_secret")}


def removed_registration(case, body, turn):
    client = registered()
    case.path_parameters["client_id"] = client["client_id"]
    case.headers["Authorization"] = "Bearer " + client["registration_access_token"]


def stream(case, body, turn):
    case.headers["Accept"] = "text/event-stream"


def notes(case, body, turn):
    if turn % 2:
        bound(case, NOTES)


def note(case, body, turn):
    headers = {"Authorization": "Bearer " + token_of_user}
    answer = http.post(NOTES + "/notes", json={"text": "A note"}, headers=headers, timeout=20)
    case.path_parameters["id"] = answer.json()["id"]
    if "If-Match" in case.headers:
        case.headers["If-Match"] = answer.headers["ETag"]
    notes(case, body, turn)


def bound(case, server):
    """With a token that is bound to a key, and a proof of it."""
    case.headers["Authorization"] = "DPoP " + bound_token
    case.headers["DPoP"] = key.proof(case.method, server + case.formatted_path, bound_token)


COMPLETE = {
    "POST /oauth/token": token,
    "POST /oauth/revoke": to_revoke,
    "POST /oauth/introspect": to_introspect,
    "POST /oauth/par": authorization_request,
    "POST /oauth/device": device,
    "GET /oauth/userinfo": userinfo,
    "POST /oauth/userinfo": userinfo_by_form,
    "POST /oauth/register": registration,
    "GET /oauth/register/{client_id}": read_registration,
    "PUT /oauth/register/{client_id}": replaced_registration,
    "DELETE /oauth/register/{client_id}": removed_registration,
    "GET /revocations": stream,
    "GET /notes": notes,
    "POST /notes": notes,
    "GET /notes/stream": notes,
    "GET /notes/{id}": note,
    "PUT /notes/{id}": note,
    "DELETE /notes/{id}": note,
}
OF_CLIENTS = ("client_id", "client_secret", "client_assertion", "client_assertion_type")


@schemathesis.deserializer("application/token-introspection+jwt", "application/jwt")
def as_text(_, response):
    return response.text


@schemathesis.hook
def before_call(_, case, kwargs):
    case.headers["X-Forwarded-For"] = next_address()
    label = case.operation.label
    is_as_documented = case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE
    is_other_method = case.method != case.operation.method.upper()
    if label not in COMPLETE or not is_as_documented or is_other_method or "Authorization" not in case.headers:
        return
    turns[label] += 1
    turn, is_completed = divmod(turns[label], 2)
    if is_completed:
        complete(case, COMPLETE[label], turn)
    elif turn % 4 == 0:
        spoil(case, turn // 4 - 1)


def complete(case, how, turn):
    case.headers.pop("DPoP", None)
    is_form = isinstance(case.body, dict) and case.media_type == "application/x-www-form-urlencoded"
    if is_form:
        case.body = {name: value for name, value in case.body.items() if name not in OF_CLIENTS}
    body = how(case, case.body, turn)
    if case.body and isinstance(case.body, dict) and case.body.get("grant_type", "").endswith("device_code"):
        return
    if body is not None:
        case.body = body
    authorization = case.headers.get("Authorization", "")
    if authorization.startswith("Basic") and is_form and turn % 4 < 2:
        # `client_secret_post`
        client_id = "notes" if authorization == basic("notes") else "tester"
        case.body |= {"client_id": client_id, "client_secret": CLIENTS[client_id]}
        del case.headers["Authorization"]
    completed.add(case.id)


def spoil(case, turn):
    """With a token that has too small a scope, with credentials that do not count, or with none."""
    if isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name not in (*OF_CLIENTS, "access_token")}
    by_token = DOCUMENT == "notes" or case.operation.path == "/oauth/userinfo"
    wrong = [{"Authorization": "Bearer " + small_token}] if by_token else []
    wrong += [{"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}, {}]
    del case.headers["Authorization"]
    case.headers.update(wrong[turn % len(wrong)])
    case.headers.pop("DPoP", None)
    unauthorized.add(case.id)


@schemathesis.hook
def after_call(_, case, response):
    global managed
    label = case.operation.label
    if nonce := response.headers.get("dpop-nonce"):
        key.nonce = nonce[0]
    if label == "POST /oauth/register" and response.status_code == 201:
        client = response.json()
        registration_tokens[client["client_id"]] = client["registration_access_token"]
    if label.startswith("DELETE /oauth") and case.path_parameters.get("client_id") == managed["client_id"]:
        managed = registered()
    is_other_method = case.method != case.operation.method.upper()
    answers[f"{'other methods' if is_other_method else label} {response.status_code}"] += 1
    Path(os.environ["COUNTS"]).write_text(json.dumps(answers))


@schemathesis.check
def completed_requests_succeed(_, response, case):
    if case.id in completed and response.status_code >= 300:
        raise AssertionError(f"a request that should succeed is answered with {response.status_code}: {response.text}")


@schemathesis.check
def wrong_credentials_are_refused(_, response, case):
    if case.id in unauthorized and response.status_code not in (400, 401, 403):
        raise AssertionError(f"a request with wrong credentials is answered with {response.status_code}: {response.text}")
