"""Apache with mod_auth_openidc, from Debian's packages."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import requests

from person import EMAIL, Person

issuer, url, port = (os.environ[name] for name in ("ISSUER", "URL", "PORT"))
modules = Path("/usr/lib/apache2/modules")
apache = shutil.which("apache2", path="/usr/sbin:/usr/bin")
if not apache or not (modules / "mod_auth_openidc.so").exists():
    raise SystemExit("not installed: apt-get install apache2-bin libapache2-mod-auth-openidc")
work = Path(os.environ["WORK"]) / "apache"
(work / "htdocs").mkdir(parents=True)
(work / "htdocs/index.html").write_text("protected")
(work / "htdocs/out.html").write_text("signed out")
# docs: the site
SITE = f"""
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID {os.environ['CLIENT_ID']}
OIDCClientSecret {os.environ['CLIENT_SECRET']}
OIDCRedirectURI {url}/callback
OIDCCryptoPassphrase {os.urandom(16).hex()}
OIDCScope "openid profile email offline_access"
OIDCPKCEMethod S256
OIDCRemoteUserClaim email
OIDCRefreshAccessTokenBeforeExpiry 300
<Location />
  AuthType openid-connect
  Require valid-user
</Location>
"""
# docs: end
loaded = {"mpm_event", "authn_core", "authz_core", "authz_user", "auth_openidc", "dir", "headers"}
(work / "apache.conf").write_text(f"""
ServerName localhost
ServerRoot {work}
PidFile {work}/pid
Listen 127.0.0.1:{port}
ErrorLog {work}/error.log
DocumentRoot {work}/htdocs
{"".join(f"LoadModule {name}_module {modules}/mod_{name}.so{chr(10)}" for name in sorted(loaded))}
{SITE}
<Location /out.html>
  Require all granted
</Location>
Header set X-User "expr=%{{REMOTE_USER}}"
Header set X-Token "expr=%{{reqenv:OIDC_access_token}}"
""")
server = subprocess.Popen([apache, "-f", work / "apache.conf", "-DFOREGROUND"])
try:
    for _ in range(100):
        try:
            requests.get(f"{url}/out.html", timeout=5)
            break
        except requests.ConnectionError:
            assert server.poll() is None, "Apache does not start"
            time.sleep(0.1)
    person = Person()
    page = person.sign_in(f"{url}/")
    assert (page.text, page.headers["X-User"]) == ("protected", EMAIL), page.text
    # An application token lives for five minutes and is refreshed five minutes before: at every request.
    tokens = [page, *(person.follow(f"{url}/") for _ in range(2))]
    assert len({token.headers["X-Token"] for token in tokens}) == 3
    # RP-initiated logout, and the revocation of the refresh token.
    out = person.follow(f"{url}/callback?logout={url}/out.html")
    assert out.text == "signed out", out.text
    assert "/login" in person.follow(f"{url}/").url
except BaseException:
    print((work / "error.log").read_text()[-3000:])
    raise
finally:
    server.terminate()
    server.wait()
