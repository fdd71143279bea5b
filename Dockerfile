# The three images: `server` (ferrokeeper, and ferrokeeper-sidecar for the preStop hook), `sidecar`
# and `operator`. Each holds its binaries, the C library that they are linked to, and nothing else:
# no shell, no package manager.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --target operator \
#     --tag REGISTRY/ferrokeeper-operator:0.1.0 --push .
#
# The compiler runs on the builder's own architecture and compiles for the other, so that arm64
# takes as long as amd64. Linked to glibc and not to musl: the server's throughput depends on the
# allocator, and names are resolved as the JVM that it replaces resolves them.

ARG RUST_VERSION=1.95

FROM --platform=$BUILDPLATFORM rust:${RUST_VERSION}-slim-bookworm AS build
ARG BUILDARCH
ARG TARGETARCH
WORKDIR /src

RUN set -eu; \
    case "$TARGETARCH" in \
        amd64) machine=x86_64; package=gcc-x86-64-linux-gnu ;; \
        arm64) machine=aarch64; package=gcc-aarch64-linux-gnu ;; \
        *) echo "no build for $TARGETARCH: add it here" >&2; exit 1 ;; \
    esac; \
    if [ "$TARGETARCH" != "$BUILDARCH" ]; then \
        apt-get update; \
        apt-get install --yes --no-install-recommends "$package" "libc6-dev-$TARGETARCH-cross"; \
        rm -rf /var/lib/apt/lists/*; \
    fi; \
    rustup target add "$machine-unknown-linux-gnu"; \
    echo "$machine" > /machine

COPY . .

# Crates and what was compiled of them stay on the builder between two builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    set -eu; \
    machine=$(cat /machine); \
    target=$machine-unknown-linux-gnu; \
    linker=CARGO_TARGET_$(echo "$target" | tr a-z- A-Z_)_LINKER; \
    env "$linker=$machine-linux-gnu-gcc" CARGO_PROFILE_RELEASE_STRIP=debuginfo \
        cargo build --release --locked --target "$target" \
        -p ferrokeeper -p ferrokeeper-sidecar -p ferrokeeper-operator; \
    mkdir -p /out/bin; \
    for name in ferrokeeper ferrokeeper-sidecar ferrokeeper-operator; do \
        cp "target/$target/release/$name" /out/bin/; \
    done

# The libraries that the binaries name, and the loader at the path that they name; /lib is searched
# on both architectures.
RUN set -eu; \
    machine=$(cat /machine); \
    mkdir -p /out/root/lib; \
    mkdir -m 1777 /out/root/tmp; \
    for binary in /out/bin/*; do \
        loader=$("$machine-linux-gnu-readelf" -l "$binary" \
            | sed -n 's/.*program interpreter: \(.*\)]/\1/p'); \
        mkdir -p "/out/root$(dirname "$loader")"; \
        cp -L "$("$machine-linux-gnu-gcc" "-print-file-name=$(basename "$loader")")" \
            "/out/root$loader"; \
        for library in $("$machine-linux-gnu-readelf" -d "$binary" \
            | sed -n 's/.*(NEEDED).*\[\(lib.*\)]/\1/p'); do \
            cp -L "$("$machine-linux-gnu-gcc" "-print-file-name=$library")" /out/root/lib/; \
        done; \
    done

FROM scratch AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
COPY --from=build /out/root/ /
COPY LICENSE /licenses/LICENSE
ENV PATH=/usr/local/bin
USER 65532:65532
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.licenses=Apache-2.0

FROM base AS server
LABEL org.opencontainers.image.title=ferrokeeper-server \
      org.opencontainers.image.description="One ZooKeeper-compatible ensemble member"
COPY --from=build /out/bin/ferrokeeper /out/bin/ferrokeeper-sidecar /usr/local/bin/
EXPOSE 2181 2888 3888 8080
ENTRYPOINT ["/usr/local/bin/ferrokeeper"]

FROM base AS sidecar
LABEL org.opencontainers.image.title=ferrokeeper-sidecar \
      org.opencontainers.image.description="Stands beside each member: observes it, executes orders"
COPY --from=build /out/bin/ferrokeeper-sidecar /usr/local/bin/
EXPOSE 8081 8443
ENTRYPOINT ["/usr/local/bin/ferrokeeper-sidecar"]

FROM base AS operator
LABEL org.opencontainers.image.title=ferrokeeper-operator \
      org.opencontainers.image.description="Reconciles ZooKeeperCluster resources"
COPY --from=build /out/bin/ferrokeeper-operator /usr/local/bin/
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/ferrokeeper-operator"]
