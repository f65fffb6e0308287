// The scripts of the HTML report. What they may use of a browser is listed here, so that no module
// takes a name of the browser's for itself: joined, it would take it from every other module too.

import js from "@eslint/js";

const BROWSER = [
  "addEventListener", "atob", "Blob", "DecompressionStream", "document", "history", "location", "navigator",
  "ResizeObserver", "Response", "setTimeout", "URLSearchParams", "window",
];

export default [
  js.configs.recommended,
  {
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: "module",
      globals: Object.fromEntries(BROWSER.map((name) => [name, "readonly"])),
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "eqeqeq": "error",
      "no-duplicate-imports": "error",
      "no-eval": "error",
      "no-implicit-globals": "error",
      "no-shadow": ["error", { builtinGlobals: true }],
      "no-unused-vars": ["error", { args: "all", argsIgnorePattern: "^_$", caughtErrors: "all" }],
      "no-var": "error",
      "one-var": ["error", "never"],
      "prefer-const": "error",
    },
  },
];
