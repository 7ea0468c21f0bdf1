"""A person with a browser: keeps cookies, follows redirects, and fills in the authority's sign-in page."""

import html
import os
import re
from urllib.parse import urljoin

import requests

EMAIL = os.environ["EMAIL"]


class Person:
    def __init__(self):
        self.browser = requests.Session()

    def follow(self, url, stop=None):
        """Follows redirects up to a page, or up to an address that begins with `stop`, which is returned unopened."""
        for _ in range(20):
            if stop and url.startswith(stop):
                return url
            answer = self.browser.get(url, allow_redirects=False, timeout=20)
            if not answer.is_redirect:
                return answer
            url = urljoin(url, answer.headers["Location"])
        raise AssertionError(f"redirects without end at {url}")

    def sign_in(self, url, stop=None):
        """Opens an address that leads to the sign-in page, fills the page in, and follows on from there."""
        page = self.follow(url)
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page.text))
        assert "csrf" in hidden, f"no sign-in page: {page.status_code} {page.url}\n{page.text[:2000]}"
        form = {name: html.unescape(value) for name, value in hidden.items()}
        form |= {"email": EMAIL, "password": os.environ["PASSWORD"]}
        answer = self.browser.post(urljoin(page.url, "/login"), data=form, allow_redirects=False, timeout=20)
        assert answer.is_redirect, f"not signed in: {answer.status_code}"
        return self.follow(urljoin(page.url, answer.headers["Location"]), stop)
