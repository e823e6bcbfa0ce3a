// The search runs in a worker, which browsers refuse to pages opened as files. Here a hidden frame
// does its work. The name is the one that the theme's worker asks for.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.window = frame.contentWindow;
      this.window.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        this.onmessage?.(event);
      };
      this.window.importScripts = (...urls) =>
        urls.reduce((before, next) => before.then(() => this.load(next)), Promise.resolve());
      this.ready = this.load(url);
    }

    load(url) {
      return new Promise((loaded, failed) => {
        const script = this.window.document.createElement("script");
        script.src = url;
        script.onload = loaded;
        script.onerror = failed;
        this.window.document.body.append(script);
      });
    }

    postMessage(data) {
      this.ready.then(() => {
        this.window.dispatchEvent(new this.window.MessageEvent("message", { data }));
      });
    }
  };
  window.Worker = window.IFrameWorker;
}
