"""flask-oidc, which has no setting for PKCE."""

import json
import os
from pathlib import Path

from flask import Flask, session
from flask_oidc import OpenIDConnect

from person import EMAIL, Person
from server import serve

secrets = Path(os.environ["WORK"]) / "client_secrets.json"
secrets.write_text(
    # docs: client_secrets.json
    json.dumps({
        "web": {
            "client_id": os.environ["CLIENT_ID"],
            "client_secret": os.environ["CLIENT_SECRET"],
            "issuer": os.environ["ISSUER"],
        }
    })
    # docs: end
)
# docs: the app
app = Flask(__name__)
app.config |= {"SECRET_KEY": os.urandom(32), "OIDC_CLIENT_SECRETS": str(secrets), "OIDC_SCOPES": "openid profile email"}
oidc = OpenIDConnect(app)


@app.route("/")
@oidc.require_login
def home():
    return {"email": session["oidc_auth_profile"]["email"]}
# docs: end


with serve(app):
    person = Person()
    assert person.sign_in(f"{os.environ['URL']}/").json() == {"email": EMAIL}
    person.follow(f"{os.environ['URL']}/logout")
