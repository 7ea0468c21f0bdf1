"""authlib's registry for Flask, as its documentation shows it."""

import os

from authlib.integrations.flask_client import OAuth
from flask import Flask, redirect, session, url_for

from person import EMAIL, Person
from server import serve

# docs: the app
app = Flask(__name__)
app.secret_key = os.urandom(32)
oauth = OAuth(app)
oauth.register(
    "aa",
    client_id=os.environ["CLIENT_ID"],
    client_secret=os.environ["CLIENT_SECRET"],
    server_metadata_url=f"{os.environ['ISSUER']}/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


@app.route("/login")
def login():
    return oauth.aa.authorize_redirect(url_for("callback", _external=True))


@app.route("/callback")
def callback():
    token = oauth.aa.authorize_access_token()
    session["user"] = token["userinfo"]  # the claims of the ID token, which was validated
    return redirect("/")
# docs: end


@app.route("/")
def home():
    return {"claims": session["user"], "token": None}


with serve(app):
    person = Person()
    claims = person.sign_in(f"{os.environ['URL']}/login").json()["claims"]
    assert claims["email"] == EMAIL and claims["iss"] == os.environ["ISSUER"], claims
