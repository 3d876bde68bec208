// Searches a site as a browser does that opened it from a folder: what stands in for the worker runs here, around the
// site's own index and worker. Usage: node site_search.js SITE WORD... Prints, as JSON, where each word was found.

const fs = require("fs")
const path = require("path")
const vm = require("vm")

const [site, ...words] = process.argv.slice(2)

// As much of a browser as the script of the site asks for.
const frames = []
const page = vm.createContext({
  URL, structuredClone, setTimeout, Promise,
  location: { protocol: "file:", href: `file://${site}/index.html` },
  document: { body: { append: () => {} }, createElement: () => frame() },
})
page.window = page

function frame() {
  const inside = vm.createContext({ Intl, setTimeout, console })
  inside.self = inside.window = inside
  inside.document = {
    createElement: () => ({}),
    body: {
      append: script => {
        vm.runInContext(fs.readFileSync(new URL(script.src), "utf8"), inside)
        script.onload()
      },
    },
  }
  return { contentWindow: inside, remove: () => frames.push("removed") }
}

const run = file => vm.runInContext(fs.readFileSync(path.join(site, file), "utf8"), page)
run("theme/iframe-worker.js")
run("search.js")

const scripts = path.join("assets", "javascripts", "workers")
const worker = new page.Worker(path.join(scripts, fs.readdirSync(path.join(site, scripts))[0]))
const query = input => ({ input, filter: { input: { type: "operator", data: { operator: "and", operands: [] } }, aggregation: { input: [], values: [] } } })
const found = {}
let asked = []

worker.onmessage = ({ data }) => {
  if (data.type === 4) throw new Error("the search has failed")
  if (data.type === 3) {
    const [word, given] = asked
    if (given.input !== word) throw new Error("what was asked was changed")
    found[word] = data.data.items.map(item => page.__index.items[item.id].location)
  }
  const word = words.shift()
  if (word === undefined) return console.log(JSON.stringify(found))
  asked = [word, query(word)]
  worker.postMessage({ type: 2, data: asked[1] })
}
worker.onerror = error => { throw error }
worker.postMessage({ type: 0, data: page.__index })
