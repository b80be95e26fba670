// What a test asks about how a page looks: names of controls, contrast, text, overflow.
// Evaluated in the page; gives an object of functions.
(() => {
  const brush = document.createElement('canvas').getContext('2d', { willReadFrequently: true })

  /** Any CSS colour as [r, g, b, alpha], the first three 0..255. */
  function rgba(colour) {
    brush.clearRect(0, 0, 1, 1)
    brush.fillStyle = '#000'
    brush.fillStyle = colour
    brush.fillRect(0, 0, 1, 1)
    const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data
    return [r, g, b, a / 255]
  }
  const over = (top, under) => {
    const a = top[3]
    return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a)).concat(1)
  }
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((part) => {
      const c = part / 255
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b)
    return (high + 0.05) / (low + 0.05)
  }
  const parent = (element) => element.parentElement ?? element.getRootNode().host ?? null

  function ground(element) {
    const layers = []
    for (let one = element; one; one = parent(one)) {
      const colour = rgba(getComputedStyle(one).backgroundColor)
      if (colour[3] > 0) layers.push(colour)
      if (colour[3] === 1) break
    }
    const page = rgba(getComputedStyle(document.body).backgroundColor)
    return layers.reverse().reduce((under, top) => over(top, under), page)
  }
  const seen = (element) => {
    const box = element.getBoundingClientRect()
    return box.width > 1 && box.height > 1 && element.checkVisibility({ visibilityProperty: true })
  }
  const disabled = (element) => element.closest(':disabled, [aria-disabled=true]') !== null

  function* texts(root) {
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT)
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
      if (node.shadowRoot) yield* texts(node.shadowRoot)
      if (node.nodeType !== Node.TEXT_NODE || !node.data.trim()) continue
      const element = node.parentElement
      if (!element || ['SCRIPT', 'STYLE', 'NOSCRIPT', 'TITLE', 'OPTION'].includes(element.tagName))
        continue
      if (seen(element) && !element.closest('.sr')) yield [node.data.trim(), element]
    }
  }

  return {
    texts: () => [...texts(document.body)].map(([text]) => text),

    /** Words that stand out too little from what is behind them (WCAG 2.2, 1.4.3 level AA). */
    faint() {
      const found = new Map()
      for (const [text, element] of texts(document.body)) {
        if (disabled(element)) continue
        const style = getComputedStyle(element)
        const under = ground(element)
        const ratio = contrast(over(rgba(style.color), under), under)
        const size = parseFloat(style.fontSize)
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700)
        if (ratio < (large ? 3 : 4.5) - 0.01) {
          const what = `${element.tagName.toLowerCase()}.${element.className}`.slice(0, 40)
          found.set(`${what} ${style.color}`, `${what}: ${ratio.toFixed(2)} "${text.slice(0, 30)}"`)
        }
      }
      return [...found.values()]
    },

    /** Controls that a screen reader could not name. */
    nameless: () =>
      [...document.querySelectorAll('button, a[href], input, select, textarea, [role=tab]')]
        .filter(
          (element) =>
            seen(element) &&
            !(
              element.ariaLabel ||
              element.title ||
              element.getAttribute('aria-labelledby') ||
              [...(element.labels ?? [])].some((label) => label.innerText.trim()) ||
              (!['INPUT', 'SELECT', 'TEXTAREA'].includes(element.tagName) &&
                element.innerText.trim())
            ),
        )
        .map((element) => element.outerHTML.slice(0, 120)),

    /** Everything that is wider than the window. */
    wide: () =>
      [document.documentElement, ...document.querySelectorAll('main, main > *, header, dialog')]
        .filter((element) => element.scrollWidth > element.clientWidth + 1)
        .map((element) => `${element.tagName}.${element.className} ${element.scrollWidth}`),

    /** Whether the focused element shows that it is. */
    focus() {
      let element = document.activeElement
      while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement
      if (!element || element === document.body) return null
      for (let one = element; one && one !== document.body; one = parent(one)) {
        const style = getComputedStyle(one)
        const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0
        if (outlined || (style.boxShadow !== 'none' && one !== element)) return null
        if (one !== element && !one.matches('.editor, .cm-editor, .cm-scroller')) break
      }
      return element.outerHTML.slice(0, 120)
    },
  }
})()
