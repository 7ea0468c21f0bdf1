# One build for every program; `--target` picks the image.
FROM rust:1.95-bookworm AS rust
WORKDIR /src

# The manifests, with nothing behind them: what follows is built again only when a dependency changes.
FROM rust AS manifests
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' -delete \
    && for manifest in crates/*/Cargo.toml; do \
         mkdir -p "${manifest%/Cargo.toml}/src" && touch "${manifest%/Cargo.toml}/src/lib.rs"; \
         echo 'fn main() {}' > "${manifest%/Cargo.toml}/src/main.rs"; \
       done

FROM rust AS dependencies
COPY --from=manifests /src .
RUN cargo build --locked --release -p demo --bins

# One file is every program, by the name it is called by: linked once, and one layer for all images.
FROM dependencies AS build
COPY . .
# Newer than what was built from nothing.
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --locked --release -p demo --bin programs \
    && mkdir /links /empty \
    && for name in aa-server microapp-notes microapp-bff microapp-tmb microapp-spa; do \
         ln -s /programs "/links/$name"; \
       done

# No shell and no tools: a program, and what the C library needs. Health is asked by the program itself.
FROM gcr.io/distroless/cc-debian12 AS runtime
LABEL org.opencontainers.image.licenses="Apache-2.0" org.opencontainers.image.version="0.1.0"
USER 65532:65532
COPY --from=build /src/target/release/programs /programs
COPY --from=build /links/ /

FROM runtime AS aa-server
LABEL org.opencontainers.image.title="aa-server" org.opencontainers.image.description="The authority: where people sign in"
# What is kept in SQLite must outlive the container: without a volume the authority does not start.
ENV AA_LISTEN=0.0.0.0:8080 AA_DATA_DIR=/data AA_EPHEMERAL_DATA=false
COPY --from=build --chown=65532:65532 /empty /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=2s --timeout=4s --start-period=30s --retries=5 CMD ["/aa-server", "check", "--live"]
ENTRYPOINT ["/aa-server"]

FROM runtime AS microapp-notes
LABEL org.opencontainers.image.title="microapp-notes" org.opencontainers.image.description="A resource API"
ENV NOTES_LISTEN=0.0.0.0:8081
EXPOSE 8081
HEALTHCHECK --interval=2s --timeout=4s --start-period=30s --retries=5 CMD ["/microapp-notes", "check", "--live"]
ENTRYPOINT ["/microapp-notes"]

FROM runtime AS microapp-bff
LABEL org.opencontainers.image.title="microapp-bff" org.opencontainers.image.description="A backend for frontend"
ENV BFF_LISTEN=0.0.0.0:8082
EXPOSE 8082
HEALTHCHECK --interval=2s --timeout=4s --start-period=30s --retries=5 CMD ["/microapp-bff", "check", "--live"]
ENTRYPOINT ["/microapp-bff"]

FROM runtime AS microapp-tmb
LABEL org.opencontainers.image.title="microapp-tmb" org.opencontainers.image.description="A token-mediating backend"
ENV TMB_LISTEN=0.0.0.0:8083
EXPOSE 8083
HEALTHCHECK --interval=2s --timeout=4s --start-period=30s --retries=5 CMD ["/microapp-tmb", "check", "--live"]
ENTRYPOINT ["/microapp-tmb"]

FROM runtime AS microapp-spa
LABEL org.opencontainers.image.title="microapp-spa" org.opencontainers.image.description="A refresh-cookie backend"
ENV SPA_LISTEN=0.0.0.0:8084
EXPOSE 8084
HEALTHCHECK --interval=2s --timeout=4s --start-period=30s --retries=5 CMD ["/microapp-spa", "check", "--live"]
ENTRYPOINT ["/microapp-spa"]

# In front of the authority's replicas; and what makes the secrets, which needs a shell.
FROM debian:bookworm-slim AS proxy
LABEL org.opencontainers.image.title="proxy" org.opencontainers.image.description="HAProxy in front of the authority"
RUN apt-get update && apt-get install -y --no-install-recommends haproxy openssl && rm -rf /var/lib/apt/lists/*
COPY deploy/haproxy.cfg deploy/tls.cfg deploy/503.http deploy/make-secrets /deploy/
ENV ERRORS=/deploy LISTEN=0.0.0.0:8080
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=2s --timeout=4s --start-period=30s --retries=5 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 && grep -q ' 200 ' <&3"]
ENTRYPOINT ["haproxy", "-W", "-db", "-f", "/deploy/haproxy.cfg"]
