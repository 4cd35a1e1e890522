import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "edge-runtime",
    server: { deps: { inline: ["convex-test"] } },
    silent: "passed-only", // the module's own lines, a thousand of them, would hide what failed
    testTimeout: 120_000, // milliseconds; a busy machine is no failure
  },
});
