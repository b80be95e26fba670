// Runs before the first paint, so that the remembered theme does not flash.
;(() => {
  let theme = null
  try {
    theme = localStorage.getItem('carcloud.theme')
  } catch {
    // storage is blocked: the system's theme is used
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
})()
