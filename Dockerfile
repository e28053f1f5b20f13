# mail2fax in a container: docker build -t mail2fax . (compose.yaml shows how to run it)
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /build
# Both names: the packages and what builds them are pinned, by old and new pips alike.
ENV PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml constraints.txt README.md LICENSE mail2fax.example.toml ./
COPY contrib/mail2fax.service contrib/mail2fax.service
COPY mail2fax/ mail2fax/
COPY templates/ templates/
RUN python3 -m venv /opt/mail2fax \
    && /opt/mail2fax/bin/python -m pip install '.[postgresql,heic]' \
    && install -d -m 0700 /var/lib/mail2fax

FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="mail2fax" \
      org.opencontainers.image.description="An email-to-fax bridge" \
      org.opencontainers.image.licenses="Apache-2.0"
# Letters that Typst does not bring along (Thai, Chinese, Japanese, Korean, Indic scripts): text files and cover pages use
# them. An image without them: docker build --build-arg FONTS= .
ARG FONTS="fonts-noto-core fonts-noto-cjk"
# hadolint ignore=DL3008,SC2086
RUN [ -z "$FONTS" ] || { apt-get update && apt-get install --yes --no-install-recommends $FONTS \
    && rm -rf /var/lib/apt/lists/*; }
COPY --from=build /opt/mail2fax /opt/mail2fax
COPY --from=build --chown=2525:2525 /var/lib/mail2fax /var/lib/mail2fax
COPY contrib/container.toml /etc/mail2fax/mail2fax.toml
ENV PATH=/opt/mail2fax/bin:$PATH MAIL2FAX_CONFIG=/etc/mail2fax/mail2fax.toml PYTHONUNBUFFERED=1
# Here and not in that file: the health check below asks it, whatever settings are mounted. Inside the container's own
# network; it has no login, so publish the port on loopback at most.
ENV MAIL2FAX_WEB__LISTEN=0.0.0.0:8080
# A number instead of a name, so that orchestrators can see that it is not root.
USER 2525:2525
WORKDIR /var/lib/mail2fax
VOLUME /var/lib/mail2fax
EXPOSE 2525 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["mail2fax"]
CMD ["serve"]
