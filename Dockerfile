# One build for every program; `--target` picks the image.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin aa-server && cp target/release/aa-server /aa-server

FROM gcr.io/distroless/cc-debian12 AS aa-server
COPY --from=build /aa-server /aa-server
USER 65532:65532
ENV AA_LISTEN=0.0.0.0:8080 AA_DATA_DIR=/tmp/data
EXPOSE 8080
ENTRYPOINT ["/aa-server"]
