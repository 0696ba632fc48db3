# syntax=docker/dockerfile:1
# An endpoint for a team: docs/guides/operate.md. Built from a checkout: docker build -t zeph .

FROM node:22-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm pack --ignore-scripts --pack-destination /tmp
# What runs, and nothing that builds: the package as it is published, and the client of the shared store.
WORKDIR /opt/zeph
RUN npm init --yes > /dev/null \
  && npm install --ignore-scripts --omit=dev --no-audit --no-fund /tmp/zeph-*.tgz \
    "redis@$(node -p 'require("/build/package.json").devDependencies.redis')"

FROM node:22-bookworm-slim
COPY --from=build /opt/zeph/node_modules /opt/zeph/node_modules
# What a run writes goes here, where it is let: the root file system may be read-only.
RUN mkdir -p /state && chown node:node /state
ENV HOME=/state NODE_ENV=production ZEPH_VAULT_BACKEND=env
VOLUME ["/state"]
USER node
WORKDIR /state
EXPOSE 8424
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8424/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "/opt/zeph/node_modules/zeph/dist/cli/main.js"]
CMD ["serve", "--host", "0.0.0.0", "--no-page"]
