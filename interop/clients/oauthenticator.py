"""oauthenticator's GenericOAuthenticator in a JupyterHub."""

import os
import subprocess
import sys
import time
from pathlib import Path

import requests

from person import EMAIL, Person

issuer, url = os.environ["ISSUER"], os.environ["URL"]
folder = Path(os.environ["WORK"]) / "jupyterhub"
folder.mkdir()
# docs: jupyterhub_config.py
CONFIG = f"""
c.JupyterHub.authenticator_class = "generic-oauth"
c.GenericOAuthenticator.client_id = "{os.environ['CLIENT_ID']}"
c.GenericOAuthenticator.client_secret = "{os.environ['CLIENT_SECRET']}"
c.GenericOAuthenticator.oauth_callback_url = "{os.environ['REDIRECT_URI']}"
c.GenericOAuthenticator.authorize_url = "{issuer}/oauth/authorize"
c.GenericOAuthenticator.token_url = "{issuer}/oauth/token"
c.GenericOAuthenticator.userdata_url = "{issuer}/oauth/userinfo"
c.GenericOAuthenticator.scope = ["openid", "profile", "email"]
c.GenericOAuthenticator.username_claim = "email"
c.GenericOAuthenticator.allow_all = True
"""
# docs: end
# A hub without its proxy: this test needs no notebook server.
(folder / "jupyterhub_config.py").write_text(CONFIG + f"""
from jupyterhub.proxy import Proxy

class NoProxy(Proxy):
    should_start = False
    async def add_route(self, routespec, target, data): pass
    async def delete_route(self, routespec): pass
    async def get_all_routes(self): return {{}}

c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{os.environ['PORT']}/hub/"
c.JupyterHub.default_url = "/hub/home"
c.JupyterHub.log_level = "WARN"
""")
hub = subprocess.Popen([sys.executable, "-m", "jupyterhub"], cwd=folder)
try:
    for _ in range(600):
        try:
            requests.get(f"{url}/hub/health", timeout=5)
            break
        except requests.ConnectionError:
            assert hub.poll() is None, "JupyterHub does not start"
            time.sleep(0.1)
    page = Person().sign_in(f"{url}/hub/oauth_login")
    assert page.status_code == 200 and EMAIL in page.text, page.text[:2000]
finally:
    hub.terminate()
    hub.wait()
