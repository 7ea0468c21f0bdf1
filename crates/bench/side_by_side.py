#!/usr/bin/env python3
"""Two builds of aa-server side by side: what a refresh costs one, compared with the other.

Machines that others use too are a tenth faster or slower from one minute to the next, so that two runs, one after the other,
say little. Here both run at the same time, each on a database of its own (SQLite, if no empty ones are named), and are asked
in turn for a third of a second each; in each round the other one begins. CPU time is the process's own, from /proc (Linux).
"""

import argparse
import base64
import hashlib
import os
import re
import secrets
import socket
import statistics
import subprocess
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlparse

EMAIL, PASSWORD = "ann@example.com", "tangerine lamp 4"
CALLBACK = "http://localhost:9/callback"
VERIFIER = "a" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
FORM = "application/x-www-form-urlencoded"


class Client:
    """A browser's session of the app: one connection, and its newest refresh token."""

    def __init__(self, authority):
        self.authority, self.cookies = authority, {}
        page = self.ask("GET", "/login")[1]
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        status = self.ask("POST", "/login", {"csrf": csrf, "email": EMAIL, "password": PASSWORD})[0].status
        assert status == 303, f"signing in is answered with {status}"
        request = {
            "client_id": "bench", "redirect_uri": CALLBACK, "response_type": "code", "state": "s", "nonce": "n",
            "scope": "openid profile offline_access notes:read",
            "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        }
        target = self.ask("GET", f"/oauth/authorize?{urlencode(request)}")[0].getheader("location")
        code = parse_qs(urlparse(target).query)["code"][0]
        self.connection = socket.create_connection(("127.0.0.1", authority.port))
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send(grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER)
        self.receive()

    def ask(self, method, path, form=None):
        headers = {"Host": self.authority.host, "Cookie": "; ".join(f"{n}={v}" for n, v in self.cookies.items())}
        if form:
            headers |= {"Content-Type": FORM, "Origin": f"http://{self.authority.host}"}
        connection = HTTPConnection("127.0.0.1", self.authority.port)
        connection.request(method, path, urlencode(form) if form else None, headers)
        answer = connection.getresponse()
        for cookie in answer.headers.get_all("set-cookie", []):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        return answer, answer.read().decode()

    def send(self, **form):
        body = urlencode(form)
        head = f"POST /oauth/token HTTP/1.1\r\nHost: {self.authority.host}\r\nAuthorization: {self.authority.basic}\r\n"
        head += f"Content-Type: {FORM}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.connection.sendall((head + body).encode())

    def receive(self):
        answer = b""
        while b"}" not in answer:
            piece = self.connection.recv(16384)
            assert piece, "the connection was closed"
            answer += piece
        token = re.search(rb'"refresh_token":"([^"]+)"', answer)
        assert token, answer.decode()
        self.refresh_token = token[1].decode()


class Authority:
    """A running aa-server, and clients that are signed in to it."""

    def __init__(self, program, database, port, clients):
        self.program, self.port, self.host = program, port, f"localhost:{port}"
        self.folder = tempfile.TemporaryDirectory()
        self.environment = os.environ | {
            "AA_DATA_DIR": self.folder.name, "AA_LISTEN": f"127.0.0.1:{port}", "AA_PUBLIC_URL": f"http://{self.host}",
            "AA_SECRET": secrets.token_hex(32), "AA_LOG": "warn",
            "AA_DATABASE_URL": database or f"sqlite://{self.folder.name}/aa.db",
        }
        self.command("migrate")
        self.command("user", "add", "--email", EMAIL, "--password-stdin", given=PASSWORD)
        added = self.command(
            "--json", "app", "add", "bench", "--name", "Bench", "--redirect-uri", CALLBACK, "--audience", "notes",
            "--scope", "openid", "profile", "offline_access", "notes:read",
        )
        secret = re.search(r'"(?:client_)?secret"\s*:\s*"([^"]+)"', added)[1]
        self.basic = "Basic " + base64.b64encode(f"bench:{secret}".encode()).decode()
        self.process = subprocess.Popen([program, "serve"], env=self.environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self.is_ready():
            assert time.monotonic() < deadline and self.process.poll() is None, f"{program} does not start"
            time.sleep(0.05)
        self.clients = [Client(self) for _ in range(clients)]

    def command(self, *arguments, given=None):
        done = subprocess.run(
            [self.program, *arguments], env=self.environment, input=given, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    def is_ready(self):
        try:
            connection = HTTPConnection("127.0.0.1", self.port)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def cpu_seconds(self):
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def refresh_for(self, seconds):
        """All clients refresh at once, again and again. Returns CPU microseconds of a refresh, and refreshes in a second."""
        began, cpu, count = time.monotonic(), self.cpu_seconds(), 0
        while time.monotonic() < began + seconds:
            for client in self.clients:
                client.send(grant_type="refresh_token", refresh_token=client.refresh_token)
            for client in self.clients:
                client.receive()
            count += len(self.clients)
        return (self.cpu_seconds() - cpu) / count * 1e6, count / (time.monotonic() - began)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--databases", nargs=2, metavar=("OLD_URL", "NEW_URL"), default=[None, None])
    given = parser.parse_args()
    pair = []
    try:
        for program, database in zip([given.old, given.new], given.databases):
            pair.append(Authority(program, database, free_port(), given.clients))
        for authority in pair:
            authority.refresh_for(1)
        figures, order, end = {authority: [] for authority in pair}, list(pair), time.monotonic() + given.seconds
        while time.monotonic() < end:
            for authority in order:
                figures[authority].append(authority.refresh_for(0.3))
            order.reverse()
    finally:
        for authority in pair:
            authority.process.terminate()
            authority.process.wait()
    for name, authority in zip(["old", "new"], pair):
        cpu, rate = (statistics.median(figure) for figure in zip(*figures[authority]))
        print(f"{name}: {cpu:5.1f} µs of CPU for a refresh, {rate:6.0f} refreshes a second (medians)")
    rounds = list(zip(figures[pair[0]], figures[pair[1]]))
    for what, at in [("CPU for a refresh", 0), ("refreshes a second", 1)]:
        ratios = [new[at] / old[at] for old, new in rounds]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"new ÷ old, {what}: {middle:.3f} (quartiles {low:.3f} and {high:.3f}, {len(rounds)} rounds)")


main()
