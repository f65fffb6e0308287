// What the summary gets beyond its HTML: buttons to copy commands.

import { copyButton } from "./dom.js";

export function dressSummary() {
  for (const code of document.querySelectorAll("[data-copy]")) {
    code.after(" ", copyButton(code.textContent));
  }
}
