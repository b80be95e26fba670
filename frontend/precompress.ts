// Writes NAME.br and NAME.gz beside every text file of the build, for a server that never compresses.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'

const TEXT = new Set(['.css', '.geojson', '.html', '.js', '.json', '.svg'])
const LEAST = 1024 // bytes; below it the headers outweigh what is saved

function* files(folder: string): Generator<string> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* files(path)
    else yield path
  }
}

function compress(path: string): void {
  const data = readFileSync(path)
  if (data.length < LEAST) return
  writeFileSync(`${path}.gz`, gzipSync(data, { level: 9 }))
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 10,
    [constants.BROTLI_PARAM_SIZE_HINT]: data.length,
  }
  writeFileSync(`${path}.br`, brotliCompressSync(data, { params }))
}

export function precompress(): Plugin {
  let folder = ''
  return {
    name: 'precompress',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir)
    },
    closeBundle() {
      for (const path of [...files(folder)]) if (TEXT.has(extname(path))) compress(path)
    },
  }
}
