// A browser starts no worker for a page that was opened from disk: the search then runs in a frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    /** @param {string} url of the worker's script */
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = "<!doctype html>";
      this.inner = new Promise((started) => {
        frame.addEventListener("load", () => {
          const inner = frame.contentWindow;
          inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          const script = inner.document.createElement("script");
          script.src = url;
          script.addEventListener("load", () => started(inner));
          inner.document.head.append(script);
        }, { once: true });
      });
      document.documentElement.append(frame);
    }

    /** @param {unknown} data for the worker */
    postMessage(data) {
      this.inner.then((inner) => inner.dispatchEvent(new inner.MessageEvent("message", { data })));
    }
  };
}
