export default {
  'parts.actions': '操作',
  'parts.shown': '已显示 {shown} / {total}',
  'parts.more': '显示更多',
  'parts.copy': '复制',
  'parts.copied': '已复制',
  'parts.copyFailed': '无法复制，请手动选择文本复制。',
  'parts.secretOnce': '仅显示这一次。请妥善保存，只让需要的人看到。',
  'parts.typeToConfirm': '请输入 {text} 以确认',
  'parts.dismiss': '关闭通知',
  'parts.notices': '通知',
  'parts.of': '{used} / {limit}',
  'parts.noLimit': '{used}，无上限',
}
