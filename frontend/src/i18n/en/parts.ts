export default {
  'parts.actions': 'Actions',
  'parts.shown': '{shown} of {total} shown',
  'parts.more': 'Show more',
  'parts.copy': 'Copy',
  'parts.copied': 'Copied',
  'parts.copyFailed': 'Could not be copied. Select the text and copy it by hand.',
  'parts.secretOnce': 'Shown only this once. Keep it where only those who need it can read it.',
  'parts.typeToConfirm': 'Type {text} to confirm',
  'parts.dismiss': 'Dismiss',
  'parts.notices': 'Notices',
  'parts.of': '{used} of {limit}',
  'parts.noLimit': '{used}, no limit',
} as const
