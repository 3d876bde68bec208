/*
 * Search in a site that was opened from a folder. Browsers start no worker there; so what would run in one runs in a frame
 * that nobody sees, and gets the same messages. Where pages come from a server nothing is changed.
 *
 * The name is what zensical looks for: without a script of this name it takes one from another site.
 */
if (location.protocol === "file:") {
  window.Worker = class FrameWorker {
    onmessage = null
    onerror = null

    constructor(address) {
      this.frame = document.createElement("iframe")
      this.frame.hidden = true
      document.body.append(this.frame)

      const inside = this.frame.contentWindow
      // A worker's postMessage speaks to who made it, a window's to itself.
      inside.postMessage = data => {
        const copy = structuredClone(data)
        setTimeout(() => this.onmessage?.({ data: copy }))
      }

      const script = inside.document.createElement("script")
      script.src = new URL(address, location.href).href
      this.ready = new Promise((resolve, reject) => {
        script.onload = resolve
        script.onerror = reject
      })
      this.ready.catch(error => this.onerror?.(error))
      inside.document.body.append(script)
    }

    postMessage(data) {
      // A worker gets a copy, and may change it.
      const copy = structuredClone(data)
      this.ready.then(() => this.frame?.contentWindow.onmessage?.({ data: copy }), () => {})
    }

    terminate() {
      this.frame?.remove()
      this.frame = null
    }
  }
}
